"""`python -m bench`: run the benchmarks and write what they found to bench/results/."""

import asyncio
import pstats
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

import uvloop

from bench import machine, results
from bench.cases import CASES, Session
from bench.figures import Figure
from bench.sink import running_sink
from bench.sizes import ALL, FULL, QUICK, Sizes

RESULTS = Path(__file__).parent / "results"
_TOP = 40
"""Lines of a profile."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what was asked for, show the table and write the files."""
    wanted = _parser().parse_args(arguments)
    sizes = QUICK if wanted.quick else ALL[wanted.sizes]
    if wanted.profile is not None and len(wanted.only or ()) != 1:
        sys.exit("--profile needs one case, such as --only fan-out")
    about = machine.describe()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        figures = runner.run(_measure(wanted, sizes))
    print(f"\n{results.table(figures)}")
    if wanted.profile is not None:
        # Times under a profiler are no figures: they are shown and not kept.
        pstats.Stats(str(wanted.profile)).sort_stats("tottime").print_stats(_TOP)
        return
    results.write(wanted.results, figures, about, _command(sizes, wanted))
    print(f"\nWritten to {wanted.results}/latest.md and latest.json")


async def _measure(wanted: Namespace, sizes: Sizes) -> list[Figure]:
    figures: list[Figure] = []
    async with running_sink() as sink:
        session = Session(sizes, sink, _say, wanted.profile)
        for name in wanted.only or CASES:
            figures += await CASES[name](session)
    return figures


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _command(sizes: Sizes, wanted: Namespace) -> str:
    size = {FULL.name: "", QUICK.name: " --quick"}.get(sizes.name, f" --sizes {sizes.name}")
    return "python -m bench" + size + "".join(f" --only {name}" for name in wanted.only or ())


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m bench", description="Measure Skerry on this machine.")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs: under three minutes")
    parser.add_argument("--sizes", choices=ALL, default=FULL.name, help="how much is measured (default: %(default)s)")
    parser.add_argument("--only", choices=CASES, action="append", help="this case only; may be repeated")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the results go (default: bench/results)")
    parser.add_argument("--profile", type=Path, help="run one case under cProfile, and keep the profile in this file")
    return parser


if __name__ == "__main__":
    main()
