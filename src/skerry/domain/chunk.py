"""A chunk: a contiguous range of an activity's cards, the unit of work of the delivery pipeline."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from skerry.domain.ids import ActivityId, AppId, CardNumber, ChunkId, DeviceId, Millis, RevisionNumber, Seconds
from skerry.domain.push import Environment
from skerry.domain.verdict import OPEN, Verdict

CHUNK_SIZE = 500
"""Cards of one chunk: some 100 bytes of row and 500 of verdicts, and a window of the wire."""


class ChunkState(IntEnum):
    """Where a chunk is."""

    READY = 1
    """To be sent when `due_at` has come."""
    LEASED = 2
    SETTLED = 3


class Lane(IntEnum):
    """Small before large: a courier's single card does not wait behind a final with a million."""

    SMALL = 0
    LARGE = 1


CHANNEL = CardNumber(0)
"""The number that no card has: a chunk of it alone is the revision's broadcast to the activity's channels."""

LARGE_AUDIENCE = 4 * CHUNK_SIZE
"""Cards from which a revision's chunks take the lane of the large."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """The cards `first`..`last` of an activity and one revision. `verdicts[n - first]` is the byte of card n."""

    chunk_id: ChunkId
    app_id: AppId
    activity_id: ActivityId
    revision: RevisionNumber
    first: CardNumber
    last: CardNumber
    verdicts: bytes
    state: ChunkState = ChunkState.READY
    lane: Lane = Lane.SMALL
    due_at: Millis = Millis(0)
    attempt: int = 0
    created_at: Millis = Millis(0)
    floor: Seconds = Seconds(0)
    """A stamp that the push must reach, for a card that has seen a later one elsewhere."""

    @property
    def size(self) -> int:
        """How many card numbers it covers."""
        return self.last - self.first + 1

    @property
    def is_broadcast(self) -> bool:
        """Whether it is for the activity's channels rather than for cards."""
        return self.first == CHANNEL

    @property
    def open_numbers(self) -> list[CardNumber]:
        """The cards that still have to be sent to."""
        return [CardNumber(self.first + place) for place, byte in enumerate(self.verdicts) if byte in OPEN]


def fresh_verdicts(size: int) -> bytes:
    """The bytes of a chunk that nobody has tried."""
    return bytes([Verdict.PENDING]) * size


def runs(numbers: Iterable[CardNumber]) -> list[tuple[CardNumber, CardNumber]]:
    """The numbers as contiguous ranges."""
    found: list[tuple[CardNumber, CardNumber]] = []
    for number in sorted(numbers):
        if found and number == found[-1][1] + 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


@dataclass(frozen=True, slots=True)
class Recipient:
    """One card of a chunk as the sender needs it: the token to push to, and where.

    For a start, `token` is the device's start token (the typed one where there is one); else the card's update token.
    None: there is none (any more).
    """

    number: CardNumber
    device_id: DeviceId
    status: int
    """A `CardStatus`."""
    token: str | None
    environment: Environment | None
    environment_proved: bool
    other_environment_tried: bool
    modern: bool
    """Understands `input-push-token` and channels: iOS 18 and later."""
    on_channel: bool = False
    """Was started on the activity's channel."""


@dataclass(frozen=True, slots=True)
class Depth:
    """What waits in the outbox."""

    ready: int
    leased: int
    oldest_due_at: Millis | None
    """Of the ready chunks whose time has come."""
    plans: int
