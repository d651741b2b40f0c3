"""Further processes that send: whether they bring more where each has only so much of a core."""

from collections.abc import Sequence
from statistics import median
from typing import Final

from bench.bodies import MATCH, change
from bench.cases.whole_path import one_update
from bench.figures import Absent, Figure, Finding, Run
from bench.outbox import outbox_of
from bench.population import populated_home
from bench.service import running_service
from bench.session import Case, Session
from bench.sink import Sink, running_sink
from bench.small_cores import NoControlError, small_cores

SHARE: Final = 0.2
"""Of a core for each process: four of them, and nginx, have room on two cores."""
PROCESSES: Final = (1, 2, 3, 4)


async def scaling(session: Session) -> Sequence[Finding]:
    """The same update with one, two, three and four processes."""
    if not session.wants("skerry"):
        return []
    cards = session.sizes.scaling_cards
    findings: list[Finding] = []
    alone: float | None = None
    async with running_sink(apple_streams=1_000) as sink:
        for processes in PROCESSES:
            client = f"skerry_{processes}"
            try:
                runs = await _runs(session, sink, cards, processes)
            except NoControlError as error:
                findings.append(Absent("scaling", str(cards), client, str(error)))
                continue
            alone = alone or median(run.values["per_second"] for run in runs)
            findings.append(
                Figure("scaling", str(cards), client, "pushes", [_compared(run, alone, processes) for run in runs])
            )
    return findings


async def _runs(session: Session, sink: Sink, cards: int, processes: int) -> list[Run]:
    session.say(f"scaling: making {cards:,} cards, or finding them in the cache")
    async with (
        populated_home(sink.endpoint, MATCH, cards) as home,
        running_service(home, processes=processes) as service,
    ):
        with outbox_of(service.database) as outbox:
            await one_update(service, sink, outbox, cards, change(MATCH, "kick-off"))
            with small_cores(service.all_processes(), SHARE):
                runs = []
                for number in range(session.sizes.runs):
                    runs.append(await one_update(service, sink, outbox, cards, change(MATCH, f"goal {number}")))
                    session.say(f"scaling, {processes} sending: {runs[-1].values['per_second']:,.0f} a second")
    return runs


def _compared(run: Run, alone: float, processes: int) -> Run:
    others = {
        **run.others,
        "times_one": run.values["per_second"] / alone,
        "share_used": run.cpu / run.wall / (SHARE * processes),
    }
    return Run(run.count, run.cpu, run.wall, others)


CASE = Case(
    "scaling",
    "More processes that send, each on a small core",
    f"the whole path to so many cards with `delivery.processes` = 1 to {PROCESSES[-1]} (`skerry_1` …), where the "
    f"kernel holds every process to {SHARE:.0%} of a core (quota of a control group, as a container has it), so that "
    "two cores have room for all of them and for nginx. The first push ever to these devices goes ahead without a "
    "quota. `times_one` is the rate compared with that of one process, `share_used` how much of what they were given "
    "the processes used: far below 1 they waited for each other",
    scaling,
)
