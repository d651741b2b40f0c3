"""Every error that the API can answer stands on the page of errors, with its status, code and text."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from skerry.api.rest3 import errors
from skerry.api.rest3.errors import ErrorKind

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "errors.md").read_text()
API = ROOT / "src" / "skerry" / "api"
KINDS = sorted(
    (value for value in vars(errors).values() if isinstance(value, ErrorKind)),
    key=lambda kind: (kind.status, kind.code),
)


def calls(*names: str) -> Iterator[ast.Call]:
    for path in sorted(API.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
                yield node


def written(node: ast.expr) -> str | None:
    """What a text looks like on the page: anything where something is filled in, and no field's name in front."""
    if isinstance(node, ast.Constant):
        text = str(node.value)
    elif isinstance(node, ast.JoinedStr):
        text = "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    else:
        return None
    text = re.sub(r"^(Field '[^']*'|Request (?=should have)) ?", "", text)
    return "`" + ".+?".join(map(re.escape, text.split("…"))) + "`"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.code} {kind.text}")
def test_each_error_of_the_contract_has_its_row(kind: ErrorKind) -> None:
    assert f"| {kind.status} | {kind.code} | `{kind.text}` |" in PAGE


def test_each_text_about_a_field_is_there() -> None:
    texts = {text for call in calls("invalid") if (text := written(call.args[0])) is not None}
    assert len(texts) > 20
    assert not [text for text in sorted(texts) if not re.search(text, PAGE)]


def test_each_title_of_a_problem_is_there() -> None:
    titles = {
        (status.value, title.value)
        for call in calls("ProblemError", "problem")
        if isinstance(status := call.args[0], ast.Constant) and isinstance(title := call.args[1], ast.Constant)
    }
    assert len(titles) > 5
    assert not [(status, title) for status, title in sorted(titles) if f"| {status} | `{title}` |" not in PAGE]
