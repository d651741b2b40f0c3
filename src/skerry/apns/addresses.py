"""The addresses behind a host's name, and which of them deserves the next connection.

Apple asks for an uncached look-up before each new connection, and answers with several addresses, other ones each
time. Some may refuse, stall or be slow: each has a back-off of its own, so that one bad address costs nobody an attempt
storm and never hides the good ones.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

FORGOTTEN_AFTER = 3600.0
"""Seconds after which an address that the name no longer leads to, and that carries nothing, is forgotten."""


@dataclass(slots=True)
class Address:
    """One address of the host. Times in seconds of the loop's clock."""

    text: str
    failures: int = 0
    """In a row."""
    not_before: float = 0.0
    connections: int = 0
    """Open or opening."""
    seen_at: float = 0.0
    untrusted: bool = False
    """Its last failure was one that trying again does not mend, such as a certificate that is not trusted."""

    @property
    def family(self) -> int:
        """IP version."""
        return 6 if ":" in self.text else 4


class Addresses:
    """What is known of each address of one host. Pure: names are looked up elsewhere."""

    def __init__(self, *, back_off: float, max_back_off: float, jitter: Callable[[], float] = random.random) -> None:
        self._back_off = back_off
        self._max_back_off = max_back_off
        self._jitter = jitter
        self._known: dict[str, Address] = {}

    def __bool__(self) -> bool:
        return bool(self._known)

    def resolved(self, texts: Sequence[str], now: float) -> None:
        """The name leads to these at the moment; the last good answer stays where a look-up fails."""
        for text in texts:
            self._known.setdefault(text, Address(text)).seen_at = now
        for text, one in list(self._known.items()):
            if text not in texts and not one.connections and now - one.seen_at > FORGOTTEN_AFTER:
                del self._known[text]

    def choose(self, now: float, *, elsewhere: bool = False) -> Address | None:
        """The address for the next attempt: of the newest answer, with the fewest connections.

        A failure counts as a connection: an address that has failed is tried again, but not before the others carry as
        many.

        Args:
            now: the time.
            elsewhere: an attempt stalls; it may be a whole family of addresses that has no route, so take the other.

        Returns:
            None where every address has to wait (see `next_attempt`), or none is known.
        """
        newest = self._newest()
        busy = {one.family for one in newest if one.connections} if elsewhere else set()
        free = [one for one in newest if one.not_before <= now]
        return min(
            free,
            key=lambda one: (one.family in busy, one.connections + one.failures, self._jitter()),
            default=None,
        )

    def spare(self, now: float) -> Address | None:
        """An address that nothing is connected to, and that may be tried now."""
        return next((one for one in self._newest() if not one.connections and one.not_before <= now), None)

    def next_attempt(self) -> float:
        """When the first of the waiting addresses may be tried again; 0 where none is known."""
        return min((one.not_before for one in self._newest()), default=0.0)

    @property
    def all_untrusted(self) -> bool:
        """Whether every address was refused for a reason that somebody has to mend first."""
        return bool(self._known) and all(one.untrusted for one in self._known.values())

    def failed(self, address: Address, now: float, *, fatal: bool) -> None:
        """An attempt came to nothing: the next one waits, longer each time, with jitter."""
        address.failures += 1
        address.untrusted = fatal
        wait = (
            self._max_back_off
            if fatal
            else min(self._back_off * 2 ** min(address.failures - 1, 16), self._max_back_off)
        )
        address.not_before = now + wait * (0.5 + self._jitter() / 2)

    def trusted(self, address: Address) -> None:
        """A connection came up; whether it is good for anything, its first answer will tell."""
        address.untrusted = False

    def succeeded(self, address: Address) -> None:
        """A push was answered there."""
        address.failures = 0
        address.not_before = 0.0
        address.untrusted = False

    def _newest(self) -> list[Address]:
        """Those of the last answer."""
        newest = max((one.seen_at for one in self._known.values()), default=0.0)
        return [one for one in self._known.values() if one.seen_at == newest]
