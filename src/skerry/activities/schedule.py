"""The schedule as callers use it: put a change on it, look at it, take a change off again."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import msgspec

from skerry.activities.limits import check_phases, check_size
from skerry.activities.ports import Delivery, Transaction
from skerry.domain import activity as rules
from skerry.domain.activity import Activity, Start, Update
from skerry.domain.commands import Idempotency
from skerry.domain.desired import QUIET_ALERT, Desired
from skerry.domain.errors import FieldRefusedError, NothingToStartError, OutdatedError
from skerry.domain.event import EventKind, scheduled
from skerry.domain.ids import ActivityId, AppId, GroupId, Millis, Seconds
from skerry.domain.receipt import Slice
from skerry.domain.repeats import once
from skerry.domain.schedule import (
    MOST_WAITING,
    Action,
    ChangeState,
    Ending,
    HasRunError,
    LocalTime,
    Said,
    ScheduledChange,
    ScheduleId,
    TooManyChangesError,
    instant,
)
from skerry.domain.script import begin
from skerry.domain.unit_of_work import UnitOfWork

T = TypeVar("T", bound=ScheduledChange | None)


class Schedule:
    """Every method returns once its effect is on disk."""

    def __init__(
        self,
        store: UnitOfWork[Transaction],
        delivery: Delivery,
        *,
        clock: Callable[[], Millis],
        announce: Callable[[], None],
    ) -> None:
        """`announce` is called after the commit of a new change, which may be due before everything else."""
        self._store = store
        self._delivery = delivery
        self._clock = clock
        self._announce = announce

    async def add(
        self,
        app_id: AppId,
        group_id: GroupId,
        change: Said,
        when: Millis | LocalTime,
        *,
        idempotency: Idempotency | None = None,
    ) -> ScheduledChange:
        """Put a change on the schedule; the activity need not be there yet.

        Whatever can be known now is checked now: what could not be done whatever happens until then is refused.

        Raises:
            FieldRefusedError: if its time has passed, or is not one; if phases are out of order or too large.
            OutdatedError: if a change with the same or a higher version has been accepted.
            NothingToStartError: if it would start an activity, and attributes or their type are not known to anybody.
            PayloadTooLargeError: if a push of it could not be sent.
            UnknownSegmentError, AudienceTooComplexError: if its audience could not be used.
            TooManyChangesError: if too many wait for the activity.
            IdempotencyConflictError: if the idempotency key was used for another request.
        """
        at = instant(when)

        def add(tx: Transaction, now: Millis) -> ScheduledChange:
            self._check(tx, app_id, group_id, change, at, now)
            action = Action.END if isinstance(change, Ending) else Action.PUT
            made_now = ScheduledChange(ScheduleId(0), app_id, group_id, action, at, now)
            return replace(made_now, schedule_id=tx.schedule.add(made_now, change))

        added = await self._once(app_id, idempotency, add)
        self._announce()
        return added

    async def get(self, app_id: AppId, schedule_id: ScheduleId) -> tuple[ScheduledChange, Said] | None:
        """One change and what it says; None: the app has none of this number, or it is past its retention."""

        def work(tx: Transaction) -> tuple[ScheduledChange, Said] | None:
            found, said = tx.schedule.get(schedule_id), tx.schedule.said(schedule_id)
            return (found, said) if found is not None and said is not None and found.app_id == app_id else None

        return await self._store.read(work)

    async def page(
        self, app_id: AppId, group_id: GroupId | None, state: ChangeState, *, after: ScheduleId, maximum: int
    ) -> Slice[ScheduledChange]:
        """Changes of the app, or of one activity, in a state, in the order in which they were made."""
        found = await self._store.read(lambda tx: tx.schedule.page(app_id, group_id, state, after, maximum + 1))
        return Slice.of(found, maximum)

    async def cancel(
        self, app_id: AppId, schedule_id: ScheduleId, *, idempotency: Idempotency | None = None
    ) -> ScheduledChange | None:
        """Take a change off; one that is off already stays so. None: the app has none of this number.

        Raises:
            HasRunError: if it was done, or has failed.
            IdempotencyConflictError: if the idempotency key was used for another request.
        """

        def cancel(tx: Transaction, now: Millis) -> ScheduledChange | None:
            found = tx.schedule.get(schedule_id)
            if found is None or found.app_id != app_id:
                return None
            if tx.schedule.settle(schedule_id, ChangeState.CANCELLED, now):
                tell(tx, found, EventKind.SCHEDULE_CANCELLED, now)
            elif found.state is not ChangeState.CANCELLED:
                raise HasRunError(f"change {schedule_id} is {found.state.name.lower()}")
            return tx.schedule.get(schedule_id)

        return await self._once(app_id, idempotency, cancel)

    async def _once(
        self, app_id: AppId, idempotency: Idempotency | None, work: Callable[[Transaction, Millis], T]
    ) -> T:  # fmt: skip
        now = self._clock()
        return await self._store.write(
            lambda tx: once(tx.notifications, app_id, idempotency, now, lambda: work(tx, now), write=_text, read=_read)
        )

    def _check(self, tx: Transaction, app_id: AppId, group_id: GroupId, change: Said, at: Millis, now: Millis) -> None:
        if at <= now:
            raise FieldRefusedError("at", "lies in the past", "send a time to come, or make the change now")
        waiting = tx.schedule.waiting(app_id, group_id)
        if waiting >= MOST_WAITING:
            raise TooManyChangesError
        activity = tx.activities.by_group(app_id, group_id)
        standing = tx.desired.get(activity.activity_id) if activity is not None else None
        last = standing.version if standing is not None else None
        if change.version is not None and last is not None and change.version <= last:
            raise OutdatedError(change.version, last)
        some = activity or Activity(ActivityId(0), app_id, now)
        if isinstance(change, Ending):
            check_size(rules.end(some, change.command, now)[1])
            return
        if change.ends_at is not None and change.ends_at * 1000 <= at:
            raise FieldRefusedError("ends_at", "does not come after at", "send a later time, or schedule an end")
        begin(some.activity_id, change, at, at)
        check_phases(change.phases)
        stale = Seconds(at // 1000)
        update = Update(change.state, stale_date=stale, alert=change.alert, relevance=change.relevance)
        check_size(rules.update(some, update, now)[1])
        if change.audience is not None:
            self._delivery.looked_up(tx, some, change.audience)
            _check_start(some, change, stale, now, others=waiting > 0)


def _text(change: ScheduledChange | None) -> str | None:
    return None if change is None else msgspec.json.encode(change).decode()


def _read(text: str) -> Any:
    return msgspec.json.decode(text, type=ScheduledChange)


def _check_start(some: Activity, change: Desired, stale: Seconds, now: Millis, *, others: bool) -> None:
    """`others`: changes that come before it may bring what it lacks."""
    kind = change.attributes_type if change.attributes_type is not None else some.attributes_type
    attributes = change.attributes if change.attributes is not None else some.attributes
    if kind is not None and attributes is not None:
        alert = change.alert if change.alert is not None else QUIET_ALERT
        start = Start(kind, attributes, change.state, alert, stale_date=stale, relevance=change.relevance)
        check_size(rules.start(some, start, now)[1])
    elif not others:
        raise NothingToStartError("type" if kind is None else "attributes")


def tell(tx: Transaction, change: ScheduledChange, kind: EventKind, now: Millis, **body: Any) -> None:
    """What became of a change, as an event of its activity where there is one."""
    activity = tx.activities.by_group(change.app_id, change.group_id)
    tx.events.add(scheduled(change, kind, activity.activity_id if activity is not None else None, now, **body))
