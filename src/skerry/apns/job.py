"""A batch, or a single request, on its way: what waits, what is out, and what became of the rest."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from skerry.apns.answer import Answer
from skerry.apns.headers import Field, Letter, literal_field
from skerry.domain.push import (
    Accepted,
    Endpoint,
    NotProcessed,
    Outcome,
    Outcomes,
    PushBatch,
    Rejected,
    Result,
    Unknown,
)

HEADERS_MOST: Final = 4_096
"""Bytes of a request's own path and fields; APNs reads 8,000 of a whole header list (apple.md 1.3)."""

_ACCEPTED = bytes((Outcome.ACCEPTED,))


@dataclass(frozen=True, slots=True)
class Request:
    """One request that is no push to a token. `fields` are those beside `authorization`.

    Raises:
        ValueError: if path and fields are longer than APNs would read.
    """

    method: str
    path: str
    fields: tuple[Field, ...] = ()
    body: bytes = b""
    deadline: float = 30.0
    """Seconds from submission."""

    def __post_init__(self) -> None:
        size = len(self.path) + sum(len(name) + len(value) for name, value in self.fields)
        if size > HEADERS_MOST:
            raise ValueError(f"path and headers have {size} bytes; at most {HEADERS_MOST} are sent")


class Job:
    """What one call sends: `waiting` holds places of the batch in the order in which they go out.

    Args:
        letter: what its requests share.
        tokens: how the path of each goes on.
        deadline: by the loop's clock.
        urgent: whether it goes before jobs that are not.
        keeps_answers: whether the whole answers are wanted.
        bodies: one for each token, instead of the letter's, which is then as large as the largest of them.
        outcomes: where they go, all pending; None: into new ones.
    """

    def __init__(
        self,
        letter: Letter,
        tokens: list[bytes],
        deadline: float,
        *,
        urgent: bool = False,
        keeps_answers: bool = False,
        bodies: Sequence[bytes] | None = None,
        outcomes: Outcomes | None = None,
    ) -> None:
        self.tokens = tokens
        self.bodies = bodies
        self.letter = letter
        self.urgent = urgent
        self.answers: dict[int, Answer] | None = {} if keeps_answers else None
        self.queued = False
        """Whether it stands in a lane of the pool."""
        self.deadline = deadline
        """By the loop's clock."""
        self.outcomes = outcomes if outcomes is not None else Outcomes(bytearray(len(self.tokens)))
        self._clock = asyncio.get_running_loop().time
        self._since = self._clock()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.renewed: set[int] = set()
        """Places that were refused for an expired provider token once: a second time is final."""
        self._waiting: Sequence[int] = range(len(self.tokens))
        self._again: list[int] = []
        self._left = len(self.tokens)

    @classmethod
    def of(
        cls, batch: PushBatch, endpoint: Endpoint, deadline: float, outcomes: Outcomes | None = None
    ) -> Self:  # fmt: skip
        """A batch of pushes."""
        tokens = [token.encode("ascii") for token in batch.tokens]
        letter, urgent = _letter(batch, endpoint), batch.urgent
        return cls(letter, tokens, deadline, urgent=urgent, bodies=batch.bodies, outcomes=outcomes)

    @classmethod
    def asking(cls, request: Request, endpoint: Endpoint, deadline: float) -> Self:
        """A single request, whose answer is kept."""
        method = request.method.encode("ascii")
        letter = Letter(_authority(endpoint), request.fields, request.body, method=method, prefix=b"")
        return cls(letter, [request.path.encode("ascii")], deadline, urgent=True, keeps_answers=True)

    @property
    def result(self) -> Result[Answer]:
        """What became of the single request."""
        cause = self.outcomes.causes.get(0, "")
        match Outcome(self.outcomes.codes[0]):
            case Outcome.ACCEPTED:
                assert self.answers is not None
                return Accepted(self.answers[0])
            case Outcome.REJECTED:
                return self.outcomes.rejections[0]
            case Outcome.NOT_PROCESSED:
                return NotProcessed(cause)
            case _:
                return Unknown(cause)

    @property
    def waiting(self) -> int:
        """How many have not been written, or have to be written again."""
        return len(self._waiting) + len(self._again)

    @property
    def finished(self) -> bool:
        """Every push has its outcome."""
        return self._left == 0

    def take(self, count: int) -> Sequence[int]:
        """The next places to write, at most `count`."""
        if not self._waiting and self._again:
            self._waiting, self._again = self._again, []
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        if isinstance(taken, range):  # what is written again is not
            self.outcomes.waits.append((self._clock() - self._since, len(taken)))
        return taken

    def put_back(self, place: int) -> None:
        """This push was certainly not processed: it goes out again."""
        self._again.append(place)

    def accept(self, places: Sequence[int]) -> int:
        """These were taken; returns how many."""
        if isinstance(places, range):  # a whole run, unless something in it went out again
            self.outcomes.codes[places.start : places.stop] = _ACCEPTED * len(places)
        else:
            for place in places:
                self.outcomes.codes[place] = Outcome.ACCEPTED
        self._settled(len(places))
        return len(places)

    def settle(self, place: int, outcome: Outcome, *, rejected: Rejected | None = None, cause: str = "") -> None:
        """Anything but a 200."""
        self.outcomes.codes[place] = outcome
        if rejected is not None:
            self.outcomes.rejections[place] = rejected
        if cause:
            self.outcomes.causes[place] = cause
        self._settled(1)

    def give_up(self, cause: str) -> int:
        """Nothing that waits will be written any more; returns how many that were."""
        places = [*self._waiting, *self._again]
        self._waiting, self._again = (), []
        for place in places:
            self.settle(place, Outcome.NOT_PROCESSED, cause=cause)
        return len(places)

    def _settled(self, count: int) -> None:
        self._left -= count
        if self._left == 0 and not self.done.done():
            self.done.set_result(None)


def _letter(batch: PushBatch, endpoint: Endpoint) -> Letter:
    fields = [
        (b"apns-topic", batch.topic.encode()),
        (b"apns-push-type", batch.push_type.encode()),
        (b"apns-priority", b"%d" % batch.priority),
    ]
    # An expiration is another one for each activity: in the header table it would only push out the others.
    passing = b"" if batch.expiration is None else literal_field(b"apns-expiration", b"%d" % batch.expiration)
    body = batch.body if batch.bodies is None else max(batch.bodies, key=len)
    return Letter(_authority(endpoint), tuple(fields), body, passing)


def _authority(endpoint: Endpoint) -> bytes:
    return (endpoint.host if endpoint.port == 443 else f"{endpoint.host}:{endpoint.port}").encode()  # noqa: PLR2004 - https
