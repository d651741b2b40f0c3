"""Whatever leaves the process has a name and a sentence in the docs."""

import json
import re
from pathlib import Path

import pytest

from skerry.domain.event import EventKind
from skerry.settings import described

PAGE = (Path(__file__).parents[2] / "docs/reference/events.md").read_text()


@pytest.mark.parametrize("kind", EventKind)
def test_every_kind_is_in_the_table_with_its_sentence(kind: EventKind) -> None:
    assert f"| `{kind.value}` | {kind.meaning} |" in PAGE


def test_the_table_has_no_other_kinds() -> None:
    documented = re.findall(r"^\| `(\w+\.\w+)` \|", PAGE, re.MULTILINE)
    assert documented == [kind.value for kind in EventKind]


def test_the_settings_that_the_page_names_exist() -> None:
    known = {path for path, _ in described()}
    named = set(re.findall(r"`((?:stream|webhooks|retention)\.\w+)`", PAGE))
    assert named <= known


def test_the_examples_are_json_of_the_form_that_is_told() -> None:
    event, wish = (json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL))
    assert set(event) == {"id", "type", "timestamp", "data"}
    assert event["type"] in {kind.value for kind in EventKind}
    from skerry.api.v1.webhooks import read_wish

    assert read_wish(json.dumps(wish).encode()).url == wish["url"]
