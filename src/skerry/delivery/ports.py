"""What delivery needs from the store, from the wire and from the app's configuration."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from skerry.domain.activity import Activity
from skerry.domain.audience import Audience
from skerry.domain.card import Card, SilentCard
from skerry.domain.channel import ActivityChannel, Broadcast, Channel, Published, StoragePolicy
from skerry.domain.chunk import Chunk, Depth, Lane, Recipient
from skerry.domain.desired import Standing
from skerry.domain.event import Event, EventKind
from skerry.domain.ids import (
    ActivityId,
    AppId,
    CardNumber,
    ChannelId,
    ChunkId,
    DeviceId,
    GroupId,
    Millis,
    RevisionNumber,
    Seconds,
)
from skerry.domain.parcel import Parcel
from skerry.domain.personal import Need, Person
from skerry.domain.plan import AudienceSlice, Plan, Reachable
from skerry.domain.push import Environment, Outcomes, PushBatch, Rejected, Result, Route
from skerry.domain.receipt import Settled
from skerry.domain.revision import Revision
from skerry.domain.timer import TimerKind
from skerry.domain.verdict import Verdict


class OutboxRecords(Protocol):
    """Chunks and plans: the durable outbox."""

    def add_chunks(self, chunks: Sequence[Chunk]) -> None:
        """Store new chunks; their `chunk_id` is given by the store."""

    def claim(self, owner: str, lane: Lane, now: Millis, limit: int) -> list[Chunk]:
        """Lease up to `limit` chunks of a lane that are ready and due, the longest due first."""

    def get(self, chunk_id: ChunkId) -> Chunk | None:
        """One chunk."""

    def save(self, chunk: Chunk) -> None:
        """Store state, verdicts, attempt and `due_at`; a chunk that is not `LEASED` any more loses its lease."""

    def reclaim(self, owner: str, heard_since: Millis) -> list[Chunk]:
        """Chunks leased by others whose senders are gone. Nothing is changed.

        There are those of `SenderRecords` that were heard of since that time. What `owner` itself holds is in its hands
        however late it is: a clock that jumps must not have it sent twice.
        """

    def supersede(self, activity_id: ActivityId, before: RevisionNumber) -> list[RevisionNumber]:
        """Settle the unleased chunks of supersedable updates older than `before`; their open bytes say `SUPERSEDED`.

        Returns the revisions that had such chunks.
        """

    def settle_revision(self, activity_id: ActivityId, revision: RevisionNumber, now: Millis) -> Settled | None:
        """Note that nothing of a revision is open or planned any more, and count; None: something is, or it is noted.

        A card that joins later may get the revision in a chunk of its own: it stays noted.
        """

    def span(self, activity_id: ActivityId, revision: RevisionNumber) -> tuple[CardNumber, CardNumber] | None:
        """The lowest and the highest card that a revision was planned for; None: it was for nobody."""

    def is_settled(self, activity_id: ActivityId, revision: RevisionNumber) -> bool:
        """Whether each push of a revision has its verdict, as far as it is planned."""

    def will_cover(self, activity_id: ActivityId, revision: RevisionNumber, number: CardNumber) -> bool:
        """Whether a chunk of this revision that nobody has claimed yet will reach the card."""

    def verdict_of(self, activity_id: ActivityId, revision: RevisionNumber, number: CardNumber) -> Verdict | None:
        """What became of a revision on one card, from the newest chunk that holds it; None: no chunk does."""

    def start_recipients(self, chunk: Chunk, attributes_type: str) -> list[Recipient]:
        """The chunk's cards with their devices' start tokens, by number; the typed token before the untyped one."""

    def card_recipients(self, chunk: Chunk) -> list[Recipient]:
        """The chunk's cards with their update tokens, by number."""

    def people(
        self, activity_id: ActivityId, first: CardNumber, last: CardNumber, need: Need
    ) -> dict[CardNumber, Person]:  # fmt: skip
        """Whose the cards `first`..`last` are: the device's language and, where that is needed, its user's profile."""

    def next_due(self, lane: Lane) -> Millis | None:
        """When the next ready chunk of the lane is due."""

    def depth(self, now: Millis) -> Depth:
        """How much is waiting."""

    def add_plan(self, plan: Plan) -> None:
        """Store a plan; its `plan_id` is given by the store."""

    def due_plans(self, now: Millis, limit: int) -> list[Plan]:
        """Plans whose time has come, earliest first."""

    def save_plan(self, plan: Plan) -> None:
        """Store cursor and `due_at`."""

    def finish_plan(self, plan: Plan) -> None:
        """The audience is spread out."""

    def next_plan_due(self) -> Millis | None:
        """When the next plan is due."""


class SenderRecords(Protocol):
    """Processes that send beside the service."""

    def join(self, owner: str, now: Millis) -> None:
        """A sender begins."""

    def beat(self, owner: str, now: Millis) -> bool:
        """A sender is alive; False: it was given up meanwhile, and what it had leased went to others."""

    def is_known(self, owner: str) -> bool:
        """Whether nobody else has taken over what a sender has leased."""

    def leave(self, owner: str) -> None:
        """A sender is no more: what it has leased may be taken."""

    def forget_silent(self, seen_until: Millis) -> None:
        """Those not heard of since then are no more."""


class ParcelRecords(Protocol):
    """Chunks of one card, many at a time."""

    def add(self, parcels: Sequence[Parcel], owner: str) -> None:
        """Store new parcels, leased to this owner from birth; gives them their chunk ids."""

    def read(self, chunk_ids: Sequence[ChunkId], now: Millis) -> list[Parcel]:
        """Those of these leased chunks that are parcels."""

    def settle(self, parcels: Sequence[Parcel], verdict: Verdict) -> list[Parcel]:
        """Settle parcels that have all come to the same verdict, and the revisions that have no other chunks.

        Returns those of such revisions; whether the others' have settled is another question.
        """


class AudienceRecords(Protocol):
    """Who is in an audience."""

    def select(
        self, app_id: AppId, audience: Audience, attributes_type: str, after: DeviceId, limit: int
    ) -> list[Reachable]:
        """The iOS devices of an audience with ids above `after`, by id; with a live start token for the type or not.

        Where the audience is not small, devices without a start token are left out.
        """

    def slice(
        self, app_id: AppId, audience: Audience, attributes_type: str, after: DeviceId, window: int, limit: int
    ) -> AudienceSlice:
        """The same among the next `window` devices of the app only, unless the audience is small."""

    def missing_ext_ids(self, app_id: AppId, ext_ids: Sequence[str]) -> list[str]:
        """Which of these users have no iOS device at all."""


class SegmentRecords(Protocol):
    """Audiences under a name."""

    def resolved(self, app_id: AppId, audience: Audience, salt: str) -> Audience:
        """The audience with what its segments stand for now, and with `salt` for a rollout without one.

        Raises:
            UnknownSegmentError: if it names a segment that there is not.
            AudienceTooComplexError: if it has too many conditions with those of its segments.
        """


class RejectionRecords(Protocol):
    """Refusals and misses that are remembered per card, for `getPushResult` and for the question why."""

    def add(
        self, activity_id: ActivityId, revision: RevisionNumber, number: CardNumber, rejected: Rejected, at: Millis
    ) -> None:
        """APNs' final refusal of a push."""

    def add_miss(
        self,
        activity_id: ActivityId,
        revision: RevisionNumber,
        device_id: DeviceId | None,
        ext_id: str | None,
        reason: str,
        at: Millis,
    ) -> None:
        """Somebody a start was for who could not be started: `NO_DEVICE`, `NO_START_TOKEN`, `ALREADY_RUNNING`, …."""


class DeviceRecords(Protocol):
    """What APNs' answers teach about devices and their start tokens."""

    def learn_environment(self, device_id: DeviceId, environment: Environment) -> None:
        """A push was accepted in this environment: it is the device's."""

    def try_environment(self, device_id: DeviceId, environment: Environment) -> None:
        """Try this environment next; marks the other one as tried, until a token is reported or one is proved."""

    def lose_start_token(
        self, device_id: DeviceId, token: str, reason: str, invalid_since: Millis | None, at: Millis
    ) -> bool:
        """APNs called this start token dead; kept where it was registered after `invalid_since`. Whether it is lost."""

    def current_start_token(self, app_id: AppId, device_id: DeviceId, attributes_type: str) -> str | None:
        """The live token that a start of this type is pushed to now; None: there is none."""


class CardRecords(Protocol):
    """Cards and revisions, as far as delivery changes or reads them."""

    def get(self, activity_id: ActivityId) -> Activity | None:
        """The activity."""

    def save(self, activity: Activity) -> None:
        """Store all of it."""

    def revision(self, activity_id: ActivityId, number: RevisionNumber) -> Revision | None:
        """One revision."""

    def restamp(self, activity_id: ActivityId, number: RevisionNumber, timestamp: Seconds) -> None:
        """A later timestamp for a revision that has grown old before it went out."""

    def add_cards(
        self,
        activity_id: ActivityId,
        first: CardNumber,
        started_by: RevisionNumber,
        devices: Sequence[DeviceId],
        now: Millis,
        starts_at: Millis | None = None,
    ) -> None:
        """Store new cards in `STARTING`; `starts_at`: their starts do not go out before."""

    def card(self, activity_id: ActivityId, number: CardNumber) -> Card | None:
        """One card."""

    def names(self, activity_id: ActivityId) -> list[GroupId]:
        """The activity's names, oldest first."""

    def save_card(self, card: Card) -> None:
        """Store what has changed of a card."""

    def running_on(
        self, activity_id: ActivityId, first: CardNumber, devices: Sequence[DeviceId], since: Millis
    ) -> set[DeviceId]:
        """Which of the devices run the activity already."""

    def listen(self, activity_id: ActivityId, numbers: Sequence[CardNumber], *, live: bool) -> None:
        """These cards are being started on the activity's channel; `live`: APNs has taken the starts."""

    def unlisten(self, activity_id: ActivityId, numbers: Sequence[CardNumber]) -> None:
        """These cards are being started without a channel, though an earlier attempt was to use one."""

    def starts_of(
        self, devices: Sequence[DeviceId], since: Millis, at_least: int
    ) -> dict[DeviceId, list[Millis]]:  # fmt: skip
        """When those of the devices that have at least so many starts after `since` had them, or will have them."""

    def start_again(
        self, activity_id: ActivityId, numbers: Sequence[CardNumber], reason: str, now: Millis
    ) -> None:  # fmt: skip
        """These cards are being started once more, and why."""

    def without_token(self, activity_id: ActivityId, first: CardNumber, last: CardNumber) -> list[SilentCard]:
        """The cards from `first` to `last` that are starting, listen on no channel, and have no token; by number."""

    def lose_starts(self, activity_id: ActivityId, numbers: Sequence[CardNumber], reason: str) -> None:
        """These starts are given up as lost, though their devices may still report them."""

    def swiped_on(
        self, activity_id: ActivityId, first: CardNumber, devices: Sequence[DeviceId], since: Millis
    ) -> set[DeviceId]:
        """On which of the devices a person swiped a card numbered from `first` away, at or after `since`."""


class ChannelRecords(Protocol):
    """Broadcast channels, each recorded before a card is started on it."""

    def add(self, channel: ActivityChannel) -> None:
        """Record a channel."""

    def of_activity(self, activity_id: ActivityId) -> list[ActivityChannel]:
        """The channels of an activity that APNs still has, the oldest first."""

    def retire(self, activity_id: ActivityId, delete_at: Millis, *, closed: bool = False) -> None:
        """Nobody is to listen any more: the activity's channels, or only `closed` ones, are deleted at that time."""

    def due(self, now: Millis, limit: int) -> list[ActivityChannel]:
        """Channels to delete, the longest due first."""

    def remove(self, channel: ActivityChannel) -> None:
        """APNs has deleted it."""

    def put_off(self, channel: ActivityChannel, delete_at: Millis) -> None:
        """It could not be deleted: again later."""

    def next_due(self) -> Millis | None:
        """When the next one is to be deleted."""


class DesiredRecords(Protocol):
    """What callers want activities to be."""

    def get(self, activity_id: ActivityId) -> Standing | None:
        """What is wanted; None: only commands have made the activity."""


class TimerRecords(Protocol):
    """What is to happen later."""

    def set(self, kind: TimerKind, activity_id: ActivityId, subject: int, due_at: Millis) -> None:
        """Have it happen at `due_at`."""


class EventRecords(Protocol):
    """What callers are told."""

    def add(self, event: Event) -> None:
        """Tell of something that this transaction does."""

    def add_many(self, kind: EventKind, at: Millis, activities: Iterable[tuple[AppId, ActivityId, str]]) -> None:
        """The same of many activities: the app, the activity, and the event's body as JSON."""


class Transaction(Protocol):
    """The parts of the store's transaction that this room uses."""

    @property
    def activities(self) -> CardRecords: ...
    @property
    def outbox(self) -> OutboxRecords: ...
    @property
    def senders(self) -> SenderRecords: ...
    @property
    def parcels(self) -> ParcelRecords: ...
    @property
    def audiences(self) -> AudienceRecords: ...
    @property
    def segments(self) -> SegmentRecords: ...
    @property
    def rejections(self) -> RejectionRecords: ...
    @property
    def devices(self) -> DeviceRecords: ...
    @property
    def timers(self) -> TimerRecords: ...
    @property
    def desired(self) -> DesiredRecords: ...
    @property
    def channels(self) -> ChannelRecords: ...
    @property
    def events(self) -> EventRecords: ...


class PushService(Protocol):
    """The wire."""

    async def send(self, route: Route, batch: PushBatch, outcomes: Outcomes | None = None) -> Outcomes:
        """Send a batch; one outcome per push. Never raises but for cancellation.

        `outcomes`: where they go, for a caller who looks at them before all are there.
        """


@dataclass(frozen=True, slots=True)
class PushTarget:
    """Where an app's pushes to one environment go."""

    route: Route
    topic: str


class ChannelService(Protocol):
    """Channels on the wire. Nothing raises but cancellation."""

    async def create(self, route: Route, bundle_id: str, storage: StoragePolicy) -> Result[Channel]:
        """Make a channel, at the management host."""

    async def delete(self, route: Route, bundle_id: str, channel_id: ChannelId) -> Result[None]:
        """Remove a channel, at the management host."""

    async def publish(self, route: Route, broadcast: Broadcast) -> Result[Published]:
        """Send a broadcast, at the host of device pushes."""


@dataclass(frozen=True, slots=True)
class ChannelTarget:
    """Where an app's channels of one environment are managed and published to."""

    management: Route
    push: Route
    bundle_id: str


class AppDirectory(Protocol):
    """The apps' push configuration."""

    async def target(self, app_id: AppId, environment: Environment) -> PushTarget | None:
        """Where to push; None: the app has no APNs key yet."""

    async def channels(self, app_id: AppId, environment: Environment) -> ChannelTarget | None:
        """Where channels are; None: the app has no APNs key yet."""

    async def default_environment(self, app_id: AppId) -> Environment:
        """Where to try devices that have not said theirs."""
