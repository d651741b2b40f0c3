"""A chunk: a contiguous range of an activity's cards, the unit of work of the delivery pipeline."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from msgspec import Struct

from skerry.domain.ids import ActivityId, AppId, CardNumber, ChunkId, DeviceId, Millis, RevisionNumber, Seconds
from skerry.domain.push import Environment
from skerry.domain.verdict import OPEN, Verdict

CHUNK_SIZE = 500
"""Cards of one chunk: some 100 bytes of row and 500 of verdicts, and a window of the wire."""


_PASSED_OVER = frozenset({Verdict.NO_CARD, Verdict.DEFERRED})


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


def count_verdicts(boards: Sequence[tuple[int, int, bytes]]) -> dict[Verdict, int]:
    """How many cards of one revision have which verdict.

    Args:
        boards: first number, last number and verdicts of its chunks, the oldest first. A chunk may have been split, and
            a card that was held is in a later one again: the newest counts.
    """
    if not boards:
        return {}
    lowest, highest = min(board[0] for board in boards), max(board[1] for board in boards)
    board = bytearray([Verdict.NO_CARD]) * (highest - lowest + 1)
    for first, last, verdicts in boards:
        board[first - lowest : last - lowest + 1] = verdicts
    counts = {verdict: board.count(verdict) for verdict in Verdict if verdict not in _PASSED_OVER}
    return {verdict: count for verdict, count in counts.items() if count}


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


class Recipient(Struct, frozen=True, gc=False, array_like=True):
    """One card of a chunk as the sender needs it: the token to push to, and where.

    Unseen by the garbage collector, since it holds plain values only: tens of thousands come and go in a second, and it
    would go through all that the process holds every few hundred of them.

    For a start, `token` is the device's start token (the typed one where there is one); else the card's update token.
    None: there is none (any more). A Struct, since a million are read for a million cards, in a third of a dataclass's
    time.
    """

    number: CardNumber
    device_id: DeviceId
    status: int
    """A `CardStatus`."""
    token: str | None
    environment: Environment | None
    environment_proved: bool
    other_environment_tried: bool
    on_channel: bool = False
    """Was started on the activity's channel."""
    modern: bool = False
    """Understands `input-push-token` and channels: iOS 18 and later. Told of starts alone, as are the next two."""
    held: bool = False
    """Its start had to wait for the device's budget."""
    repeated_for: str | None = None
    """Why it is being started again, though the start before may have brought it to the phone."""


@dataclass(frozen=True, slots=True)
class Depth:
    """What waits in the outbox."""

    ready: int
    leased: int
    oldest_due_at: Millis | None
    """Of the ready chunks whose time has come."""
    plans: int
