"""When a pool opens one more connection. Pure.

One connection carries about window / body bytes a round trip; on a real network that, and not CPU, is what limits
it. So the pool grows while pushes wait that no connection has room for: paced, because Apple takes bursts of
connections for an attack, and only for as long as it helps. Where one more connection did not raise the rate of
answers, the limit lies elsewhere (our CPU, theirs), and the pool stays as it is for a while.
"""

from dataclasses import dataclass
from typing import Final

HELPS: Final = 1.1
"""A connection has helped if answers come at least this much faster than before it."""
STAYS: Final = 20.0
"""Seconds for which a size that growth did not improve on is kept."""


@dataclass(slots=True)
class _Trial:
    """The last growth, on trial."""

    began: float
    answered: int
    rate_before: float


class Growth:
    """Decides from what the pool sees; the clock is the caller's."""

    def __init__(self, interval: float) -> None:
        """Interval: least seconds between two openings, and the time over which a rate is measured."""
        self._interval = interval
        self._mark = 0.0
        self._mark_answered = 0
        self._rate = 0.0
        self._trial: _Trial | None = None
        self._holds_until = 0.0
        self._opened_at = float("-inf")

    def observe(self, now: float, answered: int) -> None:
        """Note how many answers there have been in all; called some times per interval."""
        passed = now - self._mark
        if passed < self._interval:
            return
        self._rate = (answered - self._mark_answered) / passed
        self._mark, self._mark_answered = now, answered
        trial = self._trial
        if trial is not None and now - trial.began >= 2 * self._interval:
            since = (answered - trial.answered) / (now - trial.began)
            if since < trial.rate_before * HELPS:
                self._holds_until = now + STAYS
            self._trial = None

    def wanted(self, now: float) -> bool:
        """Whether pushes that wait are reason enough for one more connection beside those that are there."""
        return now - self._opened_at >= self._interval and now >= self._holds_until and self._trial is None

    def opened(self, now: float, answered: int, *, beside: int) -> None:
        """A connection has come up; with `beside` others at work its worth is measured from here."""
        self._opened_at = now
        if beside:
            self._trial = _Trial(now, answered, self._rate)

    def shrank(self) -> None:
        """A connection has gone: what was measured with it no longer holds."""
        self._holds_until = 0.0
        self._trial = None
