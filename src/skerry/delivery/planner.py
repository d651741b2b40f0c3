"""Plan: from a decision to chunks, in the decision's own transaction.

An update or end is range arithmetic over card numbers. A start needs its audience first: up to a slice of devices
within the request, the rest slice by slice behind a durable cursor.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import structlog

from skerry.delivery.handover import Handover
from skerry.delivery.ports import Transaction
from skerry.delivery.settled import tell_if_settled
from skerry.domain.activity import Activity
from skerry.domain.audience import Audience
from skerry.domain.budget import OverBudget, StartBudget
from skerry.domain.card import RUNS_FOR, Card
from skerry.domain.channel import LINGERS_FOR
from skerry.domain.chunk import CHANNEL, CHUNK_SIZE, LARGE_AUDIENCE, Chunk, Lane, Recipient, fresh_verdicts, runs
from skerry.domain.commands import Pace
from skerry.domain.ids import ActivityId, AppId, CardNumber, ChunkId, DeviceId, Millis, RevisionNumber, Seconds
from skerry.domain.parcel import Parcel, Planned
from skerry.domain.plan import Plan
from skerry.domain.revision import Revision, RevisionKind
from skerry.domain.round import Change
from skerry.domain.unit_of_work import UnitOfWork
from skerry.domain.verdict import Verdict

log = structlog.get_logger()

OVER_START_BUDGET = "START_BUDGET"
"""Why a device was not started that would have dropped the start."""

SLICE = 5_000
"""Devices that one transaction looks at and spreads out: some 20 ms of the only writer."""


class Planner:
    """Turns revisions into chunks."""

    def __init__(
        self,
        *,
        clock: Callable[[], Millis],
        wake: Callable[[], None],
        handover: Handover | None = None,
        slice_size: int = SLICE,
        start_within: Millis = Millis(3_600_000),
        starts: StartBudget = StartBudget(),  # noqa: B008 - frozen
    ) -> None:
        """Make one.

        Args:
            clock: the time.
            wake: tells those who send.
            handover: to a sender in this process; None: everything waits in the outbox.
            slice_size: devices that one transaction looks at.
            start_within: after its time, in which a start that was to begin later still begins.
            starts: what a phone is trusted to take.
        """
        self._handover = handover or Handover()
        self._clock = clock
        self._wake = wake
        self._slice = slice_size
        self._start_within = start_within
        self._starts = starts

    def wake(self) -> None:
        """There is work: called after the commit."""
        self._wake()

    def plan_start(
        self, tx: Transaction, activity: Activity, revision: Revision, audience: Audience, pace: Pace
    ) -> None:  # fmt: skip
        """Spread a start out over its audience: now where it is small and due, else slice by slice.

        Raises:
            UnknownSegmentError: if the audience names a segment that there is not.
            AudienceTooComplexError: if it has too many conditions with those of its segments.
        """
        now = self._clock()
        audience = self.looked_up(tx, activity, audience)
        plan = Plan(
            plan_id=0,
            app_id=activity.app_id,
            activity_id=activity.activity_id,
            revision=revision.number,
            audience=audience,
            due_at=max(pace.begins_at or now, now),
            package=pace.package,
            interval=pace.interval,
        )
        if audience.ext_ids is not None:
            for ext_id in tx.audiences.missing_ext_ids(activity.app_id, audience.ext_ids):
                tx.rejections.add_miss(activity.activity_id, revision.number, None, ext_id, "NO_DEVICE", now)
        rest = plan if plan.due_at > now else self._spread(tx, plan, activity, revision, now)
        if rest is not None:
            tx.outbox.add_plan(rest)
        else:  # there may be nobody whom it reaches
            tell_if_settled(tx, activity.app_id, activity.activity_id, revision.number, now)

    def looked_up(self, tx: Transaction, activity: Activity, audience: Audience) -> Audience:
        """The audience with what its segments stand for now, and its rollout drawn for the activity."""
        names = tx.activities.names(activity.activity_id) if audience.rollout is not None else []
        return tx.segments.resolved(activity.app_id, audience, names[0] if names else "")

    def plan_late_start(self, tx: Transaction, activity: Activity, start: RevisionNumber, device_id: DeviceId) -> bool:
        """A start for one device that has come to match; False: it runs there, or a swipe keeps it away.

        It is the activity's own start, with its attributes and alert, and shows the newest state when it is framed.
        """
        now = self._clock()
        if self._unstartable(tx, activity, [device_id], now):
            return False
        self._add_cards(tx, activity, start, self._by_room(tx, [device_id], now), more=False, now=now)
        return True

    def plan_renewal(self, tx: Transaction, activity: Activity, start: Revision, devices: Sequence[DeviceId]) -> None:
        """A start of new cards for devices that run the activity already.

        It waits for no budget: the old card does not wait either, and ends at its eight hours.
        """
        now = self._clock()
        more = len(devices) >= LARGE_AUDIENCE
        self._add_cards(tx, activity, start.number, {now: devices}, more=more, now=now)

    def plan_farewell(
        self, tx: Transaction, activity: Activity, farewell: Revision, numbers: Sequence[CardNumber], *, channels: bool
    ) -> None:
        """An end for these cards, and for whoever listens on channels that a renewal has closed."""
        now = self._clock()
        chunks = [
            one
            for low, high in runs(numbers)
            for one in _chunks(activity.app_id, activity.activity_id, farewell.number, low, high, now)
        ]
        if channels:
            chunks += _chunks(activity.app_id, activity.activity_id, farewell.number, CHANNEL, CHANNEL, now)
            tx.channels.retire(activity.activity_id, Millis(now + LINGERS_FOR), closed=True)
        tx.outbox.add_chunks(chunks)

    def span(
        self, tx: Transaction, activity: Activity, revision: RevisionNumber
    ) -> tuple[CardNumber, CardNumber] | None:
        """The lowest and the highest card that a revision was planned for; None: it was for nobody."""
        return tx.outbox.span(activity.activity_id, revision)

    def is_settled(self, tx: Transaction, activity: Activity, revision: RevisionNumber) -> bool:
        """Whether each push of a revision has its verdict."""
        return tx.outbox.is_settled(activity.activity_id, revision)

    def lacks(self, tx: Transaction, activity: Activity, audience: Audience, attributes_type: str) -> bool:
        """Whether anybody of a small audience could be started and does not run the activity."""
        audience = self.looked_up(tx, activity, audience)
        reachable = tx.audiences.select(activity.app_id, audience, attributes_type, DeviceId(0), self._slice)
        known = [one.device_id for one in reachable if one.has_start_token]
        unstartable = self._unstartable(tx, activity, known, self._clock())
        return any(one not in unstartable for one in known)

    def plan_revision(
        self, tx: Transaction, activity: Activity, revision: Revision, first: CardNumber, due_at: Millis = Millis(0)
    ) -> None:
        """An update or end for all cards from `first` on. Older unsent updates are superseded by it.

        `due_at`: not before this time, so that a burst of updates becomes one push.
        """
        now = self._clock()
        for number in tx.outbox.supersede(activity.activity_id, revision.number):
            tell_if_settled(tx, activity.app_id, activity.activity_id, number, now)
        last = CardNumber(activity.next_card - 1)
        if last < first:
            return
        chunks = _chunks(activity.app_id, activity.activity_id, revision.number, first, last, now)
        channels = tx.channels.of_activity(activity.activity_id)
        if any(one.carries(revision, activity) for one in channels):
            chunks += _chunks(activity.app_id, activity.activity_id, revision.number, CHANNEL, CHANNEL, now)
        if channels and revision.kind is RevisionKind.END:
            tx.channels.retire(activity.activity_id, Millis(revision.created_at + LINGERS_FOR))
        tx.outbox.add_chunks([replace(chunk, due_at=max(chunk.due_at, due_at)) for chunk in chunks])

    def plan_round(self, tx: Transaction, changes: Sequence[Change]) -> Planned:
        """Updates for all cards of the present runs, as `plan_revision` does for one; none of them is on a channel."""
        now = self._clock()
        for one in changes:
            if one.seen.waits:
                for number in tx.outbox.supersede(one.seen.activity_id, one.number):
                    tell_if_settled(tx, one.app_id, one.seen.activity_id, number, now)
        parcels: list[Parcel] = []
        chunks: list[Chunk] = []
        room = self._handover.room
        for one in changes:
            seen = one.seen
            if seen.cards == 1 and seen.recipient is not None and one.due_at <= now and len(parcels) < room:
                parcels.append(_parcel(one, seen.recipient, now))
            elif seen.cards > 0:
                last = CardNumber(seen.next_card - 1)
                fresh = _chunks(one.app_id, seen.activity_id, one.number, seen.first_card, last, now)
                chunks += [replace(chunk, due_at=max(now, one.due_at)) for chunk in fresh]
        if parcels:
            tx.parcels.add(parcels, self._handover.owner)
        if chunks:
            tx.outbox.add_chunks(chunks)
        return Planned(parcels, waiting=bool(chunks))

    def send_round(self, planned: Planned) -> None:
        """It is on disk: called after the commit."""
        self._handover.give(planned.parcels)
        if planned.waiting:
            self._wake()

    def plan_broadcast(self, tx: Transaction, activity: Activity, target: RevisionNumber) -> None:
        """A revision once more, for those who began to listen while it went out."""
        if not tx.outbox.will_cover(activity.activity_id, target, CHANNEL):
            tx.outbox.add_chunks(
                _chunks(activity.app_id, activity.activity_id, target, CHANNEL, CHANNEL, self._clock())
            )

    def plan_card(self, tx: Transaction, activity: Activity, card: Card, floor: Seconds) -> None:
        """The newest revision for one card that has just become reachable, unless it is on its way already."""
        target = activity.target_of(card.number)
        if not floor and tx.outbox.will_cover(activity.activity_id, target, card.number):
            return
        chunks = _chunks(activity.app_id, activity.activity_id, target, card.number, card.number, self._clock())
        tx.outbox.add_chunks([replace(chunk, floor=floor) for chunk in chunks])

    def started_with_newest(self, tx: Transaction, activity: Activity, card: Card) -> bool:
        """Whether the card's start went out, and after the revision that it must end on: then it has shown that.

        A revision is planned for all cards that are there, which clocks that are set back do not change.
        """
        start = tx.outbox.verdict_of(activity.activity_id, card.started_by, card.number)
        target = tx.outbox.verdict_of(activity.activity_id, activity.target_of(card.number), card.number)
        return target is None and start in (Verdict.IN_FLIGHT, Verdict.ACCEPTED, Verdict.UNKNOWN)

    def was_started_before(self, tx: Transaction, activity: Activity, card: Card, token: str) -> bool:
        """Whether APNs had taken the card's start before its device told this start token, which starts use now."""
        kind = activity.attributes_type or ""
        used = tx.devices.current_start_token(activity.app_id, card.device_id, kind)
        verdict = tx.outbox.verdict_of(activity.activity_id, card.started_by, card.number)
        return used == token and verdict is Verdict.ACCEPTED

    def was_delivered(self, tx: Transaction, activity: Activity, number: CardNumber) -> bool:
        """Whether APNs has accepted the revision that this card must end on."""
        verdict = tx.outbox.verdict_of(activity.activity_id, activity.target_of(number), number)
        return verdict is Verdict.ACCEPTED

    async def spread_due(self, store: UnitOfWork[Transaction]) -> int:
        """Spread out one slice of each plan that is due; returns how many plans that were."""
        now = self._clock()
        if not await store.read(lambda tx: tx.outbox.due_plans(now, 1)):
            return 0
        return await store.write(lambda tx: self._spread_plans(tx, now))

    def _spread_plans(self, tx: Transaction, now: Millis) -> int:
        plans = tx.outbox.due_plans(now, 1)
        for plan in plans:
            activity = tx.activities.get(plan.activity_id)
            revision = tx.activities.revision(plan.activity_id, plan.revision)
            # Whoever has not been reached when the end comes is not started any more: nobody wants a card for a
            # match that is over. Starts that have become chunks go out (architecture, invariant 2).
            over = activity is None or revision is None or activity.end_revision > plan.revision
            if not over and self._is_too_late(plan, now):
                over = True
                _miss(tx, plan, now)
            rest = None if over else self._spread(tx, plan, activity, revision, now)  # type: ignore[arg-type]
            if rest is None:
                tx.outbox.finish_plan(plan)
                tell_if_settled(tx, plan.app_id, plan.activity_id, plan.revision, now)
            else:
                tx.outbox.save_plan(rest)
        return len(plans)

    def _is_too_late(self, plan: Plan, now: Millis) -> bool:
        """Whether a start was to begin later, and that is too long ago; one that has begun goes on."""
        return not plan.cursor and now - plan.due_at > self._start_within

    def _spread(self, tx: Transaction, plan: Plan, activity: Activity, revision: Revision, now: Millis) -> Plan | None:
        quota = plan.left or plan.package
        limit = min(quota or self._slice, self._slice)
        found = tx.audiences.slice(
            plan.app_id, plan.audience, revision.attributes_type or "", plan.cursor, self._slice, limit
        )
        reachable = found.reachable
        known = [one.device_id for one in reachable if one.has_start_token]
        unstartable = self._unstartable(tx, activity, known, now)
        for one in reachable:
            why = unstartable.get(one.device_id) if one.has_start_token else "NO_START_TOKEN"
            if why is not None and (plan.audience.is_small or why == OVER_START_BUDGET):
                tx.rejections.add_miss(activity.activity_id, revision.number, one.device_id, None, why, now)
        more = found.through is not None
        starting = self._by_room(tx, [one for one in known if one not in unstartable], now)
        self._add_cards(tx, activity, revision.number, starting, more=more, now=now)
        if found.through is None:
            return None
        left = quota - len(reachable) if quota is not None else None
        due = Millis(now + plan.interval) if left == 0 else now
        return replace(plan, cursor=found.through, due_at=due, left=left or None)

    def _unstartable(
        self, tx: Transaction, activity: Activity, devices: Sequence[DeviceId], now: Millis
    ) -> dict[DeviceId, str]:
        """Which of the devices must not be started, and why."""
        place = activity.activity_id, activity.first_card
        running = tx.activities.running_on(*place, devices, Millis(now - RUNS_FOR))
        found = dict.fromkeys(running, "ALREADY_RUNNING")
        standing = tx.desired.get(activity.activity_id)
        if standing is not None:
            swiped = tx.activities.swiped_on(*place, devices, standing.swipes_since(standing.revised_at))
            found = dict.fromkeys(swiped, "SWIPED_AWAY") | found
        asked = None if standing is None else standing.policies.start_budget
        if (asked or self._starts.over) is OverBudget.REFUSE:
            full = self._full(tx, [one for one in devices if one not in found], now)
            found |= dict.fromkeys(full, OVER_START_BUDGET)
        return found

    def _by_room(
        self, tx: Transaction, devices: Sequence[DeviceId], now: Millis
    ) -> dict[Millis, Sequence[DeviceId]]:  # fmt: skip
        """The devices by when there is room for one more start on them: at once for nearly all, who come first."""
        full = self._full(tx, devices, now)
        found: dict[Millis, Sequence[DeviceId]] = {
            now: [one for one in devices if one not in full] if full else devices
        }
        for room in sorted(set(full.values())):
            found[room] = [one for one, at in full.items() if at == room]
        return found

    def _full(self, tx: Transaction, devices: Sequence[DeviceId], now: Millis) -> dict[DeviceId, Millis]:
        """Those of the devices that would drop one more start, and when they would not."""
        return when_full(tx, self._starts, devices, now)

    def _add_cards(
        self,
        tx: Transaction,
        activity: Activity,
        revision: RevisionNumber,
        starting: Mapping[Millis, Sequence[DeviceId]],
        *,
        more: bool,
        now: Millis,
    ) -> None:
        first = activity.next_card
        chunks: list[Chunk] = []
        for at, devices in starting.items():
            if devices:
                following = CardNumber(first + len(devices))
                tx.activities.add_cards(activity.activity_id, first, revision, devices, now, at)
                later = _chunks(activity.app_id, activity.activity_id, revision, first, CardNumber(following - 1), now)
                chunks += [replace(chunk, due_at=at) for chunk in later] if at != now else later
                first = following
        if chunks:
            tx.activities.save(replace(activity, next_card=first))
            tx.outbox.add_chunks([replace(chunk, lane=Lane.LARGE) for chunk in chunks] if more else chunks)


def when_full(
    tx: Transaction, budget: StartBudget, devices: Sequence[DeviceId], now: Millis
) -> dict[DeviceId, Millis]:  # fmt: skip
    """Those of the devices that would drop one more start, and when they would not."""
    if not budget.most or not devices:
        return {}
    found = tx.activities.starts_of(devices, budget.counts_since(now), budget.most)
    rooms = {one: budget.room_at(starts, now) for one, starts in found.items()}
    return {one: room for one, room in rooms.items() if room > now}


def _miss(tx: Transaction, plan: Plan, now: Millis) -> None:
    """Nobody of a plan is started any more; whom it names is told so."""
    log.warning("a start was not sent: it is too late", activity=plan.activity_id, late_s=(now - plan.due_at) // 1000)
    named = plan.audience.ext_ids or ()
    known = set(named).difference(tx.audiences.missing_ext_ids(plan.app_id, named))
    for ext_id in sorted(known):
        tx.rejections.add_miss(plan.activity_id, plan.revision, None, ext_id, "TOO_LATE", now)


def _chunks(
    app_id: AppId, activity_id: ActivityId, revision: RevisionNumber, first: CardNumber, last: CardNumber, now: Millis
) -> list[Chunk]:  # fmt: skip
    lane = Lane.LARGE if last - first + 1 >= LARGE_AUDIENCE else Lane.SMALL
    return [
        Chunk(
            chunk_id=ChunkId(0),
            app_id=app_id,
            activity_id=activity_id,
            revision=revision,
            first=CardNumber(low),
            last=CardNumber(min(low + CHUNK_SIZE - 1, last)),
            verdicts=fresh_verdicts(min(CHUNK_SIZE, last - low + 1)),
            lane=lane,
            due_at=now,
            created_at=now,
        )
        for low in range(first, last + 1, CHUNK_SIZE)
    ]


def _parcel(change: Change, recipient: Recipient, now: Millis) -> Parcel:
    return Parcel(
        chunk_id=ChunkId(0),
        app_id=change.app_id,
        activity_id=change.seen.activity_id,
        number=change.seen.first_card,
        recipient=recipient,
        revision=change.number,
        kind=RevisionKind.UPDATE,
        timestamp=change.timestamp,
        state=change.state,
        alert=change.alert,
        priority=change.priority,
        stale_date=change.stale_date,
        relevance=change.relevance,
        created_at=now,
        due_at=now,
    )
