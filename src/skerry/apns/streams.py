"""Streams in bulk: a run of consecutive stream ids carries a run of pushes, and no push is an object."""

from bisect import bisect_right, insort
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Final, Generic, NamedTuple, TypeVar

from skerry.apns.answer import Answer
from skerry.domain.push import Outcome, Rejected

OwnerT = TypeVar("OwnerT")

PENDING: Final = int(Outcome.PENDING)
ACCEPTED: Final = int(Outcome.ACCEPTED)
STIRRED: Final = 255
"""Still open, but with a story: half an answer has come, or half the body is still here. Off the fast lane."""
TOLD: Final = 254
"""Accepted, and the owner knows, though others of the run are still open."""


class Run(Generic[OwnerT]):
    """Pushes that went out together on the streams `first_id, first_id + 2, …`.

    `codes[k]` is the outcome of stream `first_id + 2k`: `PENDING` or `STIRRED` while it is open. `places[k]` is where
    that push stands in its owner's batch; `owner` is carried for the caller and not looked at here. `answers` is where
    whole answers are put, by place; None for pushes, whose answers say nothing but yes or no. Streams whose answers are
    kept are `STIRRED` from the beginning.
    """

    __slots__ = (
        "answers",
        "authorization",
        "codes",
        "deadline",
        "first_id",
        "open",
        "owner",
        "places",
        "sent_at",
        "span",
    )

    def __init__(
        self,
        owner: OwnerT,
        places: Sequence[int],
        *,
        first_id: int,
        deadline: float,
        authorization: bytes,
        answers: dict[int, Answer] | None = None,
    ) -> None:
        self.owner = owner
        self.places = places
        self.first_id = first_id
        self.deadline = deadline
        self.authorization = authorization
        self.sent_at = 0.0
        """By the clock of whoever writes it; the session has none."""
        self.answers = answers
        self.codes = bytearray(len(places)) if answers is None else bytearray((STIRRED,)) * len(places)
        self.open = len(places)
        self.span = 2 * len(places)

    def stream_id(self, position: int) -> int:
        """The stream that carries the push at `position` of this run."""
        return self.first_id + 2 * position

    def take_accepted(self) -> list[int]:
        """Positions that have been accepted since the last call; each is told once, here or when the run is over."""
        positions = [position for position, code in enumerate(self.codes) if code == ACCEPTED]
        for position in positions:
            self.codes[position] = TOLD
        return positions

    def open_positions(self) -> list[int]:
        """Positions whose streams are not closed yet."""
        return [position for position, code in enumerate(self.codes) if code in (PENDING, STIRRED)]


class Exceptional(NamedTuple, Generic[OwnerT]):
    """The end of one stream with anything but a 200."""

    run: Run[OwnerT]
    position: int
    outcome: Outcome
    rejected: Rejected | None
    """With `REJECTED`."""
    cause: str
    """With `NOT_PROCESSED` and `UNKNOWN`."""


_first_id = attrgetter("first_id")


class Runs(Generic[OwnerT]):
    """The runs with open streams, by stream id."""

    __slots__ = ("_runs",)

    def __init__(self) -> None:
        self._runs: list[Run[OwnerT]] = []

    def __iter__(self) -> Iterator[Run[OwnerT]]:
        """A snapshot, oldest first: closing streams while walking is fine."""
        return iter(self._runs[:])

    def add(self, run: Run[OwnerT]) -> None:
        """Enter a run; its ids lie above all others'."""
        insort(self._runs, run, key=_first_id)

    def remove(self, run: Run[OwnerT]) -> None:
        """Forget a run whose streams are all closed."""
        del self._runs[bisect_right(self._runs, run.first_id, key=_first_id) - 1]

    def find(self, stream_id: int) -> tuple[Run[OwnerT], int] | None:
        """The run and the position of an open stream; None if it is closed."""
        index = bisect_right(self._runs, stream_id, key=_first_id) - 1
        if index < 0:
            return None
        run = self._runs[index]
        position = (stream_id - run.first_id) >> 1
        if position >= len(run.codes) or run.codes[position] not in (PENDING, STIRRED):
            return None
        return run, position

    def candidate(self, stream_id: int) -> Run[OwnerT] | None:
        """The run that this id would belong to, without asking whether it does."""
        index = bisect_right(self._runs, stream_id, key=_first_id) - 1
        return self._runs[index] if index >= 0 else None
