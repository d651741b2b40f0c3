"""The sender: claims chunks, frames them, hands them to the wire and settles what comes back.

One loop per lane, so that a courier's single card does not wait behind a final with a million. Everything between a
claim and its settlement may be lost with the process: the chunk's lease says so, and `recover` takes it from there.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from skerry.delivery.assistance import SILENT_AFTER
from skerry.delivery.channel_keeper import ChannelKeeper
from skerry.delivery.courier import Courier
from skerry.delivery.framing import ANYBODY, NO_CHANNELS, Framed, Shipment, frame, newest_state
from skerry.delivery.handover import Handover
from skerry.delivery.personalizing import People, body_for_all, need
from skerry.delivery.planner import Planner
from skerry.delivery.ports import AppDirectory, PushService, Transaction
from skerry.delivery.settlement import Answer, Settlement
from skerry.delivery.tally import Tally
from skerry.delivery.tokenless import NoTokenSettings, Tokenless
from skerry.domain.activity import Activity, Phase, framing_stamp
from skerry.domain.budget import StartBudget
from skerry.domain.card import CardStatus
from skerry.domain.channel import STORED_FOR, ActivityChannel, Broadcast, StoragePolicy
from skerry.domain.chunk import CHANNEL, Chunk, ChunkState, Lane, Recipient
from skerry.domain.ids import CardNumber, ChannelId, ChunkId, DeviceId, Millis, Seconds
from skerry.domain.parcel import Parcel
from skerry.domain.personal import Need
from skerry.domain.push import Environment, Outcome, Outcomes, PushBatch
from skerry.domain.revision import Revision, RevisionKind
from skerry.domain.timer import Timer
from skerry.domain.unit_of_work import UnitOfWork
from skerry.domain.verdict import Verdict

LONGEST_NAP = 15.0
"""Seconds between two looks at the outbox, should every wake-up be lost."""

BITES = 4
"""In which the room for large chunks is filled: each claim is a commit."""
READ_TOGETHER = 4
"""Large chunks of one read: a millisecond each, in which a reader serves nobody else."""

_ACCEPTED = int(Outcome.ACCEPTED)


@dataclass(frozen=True, slots=True)
class SenderSettings:
    """How the sender works. Times in seconds."""

    start_window: int = 100
    """Cards whose starts are in flight at once: what a crash can leave unknown."""
    chunks_at_once: Mapping[Lane, int] = field(default_factory=lambda: {Lane.SMALL: 256, Lane.LARGE: 64})
    parcels_at_once: int = 4_000
    """Single cards' updates on their way, beside those chunks."""
    lanes: Sequence[Lane] = tuple(Lane)
    assists: bool = False
    """It sends beside another process, which recovers, spreads and does all that is done once."""
    push_deadline: float = 30.0
    no_key_delay: float = 60.0
    """When to look again at an app that has no APNs key yet."""
    no_token: NoTokenSettings = field(default_factory=NoTokenSettings)
    starts: StartBudget = field(default_factory=StartBudget)
    """That a start which is sent again must not exceed."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A leased chunk with the rows it is framed from."""

    chunk: Chunk
    activity: Activity
    revision: Revision
    newer: Revision | None
    recipients: Sequence[Recipient]
    uses_channel: bool = False
    """Whether phones that can are started on a channel."""
    channels: Sequence[ActivityChannel] = ()
    """That the revision is broadcast to."""

    @property
    def is_outlived(self) -> bool:
        """Whether it starts cards of a run that is over, while the next one has begun.

        The phone would show both under one name, and nobody could tell which of their tokens is whose.
        """
        over = not self.chunk.is_broadcast and self.chunk.first < self.activity.first_card
        return over and self.revision.kind is RevisionKind.START and self.activity.phase is Phase.RUNNING

    @property
    def need(self) -> Need:
        """What may have to be known of whose its cards are."""
        return need(self.revision, self.newer)


@dataclass(slots=True)
class Answers:
    """What came back for what was sent. No object per push: nearly all are accepted, and teach nothing."""

    accepted: list[CardNumber] = field(default_factory=list)
    """By devices whose environment was proved before."""
    others: list[Answer] = field(default_factory=list)

    def take(self, shipment: Shipment, outcomes: Outcomes) -> None:
        """Add the outcomes of a shipment, one per recipient."""
        for place, (one, code) in enumerate(zip(shipment.recipients, outcomes.codes, strict=True)):
            if code == _ACCEPTED and one.environment_proved:
                self.accepted.append(one.number)
            else:
                rejected = outcomes.rejections.get(place)
                self.others.append(Answer(one, shipment.environment, Outcome(code), rejected))


class Sender:
    """Empties the outbox until it is cancelled."""

    def __init__(
        self,
        store: UnitOfWork[Transaction],
        pushes: PushService,
        apps: AppDirectory,
        planner: Planner,
        settlement: Settlement,
        channels: ChannelKeeper,
        settings: SenderSettings,
        *,
        clock: Callable[[], Millis],
        nap: Callable[[str, float], Awaitable[object]],
        wake: Callable[[], None],
        handover: Handover | None = None,
        owner: str | None = None,
    ) -> None:
        """A sender.

        `nap(channel, seconds)` waits and ends early when `wake` was called. `handover` is the planner's; None: all that
        is sent comes out of the outbox.
        """
        self._store = store
        self._pushes = pushes
        self._apps = apps
        self._planner = planner
        self._settlement = settlement
        self._channels = channels
        self._settings = settings
        self._tokenless = Tokenless(settings.no_token, settings.starts)
        self._clock = clock
        self._nap = nap
        self._wake = wake
        self._handover = handover or Handover()
        self._owner = owner or ""
        self._busy: set[asyncio.Task[None]] = set()
        self._carrying: set[asyncio.Task[None]] = set()
        self._carried = 0
        self._stopping = False
        self.tally = Tally()
        self._courier = Courier(
            store,
            pushes,
            apps,
            settlement,
            self.tally,
            clock=clock,
            deadline=settings.push_deadline,
            put_off=lambda tx, parcel: self._put_off(tx, parcel.as_chunk()),
            wake=wake,
        )

    async def run(self) -> None:
        """Recover what a dead sender left, then send until cancelled."""
        assists = self._settings.assists
        if not assists:
            self._owner = uuid.uuid4().hex  # another one for each run: a run that failed has left its leases behind
            await self._store.write(lambda tx: self._recover(tx, self._clock()))
        self._carried = 0
        try:
            async with asyncio.TaskGroup() as group:
                for work in () if assists else (self._reclaim, self._spread):
                    group.create_task(work())
                for lane in self._settings.lanes:
                    group.create_task(self._empty_large(group) if lane is Lane.LARGE else self._empty(lane, group))
                self._handover.open(self._owner, self._room, lambda parcels: self._carry(parcels, group))
        finally:
            self._handover.close()

    async def finish(self, within: float) -> None:
        """Claim nothing more, and wait at most that many seconds until what is in flight is settled.

        A start whose answer is not waited for may have worked: nobody knows afterwards (architecture, invariant 4).
        """
        self._stopping = True
        self._handover.room = self._room
        if self._busy or self._carrying:
            await asyncio.wait(self._busy | self._carrying, timeout=within)

    def unknown_start(self, tx: Transaction, timer: Timer, now: Millis) -> None:
        """A start's answer was lost a while ago: see what the devices have reported since."""
        chunk = tx.outbox.get(ChunkId(timer.subject))
        if chunk is not None and chunk.state is ChunkState.SETTLED:
            self._settlement.resolve_unknown(tx, chunk, now)
        elif chunk is not None:
            tx.timers.set(timer.kind, timer.activity_id, timer.subject, Millis(now + 1_000))

    def no_token(self, tx: Transaction, timer: Timer, now: Millis) -> None:
        """A start was taken a while ago: see whose device has said no update token since."""
        self._tokenless.look(tx, timer, now)

    def _recover(self, tx: Transaction, now: Millis) -> None:
        tx.senders.forget_silent(Millis(now - SILENT_AFTER))
        for chunk in tx.outbox.reclaim(self._owner, Millis(now - SILENT_AFTER)):
            self._settlement.recover(tx, chunk, tx.activities.revision(chunk.activity_id, chunk.revision), now)

    async def _reclaim(self) -> None:
        """Leases of a sender that died after we began. Ours do not run out: a clock that jumps ends no send."""
        while True:
            await self._nap("leases", LONGEST_NAP)
            await self.recover()

    async def recover(self) -> None:
        """Take what senders had leased that are gone."""
        since = Millis(self._clock() - SILENT_AFTER)
        if await self._store.read(lambda tx: tx.outbox.reclaim(self._owner, since)):
            await self._store.write(lambda tx: self._recover(tx, self._clock()))
            self._wake()

    async def _spread(self) -> None:
        while True:
            if await self._planner.spread_due(self._store):
                self._wake()
                continue
            due = await self._store.read(lambda tx: tx.outbox.next_plan_due())
            await self._nap("plans", self._until(due))

    async def _empty(self, lane: Lane, group: asyncio.TaskGroup) -> None:
        most = self._settings.chunks_at_once[lane]
        busy: set[asyncio.Task[None]] = set()
        while not self._stopping:
            if len(busy) >= most:
                await asyncio.wait(busy, return_when=asyncio.FIRST_COMPLETED)
                continue
            if self._room <= 0:
                await asyncio.wait(self._carrying, return_when=asyncio.FIRST_COMPLETED)
                continue
            wait = self._until(await self._store.read(lambda tx: tx.outbox.next_due(lane)))
            if wait > 0:
                await self._nap(lane.name, wait)
                continue
            parcels, claimed = await self._claim(lane, most - len(busy))
            if parcels:
                self._carry(parcels, group)
            for one in claimed:
                task = group.create_task(self._send(one))
                for known in (busy, self._busy):
                    known.add(task)
                    task.add_done_callback(known.discard)

    @property
    def _room(self) -> int:
        return 0 if self._stopping else self._settings.parcels_at_once - self._carried

    def _carry(self, parcels: Sequence[Parcel], group: asyncio.TaskGroup) -> None:
        """Have the courier carry them, beside all else."""
        if self._stopping:  # they were committed a moment ago: the next sender takes their leases over
            return
        task = group.create_task(self._courier.carry(parcels))
        self._carrying.add(task)
        self._carried += len(parcels)
        self._handover.room = self._room

        def carried(task: asyncio.Task[None]) -> None:
            self._carrying.discard(task)
            self._carried -= len(parcels)
            self._handover.room = self._room

        task.add_done_callback(carried)

    async def _empty_large(self, group: asyncio.TaskGroup) -> None:
        """Chunks of large fan-outs: read beside the writer, where no commit waits for it, and begun one by one.

        Dozens that are read in the transaction that claims them, and then framed in one turn of the loop, hold up
        everybody else for as many milliseconds, twice.
        """
        most = self._settings.chunks_at_once[Lane.LARGE]
        enough = most - most // BITES
        busy: set[asyncio.Task[None]] = set()
        room = asyncio.Event()

        def begin(claimed: Claimed) -> None:
            if self._stopping:  # meanwhile: whoever sends next takes the lease over
                return
            task = group.create_task(self._send(claimed))
            busy.add(task)
            self._busy.add(task)
            task.add_done_callback(over)

        def over(task: asyncio.Task[None]) -> None:
            busy.discard(task)
            self._busy.discard(task)
            if len(busy) <= enough:
                room.set()

        while not self._stopping:
            if len(busy) > enough:
                room.clear()
                await room.wait()
                continue
            wait = self._until(await self._store.read(lambda tx: tx.outbox.next_due(Lane.LARGE)))
            if wait > 0:
                await self._nap(Lane.LARGE.name, wait)
                continue
            chunks = await self._claim_large(most - len(busy))
            for low in range(0, len(chunks), READ_TOGETHER):
                for claimed in await self._read_large(chunks[low : low + READ_TOGETHER]):
                    begin(claimed)
                    await asyncio.sleep(0)

    async def _claim_large(self, limit: int) -> list[Chunk]:
        now = self._clock()
        return await self._store.write(lambda tx: tx.outbox.claim(self._owner, Lane.LARGE, now, limit))

    async def _read_large(self, chunks: Sequence[Chunk]) -> list[Claimed]:
        found = await self._store.read(lambda tx: [_claimed(tx, chunk) for chunk in chunks])
        if None in found:
            erased = [chunk for chunk, one in zip(chunks, found, strict=True) if one is None]
            await self._store.write(lambda tx: _settle_erased(tx, erased))
        return [one for one in found if one is not None]

    def _until(self, due: Millis | None) -> float:
        wait = LONGEST_NAP if due is None else (due - self._clock()) / 1000
        return min(max(wait, 0.0), LONGEST_NAP)

    async def _claim(self, lane: Lane, limit: int) -> tuple[list[Parcel], list[Claimed]]:
        now = self._clock()

        def work(tx: Transaction) -> tuple[list[Parcel], list[Claimed]]:
            chunks = tx.outbox.claim(self._owner, lane, now, limit)
            small = [one.chunk_id for one in chunks if one.size == 1 and not self._settlement.is_too_old(one, now)]
            parcels = tx.parcels.read(small, now) if small else []
            known = {one.chunk_id for one in parcels}
            others = [(chunk, _claimed(tx, chunk)) for chunk in chunks if chunk.chunk_id not in known]
            _settle_erased(tx, [chunk for chunk, one in others if one is None])
            return parcels, [one for _, one in others if one is not None]

        return await self._store.write(work)

    async def _send(self, claimed: Claimed) -> None:
        if self._settlement.is_too_old(claimed.chunk, self._clock()):
            await self._store.write(lambda tx: self._settlement.give_up(tx, claimed.chunk, self._clock()))
            return
        default = await self._apps.default_environment(claimed.chunk.app_id)
        if claimed.chunk.is_broadcast:
            await self._send_broadcast(claimed)
        elif claimed.revision.kind is RevisionKind.START:
            await self._send_start(claimed, default)
        else:
            await self._send_revision(claimed, default)

    async def _send_revision(self, claimed: Claimed, default: Environment) -> None:
        """An update or end: it may be repeated, so nothing is written first but a stamp that had to rise."""
        numbers = claimed.chunk.open_numbers
        people = await self._store.read(lambda tx: _people(tx, claimed, numbers)) if claimed.need else ANYBODY
        framed = self._frame(claimed, numbers, default, people=people)
        if framed.stamp > claimed.revision.timestamp:
            # Made anew, and so decided where no newer revision can come in between.
            framed = await self._store.write(lambda tx: self._frame_anew(tx, claimed, default))
        answers = await self._ship(claimed.chunk, claimed.revision, framed.shipments)
        if answers is None:
            await self._store.write(lambda tx: self._put_off(tx, claimed.chunk))
            return
        now = self._clock()
        await self._store.write(
            lambda tx: self._settlement.settle(
                tx,
                claimed.chunk,
                claimed.revision,
                framed.verdicts,
                answers.others,
                now,
                last=True,
                accepted=answers.accepted,
                refused=framed.refused,
            )
        )
        self._count(claimed.chunk, framed, answers)

    async def _send_broadcast(self, claimed: Claimed) -> None:
        """One push to each of the activity's channels; it may be repeated, as an update may."""
        revision, now = claimed.revision, self._clock()
        if claimed.newer is not None and revision.supersedable:
            await self._settle_broadcast(claimed, {CHANNEL: Verdict.SUPERSEDED}, [])
            return
        stamp = framing_stamp(revision, now, newer=claimed.newer)
        if stamp > revision.timestamp:
            stamp = await self._store.write(lambda tx: _broadcast_stamp(tx, claimed, now))
        body = body_for_all(revision, stamp, newest_state(revision, claimed.newer))
        if body is None:  # it was accepted because nobody listens
            await self._settle_broadcast(claimed, {CHANNEL: Verdict.NO_CARD}, [])
            return
        answers = []
        for one in claimed.channels:
            stored = one.channel.storage is StoragePolicy.MOST_RECENT_MESSAGE_STORED
            expiration = now // 1000 + STORED_FOR if stored else 0
            target = await self._apps.channels(one.app_id, one.environment)
            bundle_id = "" if target is None else target.bundle_id
            broadcast = Broadcast(bundle_id, one.channel, body, expiration, revision.priority)
            outcome, rejected = await self._channels.publish(one, broadcast)
            answers.append(Answer(_listener(one.environment), one.environment, outcome, rejected))
        # The worst counts: a repeat does the others no harm.
        worst = max(answers, key=lambda one: one.outcome, default=None)
        verdicts = {} if worst is not None else {CHANNEL: Verdict.NO_CARD}
        await self._settle_broadcast(claimed, verdicts, [worst] if worst is not None else [])

    async def _settle_broadcast(
        self, claimed: Claimed, verdicts: Mapping[CardNumber, Verdict], answers: Sequence[Answer]
    ) -> None:  # fmt: skip
        now = self._clock()
        await self._store.write(
            lambda tx: self._settlement.settle(tx, claimed.chunk, claimed.revision, verdicts, answers, now, last=True)
        )
        for answer in answers:
            self.tally.broadcasts[answer.outcome] += 1

    async def _send_start(self, claimed: Claimed, default: Environment) -> None:
        """A start, window by window: each is on disk as "in flight" before it is sent, and never sent again blindly."""
        chunk = claimed.chunk
        numbers = chunk.open_numbers
        listeners = {one.environment or default for one in claimed.recipients if one.modern}
        channels = await self._channels.ensure(claimed.activity, listeners) if claimed.uses_channel else {}
        size = self._settings.start_window
        windows = [numbers[low : low + size] for low in range(0, len(numbers), size)] or [[]]
        for place, window in enumerate(windows):
            framed, chunk = await self._store.write(self._window_work(claimed, chunk, window, default, channels))
            if chunk.state is ChunkState.SETTLED:
                return
            answers = await self._ship(chunk, claimed.revision, framed.shipments)
            if answers is None:
                await self._store.write(lambda tx, chunk=chunk: self._put_off(tx, chunk))  # type: ignore[misc]
                return
            chunk = await self._store.write(
                self._settle_work(claimed, chunk, framed, answers, last=place == len(windows) - 1)
            )
            self._count(claimed.chunk, framed, answers)
            if self._stopping and chunk.state is ChunkState.LEASED:
                await self._store.write(lambda tx, chunk=chunk: _hand_back(tx, chunk, self._clock()))  # type: ignore[misc]
                return

    def _window_work(
        self,
        claimed: Claimed,
        chunk: Chunk,
        window: Sequence[CardNumber],
        default: Environment,
        channels: Mapping[Environment, ChannelId],
    ) -> Callable[[Transaction], tuple[Framed, Chunk]]:
        def work(tx: Transaction) -> tuple[Framed, Chunk]:
            fresh = _claimed(tx, chunk) or claimed
            if fresh.is_outlived:
                return Framed(Seconds(0), ()), self._settlement.give_up(tx, chunk, self._clock())
            # What it says may have come to differ meanwhile: then nobody may begin to listen to what is said to all.
            listening = channels if fresh.uses_channel else NO_CHANNELS
            framed = self._frame(fresh, window, default, listening, _people(tx, fresh, window))
            _restamp(tx, fresh, framed.stamp)
            if framed.listening:
                tx.activities.listen(chunk.activity_id, framed.listening, live=False)
            if framed.deaf:
                tx.activities.unlisten(chunk.activity_id, framed.deaf)
            self._settlement.come_too_late(tx, chunk, framed.late, self._clock())
            board = bytearray(chunk.verdicts)
            for shipment in framed.shipments:
                for one in shipment.recipients:
                    board[one.number - chunk.first] = Verdict.IN_FLIGHT
            marked = replace(chunk, verdicts=bytes(board), state=ChunkState.LEASED)
            tx.outbox.save(marked)
            return framed, marked

        return work

    def _settle_work(
        self, claimed: Claimed, chunk: Chunk, framed: Framed, answers: Answers, *, last: bool
    ) -> Callable[[Transaction], Chunk]:  # fmt: skip
        now = self._clock()

        def work(tx: Transaction) -> Chunk:
            settled = self._settlement.settle(
                tx,
                chunk,
                claimed.revision,
                framed.verdicts,
                answers.others,
                now,
                last=last,
                accepted=answers.accepted,
                refused=framed.refused,
            )
            accepted = [n for n in framed.listening if settled.verdicts[n - chunk.first] == Verdict.ACCEPTED]
            unwatched = last or Verdict.ACCEPTED not in chunk.verdicts
            if unwatched and settled.verdicts.count(Verdict.ACCEPTED) > len(accepted):
                self._tokenless.watch(tx, chunk, now)
            if accepted:
                tx.activities.listen(chunk.activity_id, accepted, live=True)
                current = tx.activities.get(chunk.activity_id)
                target = framed.shown if current is None else current.target_of(chunk.first)
                if current is not None and target > framed.shown:
                    self._planner.plan_broadcast(tx, current, target)  # it went out before these could hear it
            return settled

        return work

    def _frame_anew(self, tx: Transaction, claimed: Claimed, default: Environment) -> Framed:
        fresh = _claimed(tx, claimed.chunk) or claimed
        numbers = claimed.chunk.open_numbers
        framed = self._frame(fresh, numbers, default, people=_people(tx, fresh, numbers))
        _restamp(tx, fresh, framed.stamp)
        return framed

    def _frame(
        self,
        claimed: Claimed,
        numbers: Sequence[CardNumber],
        default: Environment,
        channels: Mapping[Environment, ChannelId] = NO_CHANNELS,
        people: People = ANYBODY,
    ) -> Framed:
        return frame(
            claimed.chunk,
            claimed.revision,
            claimed.newer,
            claimed.recipients,
            numbers,
            default,
            self._clock(),
            channels,
            people,
        )

    def _put_off(self, tx: Transaction, chunk: Chunk) -> None:
        """The app has no key to push with: nothing was sent, look again later."""
        board = bytes(Verdict.PENDING if byte == Verdict.IN_FLIGHT else byte for byte in chunk.verdicts)
        due = Millis(self._clock() + int(self._settings.no_key_delay * 1000))
        _hand_back(tx, replace(chunk, verdicts=board), due)

    async def _ship(self, chunk: Chunk, revision: Revision, shipments: Sequence[Shipment]) -> Answers | None:
        """Send each shipment through its environment; None: the app has no key there."""
        targets = [await self._apps.target(chunk.app_id, shipment.environment) for shipment in shipments]
        sends = []
        for target, shipment in zip(targets, shipments, strict=True):
            if target is None:
                return None
            batch = PushBatch(
                topic=target.topic,
                body=shipment.body,
                tokens=[one.token or "" for one in shipment.recipients],
                priority=revision.priority,
                expiration=revision.expiration,
                urgent=chunk.lane is Lane.SMALL,
                deadline=self._settings.push_deadline,
                bodies=shipment.bodies,
            )
            sends.append(self._pushes.send(target.route, batch))
        answers = Answers()
        waited = (self._clock() - _due(chunk)) / 1000
        for shipment, outcomes in zip(shipments, await asyncio.gather(*sends), strict=True):
            answers.take(shipment, outcomes)
            if not chunk.attempt:
                for seconds, count in outcomes.waits:
                    self.tally.to_wire.add(waited + seconds, count)
        return answers

    def _count(self, chunk: Chunk, framed: Framed, answers: Answers) -> None:
        """The verdicts are on disk."""
        sent = len(answers.accepted) + len(answers.others)
        tally = self.tally
        tally.to_verdict.add((self._clock() - _due(chunk)) / 1000, sent)
        if answers.others:
            self._wake()  # what is sent again may be due before this lane's nap is over
        tally.verdicts.update(framed.verdicts.values())
        tally.verdicts[Verdict.REJECTED] += len(framed.refused)
        tally.reasons.update(why.partition(":")[0] for why in framed.refused.values())
        tally.judged(len(answers.accepted), answers.others)


def _claimed(tx: Transaction, chunk: Chunk) -> Claimed | None:
    """None: the activity was erased meanwhile, and there is nobody left to send to."""
    activity = tx.activities.get(chunk.activity_id)
    revision = tx.activities.revision(chunk.activity_id, chunk.revision)
    if activity is None or revision is None:
        return None
    target = (
        activity.channel_target_of(chunk.revision) if chunk.is_broadcast else activity.target_of(chunk.first)
    )  # fmt: skip
    newer = tx.activities.revision(chunk.activity_id, target) if target > chunk.revision else None
    if revision.kind is RevisionKind.FAREWELL:
        newer = None  # they have seen updates that came after it was decided on, and must see it last
    if chunk.is_broadcast:
        channels = [one for one in tx.channels.of_activity(chunk.activity_id) if one.carries(revision, activity)]
        return Claimed(chunk, activity, revision, newer, (), channels=channels)
    if revision.kind is not RevisionKind.START:
        return Claimed(chunk, activity, revision, newer, tx.outbox.card_recipients(chunk))
    recipients = tx.outbox.start_recipients(chunk, revision.attributes_type or "")
    standing = tx.desired.get(chunk.activity_id)
    return Claimed(chunk, activity, revision, newer, recipients, standing is not None and standing.uses_channel)


def _settle_erased(tx: Transaction, chunks: Sequence[Chunk]) -> None:
    for chunk in chunks:
        tx.outbox.save(replace(chunk, state=ChunkState.SETTLED))


def _people(tx: Transaction, claimed: Claimed, numbers: Sequence[CardNumber]) -> People:
    """Whose these cards are, as it is known now; nobody's where it makes no difference."""
    wanted = claimed.need
    if not wanted or not numbers:
        return ANYBODY
    return tx.outbox.people(claimed.chunk.activity_id, numbers[0], numbers[-1], wanted)


def _due(chunk: Chunk) -> Millis:
    """When its pushes were to go out: as soon as it was committed, or later where it was to wait on purpose."""
    return chunk.created_at if chunk.attempt else max(chunk.created_at, chunk.due_at)


def _listener(environment: Environment) -> Recipient:
    """The channel as the recipient of a broadcast."""
    return Recipient(
        CHANNEL,
        DeviceId(0),
        int(CardStatus.LIVE),
        None,
        environment,
        environment_proved=True,
        other_environment_tried=True,
    )


def _hand_back(tx: Transaction, chunk: Chunk, due: Millis) -> None:
    tx.outbox.save(replace(chunk, state=ChunkState.READY, due_at=due))


def _broadcast_stamp(tx: Transaction, claimed: Claimed, now: Millis) -> Seconds:
    fresh = _claimed(tx, claimed.chunk) or claimed
    stamp = framing_stamp(fresh.revision, now, newer=fresh.newer)
    _restamp(tx, fresh, stamp)
    return stamp


def _restamp(tx: Transaction, claimed: Claimed, stamp: Seconds) -> None:
    """A stamp that was made anew is the revision's own from now on, and later revisions rise above it."""
    if stamp <= claimed.revision.timestamp:
        return
    tx.activities.restamp(claimed.chunk.activity_id, claimed.revision.number, stamp)
    current = tx.activities.get(claimed.chunk.activity_id)
    if current is not None and stamp > current.last_timestamp:
        tx.activities.save(replace(current, last_timestamp=stamp))
