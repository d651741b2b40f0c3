"""What the pages point at is there: links, headings, tests, metrics, settings, commands, operations and fields."""

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from skerry.api import schemas
from skerry.cli.main import cli
from skerry.domain.ids import Millis
from skerry.domain.user_token import why_not
from skerry.settings import Settings, described

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md")])
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def prose(page: Path) -> str:
    """The page without its blocks of code."""
    return BLOCK.sub("", page.read_text())


@cache
def anchors(page: Path) -> set[str]:
    """What links to headings of a page may say, as GitHub and the site make it of them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        assert DOCS not in page.parents or DOCS in found.parents, f"{target} leaves the site"
        assert not anchor or anchor in anchors(found), target


def test_the_sites_pages_are_all_in_its_navigation() -> None:
    def leaves(entries: list[dict[str, Any]]) -> Iterator[str]:
        for entry in entries:
            for value in entry.values():
                yield from leaves(value) if isinstance(value, list) else [value]

    navigation = list(leaves(tomllib.loads((ROOT / "zensical.toml").read_text())["project"]["nav"]))
    assert sorted(navigation) == sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md"))


@every_page
def test_tests_and_files_that_are_named_are_there(page: Path) -> None:
    for path, name in re.findall(
        r"`((?:tests|src|scripts|bench|deploy|docs)/[\w/.-]+)(?:::(\w+))?[^`]*`", page.read_text()
    ):
        named = ROOT / path
        assert named.exists() or path.startswith("bench/results"), path
        assert not name or re.search(rf"def {name}\b", named.read_text()), f"{path}::{name}"


@every_page
def test_metrics_that_are_named_are_metrics(page: Path) -> None:
    known = set(re.findall(r"^\| `(\w+)`", (DOCS / "reference" / "metrics.md").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bskerry_[a-z_]+[a-z]\b", page.read_text())) <= known


@every_page
def test_settings_that_are_named_are_settings(page: Path) -> None:
    known = {path for path, _ in described()}
    sections = "|".join({path.split(".")[0] for path in known if "." in path})
    text = page.read_text()
    assert set(re.findall(rf"`((?:{sections})\.[a-z0-9_]*[a-z0-9])`", text)) <= known
    variables = {f"SKERRY_{path.upper().replace('.', '__')}" for path in known} | {"SKERRY_CONFIG"}
    assert set(re.findall(r"\bSKERRY_[A-Z_]+[A-Z]\b", text)) <= variables


@every_page
def test_commands_that_are_shown_have_these_options(page: Path) -> None:
    text = page.read_text().replace("\\\n", " ")
    shown = [*re.findall(r"`(?:sudo )?(skerry [^`]+)`", re.sub(r"\s*\n\s*", " ", text))]
    for language, block in BLOCK.findall(text):
        if language == "sh":
            shown += re.findall(r"skerry ((?:app|key|activity|dev|demo|serve|doctor|version)\b.*)", block)
    for line in shown:
        words = line.removeprefix("skerry ").split()
        command: Any = typer.main.get_command(cli)
        while getattr(command, "commands", None) and words and not words[0].startswith("-"):
            if words[0].isupper() or (not words[0].isalpha() and "-" not in words[0]):
                break
            command = command.commands[words.pop(0).rstrip(".,;:")]
        options = {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"--help"}
        assert {word for word in words if word.startswith("--")} <= options, line


OPERATIONS = (ROOT / "src" / "skerry" / "api" / "routes.py").read_text()
MOVING = (DOCS / "moving-from-netmera.md").read_text()


def test_every_drop_in_operation_is_on_the_page_about_moving() -> None:
    names = re.findall(r'_(?:post|get)\(\s*"([\w-]+)"', OPERATIONS)
    assert len(names) > 20
    assert not [name for name in names if f"`{name}`" not in MOVING]


def test_every_field_of_the_calls_that_carry_live_activities_is_on_the_page_about_moving() -> None:
    def names(schema: Any) -> Iterator[str]:
        for name, field in schema.get("properties", {}).items():
            yield name
            yield from names(field)
        for inner in (*schema.get("anyOf", ()), *([schema["items"]] if "items" in schema else ())):
            yield from names(inner)

    spans = " ".join(re.findall(r"`[^`]+`", MOVING))
    for call in (schemas.BULK, schemas.DEFINITION, schemas.SEND, schemas.REVISION, schemas.FIRED, schemas.TARGET):
        assert not [name for name in names(call) if not re.search(rf"(?<!\w)\$?{re.escape(name)}\b", spans)]


def test_every_decision_is_on_the_page_about_moving() -> None:
    assert re.findall(r"^\| Q(\d+) \|", MOVING, re.MULTILINE) == [str(number) for number in range(1, 28)]


def test_the_user_token_of_the_page_for_apps_is_taken() -> None:
    blocks = dict(BLOCK.findall((DOCS / "how-to" / "report-from-ios.md").read_text()))
    namespace: dict[str, Any] = {}
    exec(blocks["python"], namespace)
    secret = "s" * 43
    token = namespace["user_token"](secret, "ada")
    now = Millis(int(namespace["time"].time() * 1000))
    assert why_not(token, secret.encode(), "ada", now) is None


def test_settings_of_the_pages_are_taken() -> None:
    for page in PAGES:
        for language, block in BLOCK.findall(page.read_text()):
            if language == "toml":
                Settings(**tomllib.loads(block))
