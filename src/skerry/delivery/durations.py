"""Durations, counted by their length: a histogram that takes a whole chunk's pushes at once."""

from bisect import bisect_left
from collections.abc import Sequence

FROM_MILLISECONDS_TO_HOURS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0),
)
"""Seconds. A push that meets no obstacle takes milliseconds; one that APNs has asked to wait comes within an hour."""


class Durations:
    """How many took how long. One call serves any number of pushes that took the same time."""

    def __init__(self, bounds: Sequence[float] = FROM_MILLISECONDS_TO_HOURS) -> None:
        self.bounds = bounds
        """Seconds, rising: the upper end of each class, which belongs to it."""
        self.counts = [0] * (len(bounds) + 1)
        """By class; the last one is of those beyond all bounds."""
        self.total = 0.0
        """Seconds, of all together."""

    def add(self, seconds: float, count: int) -> None:
        """`count` took `seconds`; a clock that stepped back makes that no less than nothing."""
        seconds = max(seconds, 0.0)
        self.counts[bisect_left(self.bounds, seconds)] += count
        self.total += seconds * count

    def include(self, counts: Sequence[int], total: float) -> None:
        """What somebody else has counted in the same classes."""
        self.counts = [ours + theirs for ours, theirs in zip(self.counts, counts, strict=True)]
        self.total += total
