"""Everything that happens later is a row with `due_at`; this is the loop that reads them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Generic, Protocol, TypeVar

import structlog

from skerry.activities.ports import TimerRecords
from skerry.domain.ids import Millis
from skerry.domain.timer import Timer, TimerKind
from skerry.domain.unit_of_work import UnitOfWork

log = structlog.get_logger()

BATCH = 100
PUT_OFF: Final = 1_000
"""Milliseconds until another attempt at a timer that could not be carried out; doubled with each attempt that fails."""
LONGEST_PUT_OFF: Final = 3_600_000
LONGEST_NAP = 30.0
"""Seconds between two looks at the table, however far away the next timer is."""


class HasTimers(Protocol):
    """The part of a transaction that this needs."""

    @property
    def timers(self) -> TimerRecords: ...  # noqa: D102


TxT = TypeVar("TxT", bound=HasTimers)

Handler = Callable[[TxT, Timer, Millis], None]


class Timekeeper(Generic[TxT]):
    """Carries out timers in the transaction that forgets them: each once, whatever happens in between.

    Those that are due are carried out together. Where one of them raises, nothing of that has happened: each is carried
    out by itself, and whatever raises then is put off, so that it keeps nobody else waiting.
    """

    def __init__(
        self,
        store: UnitOfWork[TxT],
        handlers: Mapping[TimerKind, Handler[TxT]],
        *,
        clock: Callable[[], Millis],
        nap: Callable[[float], Awaitable[object]],
        wake: Callable[[], None],
    ) -> None:
        """`nap` waits for at most that many seconds and ends early when a timer was set; `wake` tells delivery."""
        self._store = store
        self._handlers = handlers
        self._clock = clock
        self._nap = nap
        self._wake = wake
        self._failures: dict[int, int] = {}
        """How often in a row timers have raised, by id: the row of one that is put off stays the same."""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            if await self.turn():
                continue
            due = await self._store.read(lambda tx: tx.timers.next_due())
            wait = LONGEST_NAP if due is None else (due - self._clock()) / 1000
            await self._nap(min(max(wait, 0.0), LONGEST_NAP))

    async def turn(self) -> int:
        """Carry out what is due now; returns how many timers that were."""
        now = self._clock()
        if not await self._store.read(lambda tx: tx.timers.due(now, 1)):
            return 0

        try:
            count = await self._store.write(lambda tx: self._carry_out(tx, tx.timers.due(now, BATCH), now))
        except Exception:  # noqa: BLE001 - whatever it is, it is raised or logged once it is known whose it is
            due = await self._store.read(lambda tx: tx.timers.due(now, BATCH))
            for timer in due:
                await self._guarded(timer, now)
            count = len(due)
        self._wake()
        return count

    def _carry_out(self, tx: TxT, timers: Sequence[Timer], now: Millis) -> int:
        for timer in timers:
            tx.timers.done(timer)
            self._handlers[timer.kind](tx, timer, now)
        return len(timers)

    async def _guarded(self, timer: Timer, now: Millis) -> None:
        """Carry out one timer, or put it off. Where not even that can be stored, the error is the store's."""

        def work(tx: TxT) -> None:
            if timer in tx.timers.due(now, BATCH):  # it may have been cancelled meanwhile
                self._carry_out(tx, [timer], now)

        try:
            await self._store.write(work)
        except Exception:
            failures = self._failures[timer.timer_id] = self._failures.get(timer.timer_id, 0) + 1
            wait = min(PUT_OFF << min(failures - 1, 30), LONGEST_PUT_OFF)
            log.exception("a timer could not be carried out, and is put off", timer=timer, wait_s=wait / 1000)
            again = Millis(now + wait)
            await self._store.write(lambda tx: tx.timers.set(timer.kind, timer.activity_id, timer.subject, again))
        else:
            self._failures.pop(timer.timer_id, None)
