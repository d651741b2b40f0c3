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
    streams: tuple[int, ...]
    """Limits of concurrent streams on the wire."""
    pace: float
    """Of what a client pushes in one round on the wire when it is measured in full."""
    cards: tuple[int, ...]
    """Of the one group of the whole path."""
    run_pushes: int
    """Of one run of the whole path at least, in as many updates: one of few cards is over in a moment."""
    scaling_cards: int
    """Of the group that several processes share, each on a small core."""
    fair_cards: int
    """Of the group beside which single cards must not wait."""
    fair_seconds: float
    """For which an idle service is asked."""
    network_pushes: int
    """Over the network that is like the real one."""
    network_runs: int
    """Of ours; of the others one: what they lose shows in it."""
    network_within: float
    """Seconds for one run: who has not finished by then has lost its way."""
    activities: int
    """With one card each, of the courier."""
    lines: int
    """Of one bulk call."""
    warms_up: bool = True
    """Whether clients get the rounds that they need to warm up."""
    concurrency: int = 64
    """Keep-alive connections, each with one request at a time."""


FULL = Sizes(
    "full",
    runs=5,
    requests=10_000,
    groups=1_000,
    streams=(100, 500, 1_000),
    pace=1.0,
    cards=(10_000, 100_000, 1_000_000),
    run_pushes=100_000,
    scaling_cards=100_000,
    fair_cards=1_000_000,
    fair_seconds=15.0,
    network_pushes=100_000,
    network_runs=3,
    network_within=300.0,
    activities=100_000,
    lines=1_000,
)
QUICK = Sizes(
    "quick",
    runs=3,
    requests=3_000,
    groups=1_000,
    streams=(1_000,),
    pace=0.3,
    cards=(10_000, 100_000),
    run_pushes=100_000,
    scaling_cards=100_000,
    fair_cards=100_000,
    fair_seconds=5.0,
    network_pushes=10_000,
    network_runs=1,
    network_within=30.0,
    activities=5_000,
    lines=1_000,
)
SMOKE = Sizes(
    "smoke",
    runs=1,
    requests=60,
    groups=20,
    streams=(100,),
    pace=0.005,
    cards=(1_200,),
    run_pushes=2_400,
    scaling_cards=1_200,
    fair_cards=2_500,
    fair_seconds=0.5,
    network_pushes=200,
    network_runs=1,
    network_within=60.0,
    activities=60,
    lines=20,
    warms_up=False,
    concurrency=8,
)
"""Says nothing about speed: it shows that the benchmarks work."""
ALL = {sizes.name: sizes for sizes in (FULL, QUICK, SMOKE)}
