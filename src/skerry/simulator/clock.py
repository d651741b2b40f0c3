"""The simulator's clock: real time, shifted forward at will, or a clock that only moves when told."""

import time
from collections.abc import Callable


class Clock:
    """Wall-clock seconds since 1970 UTC that can be pushed forward, so that eight hours pass in a test."""

    def __init__(self, source: Callable[[], float] = time.time) -> None:
        self._source = source
        self._offset = 0.0

    def now(self) -> float:
        """Seconds since 1970-01-01 UTC as the simulated world sees them."""
        return self._source() + self._offset

    def advance(self, seconds: float) -> None:
        """Move the simulated world forward.

        Raises:
            ValueError: if `seconds` is negative; simulated time never runs back.
        """
        if seconds < 0:
            raise ValueError("seconds must not be negative: simulated time never runs back")
        self._offset += seconds


class FrozenClock(Clock):
    """A clock that stands still until `advance` is called: for tests."""

    def __init__(self, start: float = 1_790_000_000.0) -> None:
        super().__init__(source=lambda: start)
