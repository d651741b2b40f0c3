"""Batches: the new states of many activities in one call, each line carried out or refused by itself.

A line means what a desired state of the same activity means that leaves out audience and policies. Where an update is
all that it can come to, which is nearly always, it shares its statements with the other lines; else it goes the way of
`DesiredState`, one after the other.
"""

import asyncio
import contextvars
from collections.abc import Callable, Sequence

from skerry.activities.desired_state import DesiredState, DesiredStateSettings
from skerry.activities.limits import fits, size_of
from skerry.activities.ports import Delivery, Transaction
from skerry.activities.rounds import accept_round, change
from skerry.activities.service import adopt
from skerry.domain import payload
from skerry.domain.activity import Phase, Update
from skerry.domain.budget import Meter
from skerry.domain.commands import Idempotency
from skerry.domain.desired import Policies, digest_of, is_outdated
from skerry.domain.errors import EndedError, OutdatedError, PayloadTooLargeError, RefusedError
from skerry.domain.ids import ActivityId, AppId, GroupId, Millis
from skerry.domain.line import Line, LineOutcome, LineResult
from skerry.domain.parcel import Planned
from skerry.domain.repeats import once
from skerry.domain.round import Change, Seen, Wanted, Wish
from skerry.domain.unit_of_work import UnitOfWork

_RUNNING = int(Phase.RUNNING)
_FRESH = Wanted("", simple=True, version=None, pushed_at=Millis(0), spent=0.0, spent_at=Millis(0))
"""Of an activity of which nothing has been wanted so far."""


class Batches:
    """`carry_out` returns once its effect is on disk."""

    def __init__(
        self,
        store: UnitOfWork[Transaction],
        delivery: Delivery,
        desired: DesiredState,
        settings: DesiredStateSettings,
        *,
        clock: Callable[[], Millis],
    ) -> None:
        self._store = store
        self._delivery = delivery
        self._desired = desired
        self._settings = settings
        self._clock = clock
        self._tasks: set[asyncio.Task[str]] = set()

    async def carry_out(
        self,
        app_id: AppId,
        lines: Sequence[Line],
        tell: Callable[[Sequence[LineOutcome]], str],
        idempotency: Idempotency | None = None,
    ) -> str:
        """Carry lines out in one transaction, those of one activity in their order; what `tell` makes of the outcomes.

        Args:
            app_id: whose activities they are.
            lines: some hundreds: nobody else writes meanwhile.
            tell: makes the answer of what each line came to. Called within the transaction, so that a repeat gets the
                very answer of the lines that were carried out.
            idempotency: the caller's key for these lines: a repeat changes nothing.

        Raises:
            OverloadedError: if the writer's queue is full.
            IdempotencyConflictError: if the idempotency key was used for another request.
        """
        plans: list[Planned] = []

        def work(tx: Transaction) -> str:
            return once(
                tx.notifications, app_id, idempotency, self._clock(),
                lambda: tell(self._all(tx, app_id, lines, plans)),
                write=str, read=str,
            )  # fmt: skip

        # In a task of its own: a caller who goes away meanwhile does not keep what is on disk from being sent.
        task = asyncio.create_task(self._carry_out(work, plans), context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def _carry_out(self, work: Callable[[Transaction], str], plans: Sequence[Planned]) -> str:
        answer = await self._store.write(work)
        for planned in plans:
            self._delivery.send_round(planned)
        return answer

    def _all(
        self, tx: Transaction, app_id: AppId, lines: Sequence[Line], plans: list[Planned]
    ) -> list[LineOutcome]:  # fmt: skip
        outcomes: dict[int, LineOutcome] = {}
        left: list[int] = list(range(len(lines)))
        while left:
            # One line of an activity at a time: the next one builds on it.
            first: dict[GroupId, int] = {}
            later = [place for place in left if first.setdefault(lines[place].group_id, place) != place]
            plans.append(self._together(tx, app_id, lines, list(first.values()), outcomes))
            alone = [place for place in first.values() if place not in outcomes]
            for place in alone:
                outcomes[place] = self._alone(tx, app_id, lines[place])
            if alone:
                plans.append(Planned((), waiting=True))
            left = later
        return [outcomes[place] for place in range(len(lines))]

    def _together(
        self,
        tx: Transaction,
        app_id: AppId,
        lines: Sequence[Line],
        places: Sequence[int],
        outcomes: dict[int, LineOutcome],
    ) -> Planned:
        """Lines that an update is enough for; the others are left out of `outcomes`."""
        now = self._clock()
        changes: list[Change] = []
        wishes: list[Wish] = []
        known: set[ActivityId] = set()
        updates = [place for place in places if lines[place].end is None and not lines[place].is_personal]
        for seen in tx.rounds.look(app_id, [lines[place].group_id for place in updates], wanted=True):
            wanted = seen.wanted or _FRESH
            if seen.activity_id in known:  # by another of its names
                continue
            known.add(seen.activity_id)
            if seen.phase == _RUNNING and not seen.on_channel and wanted.simple:
                place = updates[seen.place]
                outcomes[place] = self._update(app_id, lines[place], seen, wanted, changes, wishes, now)
        if wishes:
            tx.rounds.want(wishes)
        return accept_round(tx, self._delivery, changes, now) if changes else Planned((), waiting=False)

    def _update(
        self,
        app_id: AppId,
        line: Line,
        seen: Seen,
        wanted: Wanted,
        changes: list[Change],
        wishes: list[Wish],
        now: Millis,
    ) -> LineOutcome:
        """As `DesiredState.put_within` for an activity without an audience; adds to what is to be stored."""
        settings = self._settings
        digest = digest_of(line.state, line.alert, None, None, line.relevance, line.stale_at, seen.ends_at)
        same = wanted.digest == digest.hex().upper()
        if is_outdated(line.version, wanted.version, same=same):
            return LineOutcome(LineResult.REFUSED, error=OutdatedError(line.version, wanted.version))
        version = line.version if line.version is not None else wanted.version
        if same:
            if version != wanted.version:
                kept = wanted.pushed_at, wanted.spent, wanted.spent_at
                wishes.append(Wish(seen.activity_id, digest, version, Millis(0), Millis(0), *kept))
            return LineOutcome(LineResult.NOOP, seen.newest)
        urgent = line.important or line.alert is not None
        priority, meter = settings.spend(
            line.priority, Meter(wanted.spent, wanted.spent_at), now, urgent=urgent, frequent=False, cards=seen.cards
        )
        stale_date = settings.stale_date(line.stale_at, None, now)
        command = Update(line.state, priority, stale_date, line.alert, line.relevance)
        if not fits(command):
            return LineOutcome(LineResult.REFUSED, error=PayloadTooLargeError(size_of(command), payload.MAX_BODY))
        due = settings.due_at(wanted.pushed_at, now, urgent=urgent)
        changed = change(app_id, seen, command, now, due_at=due)
        changes.append(changed)
        alerted_at = now if line.alert is not None else Millis(0)
        wishes.append(Wish(seen.activity_id, digest, version, alerted_at, now, due, meter.spent, meter.at))
        return LineOutcome(LineResult.CHANGED, changed.number)

    def _alone(self, tx: Transaction, app_id: AppId, line: Line) -> LineOutcome:
        try:
            with tx.part():
                return self._end(tx, app_id, line) if line.end is not None else self._put(tx, app_id, line)
        except RefusedError as error:
            return LineOutcome(LineResult.REFUSED, error=error)

    def _end(self, tx: Transaction, app_id: AppId, line: Line) -> LineOutcome:
        assert line.end is not None
        outcome = self._desired.end_within(tx, app_id, line.group_id, line.end, self._clock(), version=line.version)
        if outcome is None:
            return LineOutcome(LineResult.UNKNOWN)
        return LineOutcome(LineResult.CHANGED if outcome.revisions else LineResult.NOOP, outcome.activity.newest)

    def _put(self, tx: Transaction, app_id: AppId, line: Line) -> LineOutcome:
        activity = tx.activities.by_group(app_id, line.group_id) or adopt(tx, app_id, line.group_id)
        if activity is None:
            return LineOutcome(LineResult.UNKNOWN)
        if activity.phase is Phase.ENDED:
            raise EndedError("the activity has ended")
        standing = tx.desired.get(activity.activity_id)
        policies = standing.policies if standing is not None else Policies()
        outcome = self._desired.put_within(tx, app_id, line.wish(policies, activity.ends_at), self._clock())
        return LineOutcome(LineResult.CHANGED if outcome.revisions else LineResult.NOOP, outcome.activity.newest)
