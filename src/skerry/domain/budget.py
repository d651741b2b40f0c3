"""Apple's budget for high-priority pushes, estimated: what is spent, what is left, and what `auto` makes of it.

Priority 10 counts against an hourly budget per device, of unknown size, larger with
`NSSupportsLiveActivitiesFrequentUpdates`; priority 5 does not count, and is delivered when it suits the phone
(apple.md 4.7). Every card of an activity gets the same pushes, so one meter per activity serves all its cards. Pure.
"""

from dataclasses import dataclass
from typing import Final

from skerry.domain.ids import Millis

HOUR: Final = 3_600_000
RESERVE: Final = 0.25
"""Share of the budget that is kept for what a person must see."""
HIGH: Final = 10
LOW: Final = 5


@dataclass(frozen=True, slots=True)
class Meter:
    """A bucket that leaks an hour's budget an hour. `spent` as of `at`."""

    spent: float = 0.0
    at: Millis = Millis(0)

    def level(self, per_hour: int, now: Millis) -> float:
        """High-priority pushes that still count at this moment."""
        return max(0.0, self.spent - (now - self.at) * per_hour / HOUR)

    def left(self, per_hour: int, now: Millis) -> float:
        """How many more the budget bears; below zero where it is overdrawn."""
        return per_hour - self.level(per_hour, now)

    def spend(self, per_hour: int, now: Millis) -> "Meter":
        """One more."""
        return Meter(self.level(per_hour, now) + 1.0, now)


def govern(meter: Meter, per_hour: int, now: Millis, *, important: bool) -> int:
    """The priority that `auto` chooses: high where a person must look, or while more than the reserve is left."""
    if important or meter.left(per_hour, now) > per_hour * RESERVE:
        return HIGH
    return LOW
