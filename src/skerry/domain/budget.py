"""Apple's two budgets, estimated: of high-priority pushes, and of starts.

Priority 10 counts against an hourly budget per device, of unknown size, larger with
`NSSupportsLiveActivitiesFrequentUpdates`; priority 5 does not count, and is delivered when it suits the phone
(apple.md 4.7). Every card of an activity gets the same pushes, so one meter per activity serves all its cards.

Starts have a budget of their own, about ten in a short time for an app on a device: one more is dropped by the phone,
and APNs says 200 all the same (4.7). How long "short" is Apple does not say; about an hour, says the field. Pure.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from msgspec import Struct

from skerry.domain.ids import Millis

HOUR: Final = 3_600_000
RESERVE: Final = 0.25
"""Share of the budget that is kept for what a person must see."""
HIGH: Final = 10
LOW: Final = 5


class Meter(Struct, frozen=True):
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


START_BUDGET: Final = "StartBudget"
"""Our word for a start that waits, because its device has had as many as it takes."""
SLACK: Final = 60_000
"""Milliseconds: a phone counts from when it got a start, which is later than we sent it. And held starts go out by the
whole minute, so that those of many devices go together."""


class OverBudget(StrEnum):
    """What becomes of a start that its device would drop."""

    HOLD = "hold"
    """It goes out when there is room, with the newest state of that moment."""
    REFUSE = "refuse"
    """The device is not started."""


@dataclass(frozen=True, slots=True)
class StartBudget:
    """How many starts an app's device is trusted to take within a sliding window."""

    most: int = 10
    """0: starts are not counted."""
    window: Millis = Millis(HOUR)
    over: OverBudget = OverBudget.HOLD

    def counts_since(self, now: Millis) -> Millis:
        """Starts after this moment count."""
        return Millis(now - self.window - SLACK)

    def room_at(self, starts: Iterable[Millis], now: Millis) -> Millis:
        """When a device may be started once more: now, or at a whole minute to come.

        Args:
            starts: when its other starts went out, or will; those that do not count any more may be left out.
            now: the time.
        """
        since = self.counts_since(now)
        counting = sorted(one for one in starts if one > since)
        if not self.most or len(counting) < self.most:
            return now
        room = counting[-self.most] + self.window + SLACK
        return Millis(-(-room // SLACK) * SLACK)
