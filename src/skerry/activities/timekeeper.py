"""Everything that happens later is a row with `due_at`; this is the loop that reads them."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, Protocol, TypeVar

from skerry.activities.ports import TimerRecords
from skerry.domain.ids import Millis
from skerry.domain.timer import Timer, TimerKind
from skerry.domain.unit_of_work import UnitOfWork

BATCH = 100
LONGEST_NAP = 30.0
"""Seconds between two looks at the table, however far away the next timer is."""


class HasTimers(Protocol):
    """The part of a transaction that this needs."""

    @property
    def timers(self) -> TimerRecords: ...  # noqa: D102


TxT = TypeVar("TxT", bound=HasTimers)

Handler = Callable[[TxT, Timer, Millis], None]


class Timekeeper(Generic[TxT]):
    """Carries out timers in the transaction that forgets them: each once, whatever happens in between."""

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

        def work(tx: TxT) -> int:
            timers = tx.timers.due(now, BATCH)
            for timer in timers:
                tx.timers.done(timer)
                self._handlers[timer.kind](tx, timer, now)
            return len(timers)

        count = await self._store.write(work)
        self._wake()
        return count
