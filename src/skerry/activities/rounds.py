"""Rounds of single updates: calls that come while the writer is busy are carried out together by its next transaction.

Nobody waits on purpose: a lone call is a round of one. What a round cannot take (a name that no activity has, an
activity on a channel, a text that is not the same for all) is left to the general way, one by one; and so are all calls
of a round that fails, so that none fails for another's sake.
"""

import asyncio
import contextvars
from collections import defaultdict, deque
from collections.abc import Callable, Sequence

import structlog

from skerry.activities.ports import Delivery, Transaction
from skerry.domain.activity import Update, next_stamp
from skerry.domain.errors import OverloadedError
from skerry.domain.event import EventKind, updated_as_text
from skerry.domain.ids import ActivityId, AppId, GroupId, Millis, RevisionNumber
from skerry.domain.parcel import Planned
from skerry.domain.round import Change, Seen
from skerry.domain.unit_of_work import UnitOfWork

MOST = 256
"""Updates of one round: some 10 ms of the only writer."""
WAITING = 10_000
"""Calls that may wait for a round."""
RETRY_AFTER = 1.0

log = structlog.get_logger()


class _Call:
    """A call and whoever waits for it. The writer's thread sets `taken`; only the event loop touches `done`."""

    __slots__ = ("app_id", "command", "done", "group_id", "taken")

    def __init__(self, app_id: AppId, group_id: GroupId, command: Update, done: asyncio.Future[bool]) -> None:
        self.app_id = app_id
        self.group_id = group_id
        self.command = command
        self.done = done
        self.taken = False

    def answer(self) -> None:
        """The round is on disk. Whoever was cancelled meanwhile waits no more; its update stands."""
        if not self.done.done():
            self.done.set_result(self.taken)

    def fail(self, error: BaseException) -> None:
        """The round is lost."""
        if not self.done.done():
            self.done.set_exception(error)


class Rounds:
    """Gathers updates. `update` returns once its effect is on disk."""

    def __init__(self, store: UnitOfWork[Transaction], delivery: Delivery, *, clock: Callable[[], Millis]) -> None:
        self._store = store
        self._delivery = delivery
        self._clock = clock
        self._waiting: deque[_Call] = deque()
        self._announced = False
        """Whether a transaction is to come that has not taken its calls yet."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def update(self, app_id: AppId, group_id: GroupId, command: Update) -> bool:
        """Carry an update out with others. False: it is none for a round, and nothing was changed.

        Raises:
            OverloadedError: if too many wait.
        """
        if len(self._waiting) >= WAITING:
            raise OverloadedError("the queue of updates", RETRY_AFTER)
        call = _Call(app_id, group_id, command, asyncio.get_running_loop().create_future())
        self._waiting.append(call)
        self._announce()
        return await call.done

    def _announce(self) -> None:
        if not self._announced:
            self._announced = True
            # In a context of its own: a round, and the pushes it sets off, are nobody's request.
            task = asyncio.get_running_loop().create_task(self._carry_out(), context=contextvars.Context())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry_out(self) -> None:
        calls: list[_Call] = []
        try:
            plans = await self._store.write(lambda tx: self._round(tx, calls))
        except Exception as error:  # noqa: BLE001 - whatever it was, those who wait must hear of it
            self._announced = False
            if not calls:  # it never began, as when the writer's queue is full: that is news for all who wait
                calls, self._waiting = list(self._waiting), deque()
                for call in calls:
                    call.fail(error)
            else:
                log.warning("a round of updates failed; they are tried one by one", error=repr(error), calls=len(calls))
                for call in calls:
                    call.taken = False
                    call.answer()
        else:
            for call in calls:
                call.answer()
            for planned in plans:
                self._delivery.send_round(planned)
        if self._waiting:
            self._announce()

    def _round(self, tx: Transaction, calls: list[_Call]) -> list[Planned]:
        """In the writer's thread: take who waits by now, and carry their updates out."""
        self._announced = False  # who comes from here on may be too late for this one
        while self._waiting and len(calls) < MOST:
            calls.append(self._waiting.popleft())
        now = self._clock()
        left: Sequence[_Call] = calls
        plans = []
        while left:
            # One update of an activity at a time: the next one builds on it.
            together: dict[AppId, dict[GroupId, _Call]] = defaultdict(dict)
            later = [call for call in left if together[call.app_id].setdefault(call.group_id, call) is not call]
            for app_id, by_name in together.items():
                plans.append(self._update(tx, app_id, list(by_name.values()), now))
            left = later
        return plans

    def _update(self, tx: Transaction, app_id: AppId, calls: Sequence[_Call], now: Millis) -> Planned:
        changes: dict[ActivityId, Change] = {}
        for seen in tx.rounds.look(app_id, [call.group_id for call in calls]):
            call = calls[seen.place]
            if not seen.on_channel and seen.activity_id not in changes:  # it may have several names
                changes[seen.activity_id] = change(app_id, seen, call.command, now, due_at=now)
                call.taken = True
        if not changes:
            return Planned((), waiting=False)
        return accept_round(tx, self._delivery, list(changes.values()), now)


def accept_round(tx: Transaction, delivery: Delivery, changes: Sequence[Change], now: Millis) -> Planned:
    """Store the updates of a round, tell of them, and send them on their way: `acceptance.accept` for many."""
    tx.rounds.advance(changes, now)
    told = [
        (one.app_id, one.seen.activity_id, updated_as_text(one.number, one.priority, alert=one.alert is not None))
        for one in changes
    ]
    tx.events.add_many(EventKind.ACTIVITY_UPDATED, now, told)
    return delivery.plan_round(tx, changes)


def change(app_id: AppId, seen: Seen, command: Update, now: Millis, *, due_at: Millis) -> Change:
    """What `domain.activity.update` makes of an activity, without the parts that stay as they are."""
    return Change(
        app_id=app_id,
        seen=seen,
        number=RevisionNumber(seen.newest + 1),
        timestamp=next_stamp(seen.last_timestamp, now),
        state=command.state,
        priority=command.priority,
        stale_date=command.stale_date,
        alert=command.alert,
        relevance=command.relevance,
        due_at=due_at,
    )
