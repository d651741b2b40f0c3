"""MAX_CONCURRENT_STREAMS as both sides see it: announced by us, in force once the sender has acknowledged it. Pure."""

from collections import deque
from enum import Enum, auto


class Admission(Enum):
    """What becomes of a stream that the sender opens."""

    ADMITTED = auto()
    SURPLUS = auto()
    """Within what the sender may know, beyond what was announced since: REFUSED_STREAM."""
    VIOLATION = auto()
    """Beyond what the sender has acknowledged: the connection ends."""


class StreamLimit:
    """The limit of one connection.

    Args:
        initial: announced with the first SETTINGS. It is in force from the first byte: APNs refuses clients that assume
            more before they have seen SETTINGS (apple.md 1.3).
    """

    def __init__(self, initial: int) -> None:
        self.announced = initial
        self.in_force = initial
        self._unacknowledged: deque[int] = deque([initial])

    @property
    def falling(self) -> bool:
        """Whether a lower limit is on its way to the sender, who may be opening streams by the old one."""
        return self.announced < self.in_force

    def announce(self, limit: int) -> None:
        """A SETTINGS frame with this limit (or with other settings and the limit as it was) has been sent."""
        self.announced = limit
        self._unacknowledged.append(limit)

    def acknowledged(self) -> None:
        """The sender has acknowledged the oldest SETTINGS frame. An acknowledgement too many is ignored."""
        if self._unacknowledged:
            self.in_force = self._unacknowledged.popleft()

    def admit(self, already_open: int) -> Admission:
        """Judge one more stream beside those that are open."""
        if already_open >= self.in_force:
            return Admission.VIOLATION
        return Admission.SURPLUS if already_open >= self.announced else Admission.ADMITTED
