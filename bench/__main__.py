"""`python -m bench`: run the benchmarks and write what they found to bench/results/."""

import asyncio
import pstats
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

import uvloop

from bench import machine, results
from bench.cases import CASES
from bench.figures import Finding
from bench.gorush import GORUSH
from bench.peers import PEERS
from bench.session import Case, Session
from bench.sizes import ALL, FULL, QUICK, Sizes

RESULTS = Path(__file__).parent / "results"
_TOP = 40
"""Lines of a profile."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what was asked for, show the tables and write the files."""
    wanted = _parser().parse_args(arguments)
    sizes = QUICK if wanted.quick else ALL[wanted.sizes]
    if wanted.profile is not None and (len(wanted.only or ()) != 1 or wanted.only[0] in _SIDE_BY_SIDE):
        sys.exit("--profile needs one case that runs the service, such as --only whole_path")
    cases = [CASES[name] for name in wanted.only or CASES]
    about = machine.describe()
    session = Session(sizes, _say, wanted.client, wanted.profile)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for case in cases:
            findings = runner.run(_measure(case, session))
            for name, entries in results.as_document(findings).items():
                print(f"\n{CASES[name].title}\n\n{results.table(entries)}\n", flush=True)
            if wanted.profile is None:  # times under a profiler are no figures: they are shown and not kept
                results.write(wanted.results, [case], findings, about, _command(sizes, wanted))
    if wanted.profile is not None:
        pstats.Stats(str(wanted.profile)).sort_stats("tottime").print_stats(_TOP)
        return
    print(f"Written to {wanted.results}/latest.md and latest.json")


async def _measure(case: Case, session: Session) -> Sequence[Finding]:
    return await case.run(session)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _command(sizes: Sizes, wanted: Namespace) -> str:
    size = {FULL.name: "", QUICK.name: " --quick"}.get(sizes.name, f" --sizes {sizes.name}")
    only = "".join(f" --only {name}" for name in wanted.only or ())
    return "python -m bench" + size + only + "".join(f" --client {name}" for name in wanted.client or ())


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="python -m bench", description="Measure Skerry, and others beside it, on this machine."
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs: under five minutes")
    parser.add_argument("--sizes", choices=ALL, default=FULL.name, help="how much is measured (default: %(default)s)")
    parser.add_argument("--only", choices=CASES, action="append", help="this case only; may be repeated")
    parser.add_argument("--client", choices=[*PEERS, GORUSH], action="append", help="this client only; may be repeated")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the results go (default: bench/results)")
    parser.add_argument("--profile", type=Path, help="run one case under cProfile, and keep the profile in this file")
    return parser


_SIDE_BY_SIDE = frozenset({"wire", "real_network"})
"""Cases without the service, which is what can be profiled."""

if __name__ == "__main__":
    main()
