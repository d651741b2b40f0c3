"""How much is measured."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """Counts of one kind of session."""

    name: str
    runs: int
    """Of each case; their median is the figure."""
    requests: int
    """Of one run of a request case."""
    groups: int
    """Among which the updates of one run go round."""
    cards: int
    """Of the one group of the fan-out."""
    concurrency: int = 64
    """Keep-alive connections, each with one request at a time."""


FULL = Sizes("full", runs=5, requests=10_000, groups=1_000, cards=100_000)
QUICK = Sizes("quick", runs=3, requests=3_000, groups=1_000, cards=100_000)
SMOKE = Sizes("smoke", runs=1, requests=60, groups=20, cards=1_200, concurrency=8)
"""Says nothing about speed: it shows that the benchmarks work."""
ALL = {sizes.name: sizes for sizes in (FULL, QUICK, SMOKE)}
