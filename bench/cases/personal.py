"""What personal texts cost: the same update to the same cards, shared, by language and with placeholders."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bench.bodies import MATCH, change, personal_change, spoken_change
from bench.cases.whole_path import one_update
from bench.figures import Figure, Finding, Run
from bench.outbox import outbox_of
from bench.population import name_people, populated_home
from bench.service import running_service
from bench.session import Case, Session
from bench.sink import Sink, running_sink

_MOST = 100_000
"""Cards; a million would take longer and tell nothing new."""
_SHARED = "skerry"
_BODIES = {
    _SHARED: change,
    "skerry_five_languages": spoken_change,
    "skerry_placeholders": personal_change,
}


async def personal(session: Session) -> Sequence[Finding]:
    """All three in turns, in one service: what else the machine does meanwhile slows all of them down."""
    findings: list[Finding] = []
    if not session.wants(_SHARED):
        return findings
    async with running_sink(apple_streams=1_000) as sink:
        for cards in (one for one in session.sizes.cards if one <= _MOST):
            runs = await _rounds(session, sink, cards)
            findings += [Figure("personal", str(cards), name, "pushes", found) for name, found in runs.items()]
    return findings


async def _rounds(session: Session, sink: Sink, cards: int) -> Mapping[str, Sequence[Run]]:
    runs: dict[str, list[Run]] = {name: [] for name in _BODIES}
    async with populated_home(sink.endpoint, MATCH, cards) as home:
        name_people(home.settings.database)
        async with running_service(home, session.profile) as service:
            with outbox_of(service.database) as outbox:
                await one_update(service, sink, outbox, cards, change(MATCH, "proves each environment"))
                for number in range(session.sizes.runs):
                    shared = None
                    for name, body in _BODIES.items():
                        run = await one_update(service, sink, outbox, cards, body(MATCH, f"goal {number}"))
                        shared = shared or run
                        runs[name].append(_beside(run, shared))
                        rate = run.values["per_cpu_second"]
                        session.say(f"personal, {cards:,} cards, {name}: {rate:,.0f} per CPU-second")
    return runs


def _beside(run: Run, shared: Run) -> Run:
    others: dict[str, Any] = {**run.others, "cpu_of_shared": run.cpu / max(shared.cpu, 1e-6)}
    return replace(run, others=others)


CASE = Case(
    "personal",
    "Personal texts: one update that is not the same for all",
    "as the whole path, with a user of its own behind every device; in turns, in one service: an update that is the "
    "same for all (`skerry`), the same with an alert in five languages (phones with the same one share a body), and "
    "with two placeholders that are filled from each user's profile (a body for every card). The ratio is of CPU time "
    "to the shared update of the same round",
    personal,
)
