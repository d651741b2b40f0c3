"""The gate of a route: whether pushes may go out at all, and at what pace they may be tried when something is wrong.

Some answers speak of everybody: a key that Apple does not accept, a provider token renewed too often, a storm of
503s. Sending on would only burn pushes (a 5xx costs each of them Apple's fifteen minutes) and make Apple angrier. So
the route stops, and single pushes are let through as probes until one is accepted.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

STORM_LEAST: Final = 20
"""5xx answers in a row, over all connections, that make a storm."""


class Closed(Enum):
    """Why a gate is closed."""

    STORM = "server_errors"
    """Nothing but 5xx: pushes wait for a probe to come through."""
    TOO_MANY_TOKENS = "too_many_provider_token_updates"
    """Keep the token and be quiet for a while (apple.md 2.2)."""
    CREDENTIAL = "credential"
    """Somebody has to mend the key, its ids or its environment: pushes are handed back at once."""


@dataclass(frozen=True, slots=True)
class GateSettings:
    """Times in seconds."""

    pause: float = 60.0
    """After `TooManyProviderTokenUpdates`."""
    credential_probe: float = 300.0
    """Between two attempts with a credential that was refused."""
    storm_probe: float = 1.0
    """Until the first probe of a storm; doubles with each further one."""
    storm_probe_most: float = 15.0


class Gate:
    """Pure: answers and the time go in."""

    def __init__(self, settings: GateSettings, jitter: Callable[[], float] = random.random) -> None:
        self._settings = settings
        self._jitter = jitter
        self._server_errors = 0
        self._probes = 0
        self._probe_out = False
        self.closed: Closed | None = None
        self.reason = ""
        """Apple's reason for the last closing."""
        self.opens_at = 0.0
        """When the next probe may go out (or, after a pause, everything)."""

    def allowance(self, now: float) -> int | None:
        """How many pushes may go out now: None for any number, else 0, or 1 for a probe."""
        if self.closed is None:
            return None
        if now < self.opens_at or self._probe_out:
            return 0
        if self.closed is Closed.TOO_MANY_TOKENS:
            self.closed = None
            return None
        return 1

    def hands_back(self, now: float) -> bool:
        """Whether waiting pushes should be given up now rather than wait for the gate to open."""
        return self.closed is Closed.CREDENTIAL and now < self.opens_at

    def sent_probe(self) -> None:
        """The one push of `allowance` has been written."""
        self._probe_out = True

    def answered(self, now: float, status: int, *, probe: bool) -> None:
        """An answer that is not about the credential: 5xx feeds a storm, everything else ends it."""
        if status < 500:  # noqa: PLR2004 - HTTP's class of server errors
            self._server_errors = 0
            if self.closed is Closed.STORM or (self.closed is Closed.CREDENTIAL and probe):
                self._open()
            return
        self._server_errors += 1
        if self.closed is not None:
            if probe:  # of a credential it says nothing either
                self._next_probe(now)
        elif self._server_errors >= STORM_LEAST:
            self.closed, self.reason, self._probes = Closed.STORM, "", 0
            self._next_probe(now)

    def refused_credential(self, now: float, reason: str) -> None:
        """Apple, or our own key, said that no push can go out this way."""
        if self.closed is Closed.CREDENTIAL and now < self.opens_at:
            return  # answers to what was under way say the same thing again
        self.closed, self.reason = Closed.CREDENTIAL, reason
        self.opens_at = now + self._settings.credential_probe
        self._probe_out = False

    def too_many_tokens(self, now: float, reason: str) -> None:
        """Renewed too often: be quiet."""
        if self.closed is None or self.closed is Closed.STORM:
            self.closed, self.reason = Closed.TOO_MANY_TOKENS, reason
            self.opens_at = now + self._settings.pause
            self._probe_out = False

    def lost_probe(self, now: float) -> None:
        """A probe ended without an answer; the next one waits its turn."""
        if self._probe_out:
            if self.closed is Closed.STORM:
                self._next_probe(now)
            else:
                self._probe_out = False
                self.opens_at = now + self._settings.credential_probe

    def _next_probe(self, now: float) -> None:
        settings = self._settings
        wait = min(settings.storm_probe * 2 ** min(self._probes, 16), settings.storm_probe_most)
        self.opens_at = now + wait * (0.5 + self._jitter() / 2)
        self._probes += 1
        self._probe_out = False

    def _open(self) -> None:
        self.closed = None
        self.reason = ""
        self._probe_out = False
        self._probes = 0
