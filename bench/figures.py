"""What was measured: runs of a case, and the figure that is their median."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

_LEAST_CPU = 0.01
"""Seconds: the step in which the kernel counts CPU time."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run. Times in seconds; `cpu` is the service's."""

    count: int
    cpu: float
    wall: float
    others: Mapping[str, float] = field(default_factory=dict)
    """What else is worth telling, by a name that carries its unit."""

    @property
    def per_cpu_second(self) -> float:
        return self.count / max(self.cpu, _LEAST_CPU)

    @property
    def per_second(self) -> float:
        return self.count / self.wall


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the results."""

    name: str
    title: str
    unit: str
    how: str
    """What exactly happened, so that nobody has to guess what the figure means."""
    runs: Sequence[Run]

    @property
    def per_cpu_second(self) -> float:
        return median(run.per_cpu_second for run in self.runs)

    @property
    def per_second(self) -> float:
        return median(run.per_second for run in self.runs)

    @property
    def others(self) -> dict[str, float]:
        """The median of each."""
        return {name: median(run.others[name] for run in self.runs) for name in self.runs[0].others}
