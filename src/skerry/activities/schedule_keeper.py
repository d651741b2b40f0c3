"""Carries out what has its time: scheduled changes, and the next phases of scripts. Each once, whatever happens.

Each is a unit of work of its own: the row that says it is due is settled in the transaction that does it, so a crash
finds it either done or still due, and one that is refused leaves nothing behind and holds nobody up. Those of one
moment share a commit.

What is late (the service was down, or the clock was set) is done at once, with two exceptions. A change that a later
one has overtaken meanwhile is done without its alert: nobody is rung for the past, and the later one replaces what is
unsent of it. And a start is not sent where its end has come as well, or long after its time: nobody wants a card for a
match that is over.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import structlog

from skerry.activities.desired_state import DesiredState
from skerry.activities.ports import Transaction
from skerry.activities.schedule import tell
from skerry.domain.activity import Phase
from skerry.domain.desired import Desired, Outcome
from skerry.domain.errors import OverloadedError, RefusedError
from skerry.domain.event import EventKind, script_failed
from skerry.domain.ids import ActivityId, Millis
from skerry.domain.schedule import (
    Action,
    ChangeState,
    Ending,
    NotRunningError,
    OvertakenError,
    Problem,
    Said,
    ScheduledChange,
    ScheduleId,
    TooLateError,
    UnknownActivityError,
    problem_of,
)
from skerry.domain.unit_of_work import UnitOfWork

log = structlog.get_logger()

BATCH = 100
LONGEST_NAP = 30.0
"""Seconds between two looks, however far away the next one is: the clock may be set."""
PUT_OFF = Millis(10_000)
"""For what has failed for a reason of ours, such as a full disk."""


@dataclass(frozen=True, slots=True)
class ScheduleSettings:
    """Times in milliseconds."""

    start_within: Millis = Millis(3_600_000)
    """After its time, in which a scheduled start is still sent."""


class ScheduleKeeper:
    """One loop over the two tables. `nap` waits for at most so many seconds; `wake` tells delivery."""

    def __init__(
        self,
        store: UnitOfWork[Transaction],
        desired: DesiredState,
        settings: ScheduleSettings,
        *,
        clock: Callable[[], Millis],
        nap: Callable[[float], Awaitable[object]],
        wake: Callable[[], None],
    ) -> None:
        self._store = store
        self._desired = desired
        self._settings = settings
        self._clock = clock
        self._nap = nap
        self._wake = wake
        self._put_off: dict[tuple[str, Any], Millis] = {}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            if await self.turn():
                continue
            due = await self._store.read(_next_due)
            wait = LONGEST_NAP if due is None else (due - self._clock()) / 1000
            # What is due and has been put off would be looked at without a pause.
            least = 1.0 if self._put_off else 0.0
            await self._nap(min(max(wait, least), LONGEST_NAP))

    async def turn(self) -> int:
        """Carry out what is due now; returns how much that was."""
        now = self._clock()
        self._put_off = {one: until for one, until in self._put_off.items() if until > now}
        most = BATCH + len(self._put_off)
        changes, scripts = await self._store.read(lambda tx: (tx.schedule.due(now, most), tx.scripts.due(now, most)))
        # In the order of time: the store does them in the order in which they are handed over.
        work = [(("change", one), self._change) for one in changes] + [
            (("script", one), self._script) for one in scripts
        ]
        done = sum(await asyncio.gather(*(self._guarded(*one) for one in work if one[0] not in self._put_off)))
        if done:
            self._wake()
        return done

    async def _guarded(self, what: tuple[str, Any], work: Callable[[Any], Awaitable[None]]) -> bool:
        """Whether it was done; otherwise it is tried again later, and the others are not held up."""
        try:
            await work(what[1])
        except Exception:
            log.exception("something that was due could not be done, and is put off", what=what)
            self._put_off[what] = Millis(self._clock() + PUT_OFF)
            return False
        return True

    async def _attempt(
        self, work: Callable[[Transaction], None], give_up: Callable[[Transaction, Problem], None]
    ) -> None:
        """Do it, or, where it is refused for good, say so in a transaction of its own."""
        try:
            await self._store.write(work)
        except OverloadedError:
            raise
        except RefusedError as error:
            problem = problem_of(error)
            await self._store.write(lambda tx: give_up(tx, problem))

    async def _change(self, schedule_id: ScheduleId) -> None:
        await self._attempt(
            lambda tx: self._carry_out(tx, schedule_id), lambda tx, problem: self._give_up(tx, schedule_id, problem)
        )

    def _carry_out(self, tx: Transaction, schedule_id: ScheduleId) -> None:
        now = self._clock()
        change, wanted = tx.schedule.get(schedule_id), tx.schedule.said(schedule_id)
        if change is None or wanted is None or not tx.schedule.settle(schedule_id, ChangeState.DONE, now):
            return  # it was cancelled meanwhile, or its user erased
        outcome = self._done(tx, change, wanted, now)
        newest = outcome.activity.newest
        tx.schedule.note(schedule_id, newest)
        result = "changed" if outcome.revisions else "noop"
        tell(tx, change, EventKind.SCHEDULE_DONE, now, revision=newest, result=result)

    def _done(self, tx: Transaction, change: ScheduledChange, wanted: Said, now: Millis) -> Outcome:
        if isinstance(wanted, Ending):
            ended = self._desired.end_within(
                tx, change.app_id, change.group_id, wanted.command, now, version=wanted.version
            )
            if ended is None:
                raise UnknownActivityError("there was no activity that could end")
            return ended
        overtaking = tx.schedule.overtaking(change, now)
        activity = tx.activities.by_group(change.app_id, change.group_id)
        if activity is None or activity.phase is not Phase.RUNNING:
            self._check_start(change, wanted, overtaking, now)
        if overtaking:
            wanted = _quiet(wanted)
        return self._desired.put_within(tx, change.app_id, wanted, now, since=change.at)

    def _check_start(self, change: ScheduledChange, wanted: Desired, overtaking: set[Action], now: Millis) -> None:
        """Whether a run may begin by this change."""
        if wanted.audience is None:
            raise NotRunningError("the activity was not running, and without an audience nothing is started")
        if Action.END in overtaking:
            raise OvertakenError("it was late, and the time of an end that was scheduled after it has come as well")
        late = now - change.at
        if late > self._settings.start_within:
            most = self._settings.start_within // 1000
            raise TooLateError(f"it was {late // 1000} s late, and a start is sent at most {most} s after its time")
        if wanted.ends_at is not None and wanted.ends_at * 1000 <= now:
            raise TooLateError("it was late, and the activity was to have ended meanwhile")

    def _give_up(self, tx: Transaction, schedule_id: ScheduleId, problem: Problem) -> None:
        now = self._clock()
        change = tx.schedule.get(schedule_id)
        if change is not None and tx.schedule.settle(schedule_id, ChangeState.FAILED, now, problem=problem):
            tell(tx, change, EventKind.SCHEDULE_FAILED, now, code=problem.code, detail=problem.detail)

    async def _script(self, activity_id: ActivityId) -> None:
        await self._attempt(
            lambda tx: self._desired.advance(tx, activity_id, self._clock()),
            lambda tx, problem: self._stop(tx, activity_id, problem),
        )

    def _stop(self, tx: Transaction, activity_id: ActivityId, problem: Problem) -> None:
        """A script cannot go on; the activity stays as it is."""
        activity = tx.activities.get(activity_id)
        if activity is not None and tx.scripts.get(activity_id) is not None:
            tx.events.add(script_failed(activity.app_id, activity_id, self._clock(), problem.code, problem.detail))
        tx.scripts.remove(activity_id)


def _quiet(desired: Desired) -> Desired:
    """The same without a sound: so it is superseded as long as it is unsent."""
    phases = tuple(replace(phase, alert=None) for phase in desired.phases)
    return replace(desired, alert=None, important=False, phases=phases)


def _next_due(tx: Transaction) -> Millis | None:
    return min((due for due in (tx.schedule.next_due(), tx.scripts.next_due()) if due is not None), default=None)
