"""What all cases of one session share."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.figures import Finding
from bench.sizes import Sizes


class WrongResultError(Exception):
    """The service was fast but wrong, or the server and the service count differently: there is no figure to tell."""


@dataclass(frozen=True, slots=True)
class Session:
    """How much is measured, of whom, and who hears of it meanwhile."""

    sizes: Sizes
    say: Callable[[str], None]
    clients: Sequence[str] | None = None
    """By name; None: all that can run here."""
    profile: Path | None = None
    """Where the service's profile goes; None: it is not profiled."""

    def wants(self, client: str) -> bool:
        """Whether this client was asked for."""
        return self.clients is None or client in self.clients


@dataclass(frozen=True, slots=True)
class Case:
    """Something to measure."""

    name: str
    title: str
    how: str
    """What exactly happens, so that nobody has to guess what a figure means."""
    run: Callable[[Session], Awaitable[Sequence[Finding]]]
