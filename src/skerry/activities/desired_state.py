"""The desired state of activities: from what a caller wants to the difference that has to be pushed.

One transaction compares what is wanted with what was wanted before, and sends what is missing on its way: an update for
cards that are there, a start for devices that have none, nothing where nothing has changed. So a caller may say the
same as often as it likes, and a retry is free.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from skerry.activities.acceptance import accept, differs
from skerry.activities.limits import check_phases
from skerry.activities.ports import Delivery, Transaction
from skerry.activities.renewal import Renewal
from skerry.activities.service import adopt
from skerry.domain import activity as rules
from skerry.domain import payload
from skerry.domain.activity import Activity, End, Phase, Start, Update
from skerry.domain.audience import Audience
from skerry.domain.budget import HIGH, Meter, govern
from skerry.domain.commands import Idempotency, Pace
from skerry.domain.desired import (
    QUIET_ALERT,
    Desired,
    Outcome,
    Priority,
    Routing,
    Standing,
    is_outdated,
    outcome_text,
    read_outcome,
)
from skerry.domain.errors import (
    ChangedMeanwhileError,
    FixedAttributesError,
    NothingToStartError,
    OutdatedError,
    PersonalOnChannelError,
    RefusedError,
)
from skerry.domain.ids import ActivityId, AppId, GroupId, Millis, RevisionNumber, Seconds
from skerry.domain.repeats import once
from skerry.domain.script import Script, begin
from skerry.domain.timer import Timer, TimerKind
from skerry.domain.unit_of_work import UnitOfWork

_AS_BEFORE: Final = Desired(GroupId(""), b"{}")
"""A wish that says nothing: what a phase of a script is filled into."""


@dataclass(frozen=True, slots=True)
class DesiredStateSettings:
    """Times in milliseconds."""

    interval: Millis = Millis(1_000)
    """Between two updates of one activity that nobody must see at once; of those in between the newest counts."""
    high_per_hour: int = 60
    """High-priority pushes that a device is trusted to bear an hour; Apple does not say."""
    frequent_high_per_hour: int = 240
    """The same for an app with frequent updates."""
    stale_after: Millis | None = Millis(2 * 3_600_000)
    """After the last revision, for activities that say nothing else (apple.md 9.2)."""

    def per_hour(self, *, frequent: bool) -> int:
        """High-priority pushes an hour."""
        return self.frequent_high_per_hour if frequent else self.high_per_hour

    def due_at(self, slot: Millis, now: Millis, *, urgent: bool) -> Millis:
        """When an update goes out: at once where it is urgent, else in the slot that one before it waits for."""
        if urgent:
            return now
        return slot if slot > now else Millis(max(now, slot + self.interval))

    def spend(
        self, asked: Priority, meter: Meter, now: Millis, *, urgent: bool, frequent: bool, cards: int
    ) -> tuple[int, Meter]:
        """The priority of an update, and the budget of its cards after it; without cards it costs nothing."""
        per_hour = self.per_hour(frequent=frequent)
        priority = govern(meter, per_hour, now, important=urgent) if asked is Priority.AUTO else int(asked.value)
        return priority, meter.spend(per_hour, now) if priority == HIGH and cards > 0 else meter

    def stale_date(self, stale_at: Seconds | None, stale_after: Millis | None, now: Millis) -> Seconds | None:
        """When a state that comes now is stale: as it says itself, else after a while."""
        if stale_at is not None:
            return stale_at
        after = stale_after or self.stale_after
        return None if after is None else Seconds((now + after) // 1000)


class DesiredState:
    """Every method returns once its effect is on disk."""

    def __init__(
        self,
        store: UnitOfWork[Transaction],
        delivery: Delivery,
        settings: DesiredStateSettings,
        renewal: Renewal,
        *,
        clock: Callable[[], Millis],
        announce_script: Callable[[], None] = lambda: None,
    ) -> None:
        """`announce_script` is called after the commit of a wish that brings a script."""
        self._store = store
        self._delivery = delivery
        self._settings = settings
        self._renewal = renewal
        self._clock = clock
        self._announce_script = announce_script

    async def put(
        self,
        app_id: AppId,
        desired: Desired,
        *,
        expected: RevisionNumber | None = None,
        idempotency: Idempotency | None = None,
    ) -> Outcome:
        """Make an activity so.

        Args:
            app_id: whose activity it is.
            desired: what is wanted.
            expected: the newest revision that the caller has seen, where it wants to be sure.
            idempotency: the caller's key for this request: a repeat changes nothing, whatever has come in between, and
                has the outcome of the first.

        Raises:
            OutdatedError: if the caller's version is lower than one that was accepted, or the same with other content.
            ChangedMeanwhileError: if the activity is at another revision than expected.
            FixedAttributesError: if attributes or their type differ from those that cards run with.
            NothingToStartError: if there is an audience and no attributes, or no type of them.
            PayloadTooLargeError: if a push could not be sent.
            FieldRefusedError: if the phases are out of order, or over.
            PersonalOnChannelError: if it is not the same for everybody, and is to go, or goes, by channel.
            IdempotencyConflictError: if the idempotency key was used for another request.
        """

        def work(tx: Transaction) -> Outcome:
            now = self._clock()
            return once(
                tx.notifications, app_id, idempotency, now,
                lambda: self.put_within(tx, app_id, desired, now, expected=expected),
                write=outcome_text, read=read_outcome,
            )  # fmt: skip

        outcome = await self._store.write(work)
        self._delivery.wake()
        if desired.phases:
            self._announce_script()
        return outcome

    async def end(
        self,
        app_id: AppId,
        group_id: GroupId,
        command: End,
        *,
        version: int | None = None,
        expected: RevisionNumber | None = None,
        idempotency: Idempotency | None = None,
    ) -> Outcome | None:
        """End an activity; None: there is none. An ended one stays as it is.

        Raises:
            OutdatedError, ChangedMeanwhileError, PayloadTooLargeError, IdempotencyConflictError: as `put`.
        """

        def work(tx: Transaction) -> Outcome | None:
            now = self._clock()
            return once(
                tx.notifications, app_id, idempotency, now,
                lambda: self.end_within(tx, app_id, group_id, command, now, version=version, expected=expected),
                write=outcome_text, read=read_outcome,
            )  # fmt: skip

        outcome = await self._store.write(work)
        self._delivery.wake()
        return outcome

    def end_within(
        self,
        tx: Transaction,
        app_id: AppId,
        group_id: GroupId,
        command: End,
        now: Millis,
        *,
        version: int | None = None,
        expected: RevisionNumber | None = None,
    ) -> Outcome | None:
        """`end`, as a part of somebody's transaction."""
        activity = tx.activities.by_group(app_id, group_id) or adopt(tx, app_id, group_id)
        if activity is None:
            return None
        standing = tx.desired.get(activity.activity_id)
        _check_order(activity, standing, version, expected, same=activity.phase is Phase.ENDED)
        if activity.phase is Phase.ENDED:
            return Outcome(activity, ())
        if standing is not None and version is not None:
            tx.desired.save(replace(standing, version=version))
        return self._end(tx, activity, command, now)

    def advance(self, tx: Transaction, activity_id: ActivityId, now: Millis) -> None:
        """The script of an activity goes on: to the phase of this moment, or to the end.

        Raises:
            PayloadTooLargeError: if a push could not be sent.
        """
        script, activity, standing = tx.scripts.get(activity_id), tx.activities.get(activity_id), None
        if script is None or script.due_at is None or script.due_at > now:
            return
        if activity is not None and activity.phase is Phase.RUNNING:
            standing = tx.desired.get(activity_id)
        if activity is None or standing is None:
            tx.scripts.remove(activity_id)
            return
        reached = script.at(now)
        if reached.is_over(now):
            self._end(tx, activity, script.last_word(standing.policies.dismissal(now)), now)
            return
        desired = reached.shown(replace(_AS_BEFORE, policies=standing.policies))
        alerted_at = standing.alerted_at if desired.alert is None else now
        after = replace(standing, alerted_at=alerted_at, revised_at=now)
        activity, after, _ = self._update(tx, activity, after, desired, now)
        tx.desired.save(after)
        if self._may_start(tx, activity, standing, after, now):
            activity = self._start(tx, activity, after.audience or Audience(), desired, now)
            tx.desired.save(replace(after, start=activity.newest))
        tx.scripts.save(reached)

    def high_priority_left(self, standing: Standing) -> int:
        """High-priority pushes that this activity's cards are trusted to bear at the moment."""
        per_hour = self._settings.per_hour(frequent=standing.policies.frequent)
        return max(0, int(standing.meter.left(per_hour, self._clock())))

    def silent(self, tx: Transaction, timer: Timer, now: Millis) -> None:
        """The caller has said nothing for as long as it allowed itself: end what still runs."""
        activity = tx.activities.get(timer.activity_id)
        if activity is not None and activity.phase is Phase.RUNNING:
            standing = tx.desired.get(activity.activity_id)
            dismissal = standing.policies.dismissal(now) if standing is not None else None
            self._end(tx, activity, End(dismissal_date=dismissal), now)

    def put_within(
        self,
        tx: Transaction,
        app_id: AppId,
        desired: Desired,
        now: Millis,
        *,
        expected: RevisionNumber | None = None,
        since: Millis | None = None,
    ) -> Outcome:
        """`put`, as a part of somebody's transaction. A script counts from `since` on where that is not now."""
        known = tx.activities.by_group(app_id, desired.group_id) or adopt(tx, app_id, desired.group_id)
        standing = tx.desired.get(known.activity_id) if known is not None else None
        digest = desired.digest
        running = known is not None and known.phase is Phase.RUNNING
        same = running and standing is not None and standing.digest == digest
        _check_order(known, standing, desired.version, expected, same=same)
        shown_before = running and standing is not None and standing.personal
        said = ((desired.state, desired.alert), *((one.state, one.alert) for one in desired.phases))
        personal = shown_before or any(differs(state, alert) for state, alert in said)
        if personal and desired.policies.routing is Routing.CHANNEL:
            raise PersonalOnChannelError("a channel says the same to all phones")
        activity = known or self._create(tx, app_id, desired.group_id, now)
        activity = _with_attributes(rules.reopen(activity), desired, running=running)
        before = standing or Standing(activity.activity_id, b"", None, desired.policies)
        if not running:
            before = replace(before, start=RevisionNumber(0), alerted_at=Millis(0), pushed_at=Millis(0))
        audience = desired.audience if desired.audience is not None else before.audience
        script = self._script(tx, activity, desired, now if since is None else since, now, same=same)
        if script is not None:
            desired = script.shown(desired)
        after = replace(
            before, digest=digest, audience=audience, policies=desired.policies,
            version=desired.version if desired.version is not None else before.version,
            alerted_at=now if desired.alert is not None and not same else before.alerted_at,
            revised_at=before.revised_at if same else now, personal=personal,
        )  # fmt: skip
        revisions: list[RevisionNumber] = []
        priority = None
        if not same:
            activity, after, priority = self._update(tx, activity, after, desired, now)
            revisions.append(activity.newest)
        script_ends_at = script.ends_in_seconds if script is not None else None
        ends = [end for end in (desired.ends_at, script_ends_at) if end is not None]
        activity = replace(activity, ends_at=min(ends, default=None))
        tx.activities.save(activity)
        # Before the start is planned: who was swiped away is told from it.
        tx.desired.save(after)
        if audience is not None and self._wants_start(tx, activity, before, after, same=same, now=now):
            activity = self._start(tx, activity, audience, desired, now)
            revisions.append(activity.newest)
            after = replace(after, start=activity.newest)
            tx.desired.save(after)
            activity = tx.activities.get(activity.activity_id) or activity
        if audience != before.audience or not running or after.policies != before.policies:
            follows = audience is not None and desired.policies.late_joiners
            tx.desired.follow(app_id, activity.activity_id, _keys(audience) if follows and audience else ())
        self._set_timers(tx, activity, desired, now)
        if not running or before.policies.renew is not desired.policies.renew:
            self._renewal.arm(tx, activity, now, renew=desired.policies.renew)
        return Outcome(activity, tuple(revisions), created=known is None, priority=priority)

    def _script(
        self, tx: Transaction, activity: Activity, desired: Desired, since: Millis, now: Millis, *, same: bool
    ) -> Script | None:
        """The script that the activity has from now on: the wish's own, or, said again, the one that is under way."""
        if same:
            return tx.scripts.get(activity.activity_id) if desired.phases else None
        script = begin(activity.activity_id, desired, since, now)
        if script is None:
            tx.scripts.remove(activity.activity_id)
        else:
            check_phases(desired.phases)
            tx.scripts.save(script)
        return script

    def _create(self, tx: Transaction, app_id: AppId, group_id: GroupId, now: Millis) -> Activity:
        activity = tx.activities.create(app_id, now)
        tx.activities.add_name(activity.activity_id, app_id, group_id)
        return replace(activity, named=True)

    def _update(
        self, tx: Transaction, activity: Activity, standing: Standing, desired: Desired, now: Millis
    ) -> tuple[Activity, Standing, int]:
        """The new state as a revision that every card of the run must end on, those included that join late."""
        urgent = desired.important or desired.alert is not None
        priority, meter = self._settings.spend(
            desired.priority, standing.meter, now,
            urgent=urgent, frequent=standing.policies.frequent, cards=activity.next_card - activity.first_card,
        )  # fmt: skip
        command = Update(
            state=desired.state,
            priority=priority,
            stale_date=self._settings.stale_date(desired.stale_at, desired.policies.stale_after, now),
            alert=desired.alert,
            relevance=desired.relevance,
        )
        activity, revision = rules.update(activity, command, now)
        accept(tx, activity, revision)
        due = self._settings.due_at(standing.pushed_at, now, urgent=urgent)
        self._delivery.plan_revision(tx, activity, revision, activity.first_card, due)
        return activity, replace(standing, pushed_at=due, meter=meter), priority

    def _wants_start(
        self, tx: Transaction, activity: Activity, before: Standing, after: Standing, *, same: bool, now: Millis
    ) -> bool:
        """Whether somebody may have to be started: of a few we can see it, of many only that something changed."""
        audience = after.audience
        if audience is None:
            return False
        if audience.is_small:
            return not after.start or self._delivery.lacks(tx, activity, audience, activity.attributes_type or "")
        if audience != before.audience or not before.start:
            return True
        return not same and tx.activities.is_any_startable_again(
            activity.activity_id, activity.first_card, after.swipes_since(now)
        )

    def _may_start(
        self, tx: Transaction, activity: Activity, before: Standing, after: Standing, now: Millis
    ) -> bool:  # fmt: skip
        """`_wants_start`, where nobody waits for an answer: what has become impossible since is left out."""
        if after.audience is None or activity.attributes is None or activity.attributes_type is None:
            return False
        try:
            self._delivery.looked_up(tx, activity, after.audience)
        except RefusedError:  # a segment has been deleted
            return False
        return self._wants_start(tx, activity, before, after, same=False, now=now)

    def _start(
        self, tx: Transaction, activity: Activity, audience: Audience, desired: Desired, now: Millis
    ) -> Activity:  # fmt: skip
        if activity.attributes_type is None:
            raise NothingToStartError("type")
        if activity.attributes is None:
            raise NothingToStartError("attributes")
        command = Start(
            attributes_type=activity.attributes_type,
            attributes=activity.attributes,
            state=desired.state,
            alert=desired.alert if desired.alert is not None else QUIET_ALERT,
            ends_at=activity.ends_at,
            stale_date=self._settings.stale_date(desired.stale_at, desired.policies.stale_after, now),
            relevance=desired.relevance,
        )
        activity, revision = rules.start(activity, command, now)
        accept(tx, activity, revision)
        self._delivery.plan_start(tx, activity, revision, audience, Pace())
        return activity

    def _end(self, tx: Transaction, activity: Activity, command: End, now: Millis) -> Outcome:
        ended, revision = rules.end(activity, command, now)
        accept(tx, ended, revision)
        tx.timers.cancel(TimerKind.PLANNED_END, ended.activity_id)
        tx.timers.cancel(TimerKind.SILENCE, ended.activity_id)
        tx.scripts.remove(ended.activity_id)
        tx.desired.follow(ended.app_id, ended.activity_id, ())
        self._delivery.plan_revision(tx, ended, revision, activity.first_card)
        return Outcome(ended, (revision.number,), priority=command.priority)

    def _set_timers(self, tx: Transaction, activity: Activity, desired: Desired, now: Millis) -> None:
        if desired.ends_at is not None:
            tx.timers.set(TimerKind.PLANNED_END, activity.activity_id, 0, Millis(desired.ends_at * 1000))
        else:
            tx.timers.cancel(TimerKind.PLANNED_END, activity.activity_id)
        if desired.policies.silence_ttl is not None:
            due = Millis(now + desired.policies.silence_ttl)
            tx.timers.set(TimerKind.SILENCE, activity.activity_id, 0, due)
        else:
            tx.timers.cancel(TimerKind.SILENCE, activity.activity_id)


def _check_order(
    activity: Activity | None,
    standing: Standing | None,
    version: int | None,
    expected: RevisionNumber | None,
    *,
    same: bool,
) -> None:
    newest = activity.newest if activity is not None else RevisionNumber(0)
    if expected is not None and expected != newest:
        raise ChangedMeanwhileError(f"the activity is at revision {newest}, not {expected}")
    last = standing.version if standing is not None else None
    if is_outdated(version, last, same=same):
        raise OutdatedError(version, last)


def _with_attributes(activity: Activity, desired: Desired, *, running: bool) -> Activity:
    """Attributes are taken at the start only (ActivityKit): they stay as they are while cards may run with them."""
    kind = desired.attributes_type if desired.attributes_type is not None else activity.attributes_type
    attributes = activity.attributes
    if desired.attributes is not None:
        attributes = desired.attributes
        if payload.GROUP_ID_ATTRIBUTE not in payload.members(attributes):
            attributes = payload.with_member(attributes, payload.GROUP_ID_ATTRIBUTE, desired.group_id)
    fixed = running and activity.next_card > activity.first_card and activity.attributes is not None
    if fixed and (kind, attributes) != (activity.attributes_type, activity.attributes):
        raise FixedAttributesError("attributes and type cannot change while the activity runs")
    return replace(activity, attributes_type=kind, attributes=attributes)


def _keys(audience: Audience) -> Iterator[str]:
    """What devices answer to that may come to match the audience: its names where it has some, else everybody."""
    if audience.ext_ids is not None:
        yield from (f"u:{one}" for one in audience.ext_ids)
    elif audience.installation_ids is not None:
        yield from (f"d:{one}" for one in audience.installation_ids)
    else:
        yield "*"
