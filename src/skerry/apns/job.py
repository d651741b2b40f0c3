"""A batch on its way: which pushes wait, which are out, and what became of the rest."""

import asyncio
from collections.abc import Sequence

from skerry.apns.headers import Letter, literal_field
from skerry.domain.push import Endpoint, Outcome, Outcomes, PushBatch, Rejected

_ACCEPTED = bytes((Outcome.ACCEPTED,))


class Job:
    """One call of `ApnsClient.send`. `waiting` holds places of the batch in the order in which they go out."""

    def __init__(self, batch: PushBatch, endpoint: Endpoint, deadline: float) -> None:
        self.tokens = [token.encode("ascii") for token in batch.tokens]
        self.letter = _letter(batch, endpoint)
        self.urgent = batch.urgent
        self.queued = False
        """Whether it stands in a lane of the pool."""
        self.deadline = deadline
        """By the loop's clock."""
        self.outcomes = Outcomes(bytearray(len(self.tokens)))
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.renewed: set[int] = set()
        """Places that were refused for an expired provider token once: a second time is final."""
        self._waiting: Sequence[int] = range(len(self.tokens))
        self._again: list[int] = []
        self._left = len(self.tokens)

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
    authority = endpoint.host if endpoint.port == 443 else f"{endpoint.host}:{endpoint.port}"  # noqa: PLR2004 - https
    fields = [
        (b"apns-topic", batch.topic.encode()),
        (b"apns-push-type", batch.push_type.encode()),
        (b"apns-priority", b"%d" % batch.priority),
    ]
    # An expiration is another one for each activity: in the header table it would only push out the others.
    passing = b"" if batch.expiration is None else literal_field(b"apns-expiration", b"%d" % batch.expiration)
    return Letter(authority.encode(), tuple(fields), batch.body, passing)
