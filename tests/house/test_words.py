"""Every word that means something exact has its line: in the glossary, and on the simulator's page."""

import re
from enum import Enum
from pathlib import Path

import msgspec
import pytest
from starlette.routing import Route

from skerry.domain.activity import Phase
from skerry.domain.card import CardStatus
from skerry.domain.verdict import Verdict
from skerry.simulator import web_bodies
from skerry.simulator.apns.channels import Channels
from skerry.simulator.apns.chaos import Chaos, Plan
from skerry.simulator.apns.fault import CloseAfter, Latency, Rejection, Reset, Selector, Window
from skerry.simulator.apns.ledger import Ending, Ledger
from skerry.simulator.clock import Clock
from skerry.simulator.phone.card import CardStatus as PhoneCardStatus
from skerry.simulator.phone.verdict import Verdict as PhoneVerdict
from skerry.simulator.phone.view import phone_detail, phone_summary
from skerry.simulator.web import build_app
from skerry.simulator.world import World

DOCS = Path(__file__).parents[2] / "docs"
GLOSSARY = (DOCS / "glossary.md").read_text()
SIMULATOR = (DOCS / "reference" / "simulator.md").read_text()
WORDS = [
    *("app", "device", "start token", "update token", "activity", "card", "revision", "audience"),
    *("chunk", "lease", "push", "receipt", "channel", "sink"),
]
"""The architecture's, beside verdicts and states."""


def code(page: str) -> set[str]:
    """What stands in backticks outside of blocks, and the keys within: `{"min", "max"}` says both."""
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL))
    return {*spans, *(key for span in spans for key in re.findall(r'"(\w+)"', span))}


def missing(words: object, page: str) -> list[str]:
    found = code(page)
    return sorted(str(word) for word in words if str(word) not in found)  # type: ignore[attr-defined]


@pytest.mark.parametrize("word", WORDS)
def test_the_architectures_words_are_in_the_glossary(word: str) -> None:
    assert re.search(rf"^\| {word} \| .+ \| .+ \|$", GLOSSARY, re.MULTILINE)


@pytest.mark.parametrize("member", [*Verdict, *CardStatus], ids=str)
def test_each_verdict_and_each_state_of_a_card_has_its_line_and_an_example(member: Enum) -> None:
    assert re.search(rf"^\| `{member.name}` \| .+ \| .+ \|$", GLOSSARY, re.MULTILINE)


def test_both_phases_of_an_activity_are_there() -> None:
    assert not missing([phase.name for phase in Phase], GLOSSARY)


def test_the_simulators_routes_are_on_its_page() -> None:
    world = World(Clock())
    routes = [
        route for route in build_app(world, Ledger(), Chaos(world.clock), Channels()).routes if isinstance(route, Route)
    ]
    assert len(routes) > 15
    known = code(SIMULATOR)
    for route in routes:
        for method in (route.methods or set()) - {"HEAD"}:
            assert {f"{method} {route.path}", route.path} & known, (method, route.path)


def test_every_field_of_a_chaos_plan_is_on_the_page() -> None:
    fields = {*Plan().as_dict(), "unavailable_s"}
    assert fields >= set(Plan.__dataclass_fields__), "a plan says back all that it is"
    table = [line for line in SIMULATOR.splitlines() if line.startswith("| `")]
    assert not [name for name in sorted(fields) if not any(line.startswith(f"| `{name}` |") for line in table)]
    parts = (Selector, Reset, Rejection, CloseAfter, Latency, Window)
    inner = {name for part in parts for name in part.__dataclass_fields__} - {"minimum", "maximum"} | {"min", "max"}
    assert not missing(inner, SIMULATOR)


def test_every_field_that_the_simulator_takes_is_on_the_page() -> None:
    bodies = [
        body
        for body in vars(web_bodies).values()
        if isinstance(body, type) and issubclass(body, msgspec.Struct) and not body.__name__.startswith("_")
    ]
    assert not missing({name for body in bodies for name in body.__struct_fields__}, SIMULATOR)


def test_every_field_that_the_simulator_shows_is_on_the_page() -> None:
    world = World(Clock())
    (phone,) = world.add_phones(1)
    shown = {*phone_summary(phone), *phone_detail(phone), *Ledger().to_json(), *Ledger().counts()} - {"pushes_received"}
    assert not missing(shown, SIMULATOR)


def test_what_a_phone_says_of_pushes_and_cards_is_on_the_page() -> None:
    values = [one.value for kind in (PhoneVerdict, PhoneCardStatus, Ending) for one in kind]
    assert not missing(values, SIMULATOR)
