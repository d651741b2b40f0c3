"""What was measured: runs of one client at one size of one case, and the figure that is their median."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

_LEAST_CPU = 1e-6
"""Seconds. Less than this is nothing, and no rate can be told from it."""
WORST = frozenset({"lost", "doubled", "failed", "unfinished"})
"""Of these the worst run counts: a push that is lost in one run of three is lost."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run. Times in seconds; `cpu` is that of what is measured, the client or the service."""

    count: int
    cpu: float
    wall: float
    others: Mapping[str, float] = field(default_factory=dict)
    """What else is worth telling, by a name that carries its unit."""
    rates: bool = True
    """Whether rates say anything: not where the pace was given."""

    @property
    def values(self) -> dict[str, float]:
        """Everything that this run tells, by name."""
        rates = {"per_cpu_second": self.count / max(self.cpu, _LEAST_CPU), "per_second": self.count / self.wall}
        return {**(rates if self.rates else {}), **self.others}


@dataclass(frozen=True, slots=True)
class Figure:
    """One client at one size of one case."""

    case: str
    size: str
    client: str
    unit: str
    runs: Sequence[Run]

    def values(self) -> dict[str, float]:
        """The median of each value; of `WORST`, the worst."""
        return {
            name: max(values) if name in WORST else median(values)
            for name, values in ((name, self._all(name)) for name in self.runs[0].values)
        }

    def spread(self) -> dict[str, tuple[float, float]]:
        """The least and the most of each value."""
        return {name: (min(values), max(values)) for name in self.runs[0].values for values in (self._all(name),)}

    def _all(self, name: str) -> list[float]:
        return [run.values[name] for run in self.runs if name in run.values]


@dataclass(frozen=True, slots=True)
class Absent:
    """There is no figure, and this is why."""

    case: str
    size: str
    client: str
    why: str


Finding = Figure | Absent
