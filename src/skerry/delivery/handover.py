"""The handover: parcels that go from the commit that made them straight to the sender.

They are born leased, so that what is sent at once is not first stored as waiting and then claimed: a write and three
changes of an index less for each. Should the process die, they are leased chunks like all others.
"""

from collections.abc import Callable, Sequence

from skerry.domain.parcel import Parcel


class Handover:
    """Between the planner, which asks for `room` in the store's thread, and the sender, on the event loop.

    The number may be a moment old, so that some parcels more may come than there is room for; never many.
    """

    def __init__(self) -> None:
        self.room = 0
        """Parcels that the sender would take now; without a sender at work, none: everything waits in the outbox."""
        self.owner = ""
        """The sender, as leases name it."""
        self._carry: Callable[[Sequence[Parcel]], None] | None = None

    def open(self, owner: str, room: int, carry: Callable[[Sequence[Parcel]], None]) -> None:
        """A sender is at work."""
        self.owner, self.room, self._carry = owner, room, carry

    def close(self) -> None:
        """It is no more."""
        self.room, self._carry = 0, None

    def give(self, parcels: Sequence[Parcel]) -> None:
        """They are on disk. Where the sender has just gone, the next one finds them."""
        if parcels and self._carry is not None:
            self._carry(parcels)
