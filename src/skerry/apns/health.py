"""How well a connection does: its latency, its silences, its server errors, and how many streams it bears. Pure."""

from typing import Final

UNCAPPED: Final = 2**31
SILENT_LEAST: Final = 3
SILENT_SHARE: Final = 0.05
"""Streams without an answer until their deadline: so many, and more than this share of all ends, mean it is sick."""
ERRORS_LEAST: Final = 10
"""Server errors in a row: where other connections get none, this one is sick."""
SLOW_FACTOR: Final = 4.0
SLOW_LEAST: Final = 0.25
"""A connection is slow at this many times its neighbours' latency, and never below so many seconds."""
_MEMORY: Final = 0.2
"""Weight of the newest measurement in a moving average."""
_FORGET: Final = 1_000
"""Ends after which the count of silences is halved."""
_LEAST_CAP: Final = 8
_MOST_OF_A_RUN: Final = 1.0
_LEAST_OF_A_RUN: Final = 0.2
"""Streams worth having open, as a share of a run between two falls of the limit. At 2 % rejections a run is 50 pushes
long. With 50 streams a connection brings 19 answers a round trip, and 0.6 pushes are refused for each; with 20 it
brings 12, and 0.2 are refused; with 10 it brings 8, and 0.07 are refused. The more is right where only the way limits,
the less where the peer has enough to do: what it refuses costs it most of what it takes to serve it."""
_NARROWER: Final = 0.8
_WIDER: Final = 1.1
"""Once a look at all connections: that share changes by the one factor while answers queue, and by the other else."""
_UNUSUAL: Final = 4.0
"""A run so many times as long as usual, which one in fifty is by chance, says that runs have become longer."""
_LONG_MEMORY: Final = 0.05
"""The same for what all connections see, which comes often and varies much."""


class Bearing:
    """How many pushes go through between two falls of a limit, over all connections of a route.

    Rejections come with the tokens, not with the connection: what one has learned holds for the others.
    """

    def __init__(self) -> None:
        self.run_length: float | None = None
        """Averaged; None: no limit has fallen yet."""
        self._share = _MOST_OF_A_RUN

    def fell(self, after: int) -> None:
        """A limit fell after so many answers."""
        before = float(after) if self.run_length is None else self.run_length
        self.run_length = before + _LONG_MEMORY * (after - before)

    def looked(self, *, queueing: bool) -> None:
        """Note whether answers queue: then what is refused and sent again is in the way of what would be answered."""
        self._share = (
            max(_LEAST_OF_A_RUN, self._share * _NARROWER) if queueing else min(_MOST_OF_A_RUN, self._share * _WIDER)
        )

    @property
    def yields(self) -> bool:
        """Whether connections would get fewer streams where answers queue."""
        return self.run_length is not None and self._share > _LEAST_OF_A_RUN

    def cap(self, streak: int) -> int:
        """Streams that are worth having open on a connection whose limit has not fallen for so many answers."""
        if self.run_length is None:
            return UNCAPPED
        return max(_LEAST_CAP, int(self._share * max(self.run_length, streak / _UNUSUAL)))


class Health:
    """Of one connection."""

    def __init__(self, bearing: Bearing | None = None) -> None:
        self._bearing = bearing or Bearing()
        self.latency: float | None = None
        """Seconds from writing to the last answer of a run, averaged over runs; None: nothing was measured yet."""
        self.server_errors = 0
        """In a row."""
        self._silent = 0.0
        self._ends = 0.0
        self._streak = 0
        self._falls = 0

    def answered(self, count: int) -> None:
        """So many answers that are no server errors."""
        self.server_errors = 0
        self._streak += count
        self._ended(count)

    def server_error(self) -> None:
        """One 5xx."""
        self.server_errors += 1
        self._ended(1)

    def silent(self, count: int) -> None:
        """So many streams were given up unanswered."""
        self._silent += count
        self._ended(count)

    def measured(self, seconds: float) -> None:
        """A run has been answered whole after so long."""
        self.latency = seconds if self.latency is None else self.latency + _MEMORY * (seconds - self.latency)

    def refused(self, falls: int) -> None:
        """The peer refused a stream. `falls`: how often its limit has fallen so far.

        Where it fell, what came through since the last time is what connections bear; a refusal for any other reason
        says nothing of that.
        """
        if falls == self._falls:
            return
        self._falls = falls
        self._bearing.fell(self._streak)
        self._streak = 0

    @property
    def cap(self) -> int:
        """Streams that are worth having open at once.

        After a rejection APNs lets its limit fall to 1 and refuses what is in flight beyond (apple.md 1.3). All of
        that is sent again, so with rejections coming at a rate, more streams only mean more work that is thrown away.
        """
        return self._bearing.cap(self._streak)

    @property
    def is_sick(self) -> bool:
        """Whether too many streams fall silent for it to be trusted with more."""
        return self._silent >= SILENT_LEAST and self._silent > SILENT_SHARE * self._ends

    def is_slow(self, usual: float | None) -> bool:
        """Whether it takes far longer than is usual among its neighbours."""
        if usual is None or self.latency is None:
            return False
        return self.latency > max(SLOW_LEAST, SLOW_FACTOR * usual)

    def _ended(self, count: int) -> None:
        self._ends += count
        if self._ends > _FORGET:
            self._silent /= 2
            self._ends /= 2
