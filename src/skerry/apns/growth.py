"""When a pool opens one more connection. Pure.

One connection carries about window / body bytes a round trip; on a real network that, and not CPU, is what limits it.
So the pool grows while pushes wait that no connection has room for: paced, because Apple takes bursts of connections
for an attack, and only for as long as answers come as fast as ever. Where they take longer than they did, they queue
somewhere (in our process, or in theirs), and one more connection would only make that queue longer. But connections
whose limits fall with rejections are given fewer streams first (`health.Bearing`), and then there is room for more.

The rate of answers, which says the same in theory, was tried first. With rejections that lower limits at random it is
too noisy to tell whether the last connection has helped: growth stopped at a third of what the network bears.
"""

from typing import Final

UNTIL_USEFUL: Final = 4
"""Round trips from the decision to open a connection to its first full load: TCP, TLS, SETTINGS, the push that proves
it."""
QUEUEING: Final = 2.0
"""Answers queue when they take so many times as long as at best, and"""
CROWDED: Final = 1.5
"""At so many times as long, connections with limits that fall get fewer streams, before it comes to that."""
QUEUEING_LEAST: Final = 0.02
"""so many seconds longer: on a short way a busy turn of the loop is more than twice the round trip."""
REMEMBERED: Final = 60.0
"""Seconds for which the best latency counts: the way to Apple may get longer for good."""


class Growth:
    """Decides from what the pool sees; the clock is the caller's. Times in seconds."""

    def __init__(self, interval: float) -> None:
        """Interval: least time between two openings."""
        self._interval = interval
        self._best: float | None = None
        self._best_at = 0.0
        self._began_at = float("-inf")

    def observe(self, now: float, latency: float | None) -> None:
        """Note how long answers take, over all connections; None: nothing was measured yet."""
        if latency is None:
            return
        if self._best is None or latency <= self._best or now - self._best_at > REMEMBERED:
            self._best, self._best_at = latency, now

    def wanted(self, now: float, latency: float | None, *, yielding: bool = False) -> bool:
        """Whether pushes that wait are reason enough for one more connection beside those that are there.

        Args:
            now: the time.
            latency: as observed.
            yielding: where answers queue, the connections will have fewer streams, and there is room for one more.
        """
        return now - self._began_at >= self._interval and (yielding or not self.queueing(latency))

    def queueing(self, latency: float | None, times: float = QUEUEING) -> bool:
        """Whether answers take so many times as long as at best that they must be waiting somewhere."""
        if latency is None or self._best is None:
            return False
        return latency > max(times * self._best, self._best + QUEUEING_LEAST)

    @staticmethod
    def outrun(waiting: int, out: int) -> bool:
        """Whether so many pushes will still wait once a connection that is coming up bears its load.

        `out`: pushes on their way, which is what all connections together carry in a round trip.
        """
        return waiting > UNTIL_USEFUL * out

    def began(self, now: float) -> None:
        """A connection is being opened."""
        self._began_at = now
