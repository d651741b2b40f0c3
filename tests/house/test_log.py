"""What is logged, by us and by libraries: in one style, and without secrets."""

import json
import logging
import re
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from skerry.log import Lines, Style, configure, cut_secrets

TOKEN = "80ab12cd" + "0f" * 76
JWT = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJURUFNIn0.c2lnbmF0dXJl"
KEY = "sk_rest_AbCd_restOfTheKeyThatIsSecret"
PEM = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----"


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    structlog.reset_defaults()
    Lines.out = None
    logging.root.handlers[:], logging.root.level = handlers, level


@pytest.mark.parametrize("secret", [TOKEN, JWT, KEY, PEM])
def test_secrets_are_cut_wherever_they_stand(secret: str) -> None:
    class Odd:
        def __str__(self) -> str:
            return f"an object about {secret}"

    event = {
        "event": f"said {secret} aloud",
        "list": [secret, {"deep": (secret,)}],
        "bytes": secret.encode(),
        "error": ValueError(secret),
        "odd": Odd(),
    }
    text = str(cut_secrets(None, "info", event))
    assert secret[12:] not in text
    assert "…" in text


def test_a_token_keeps_its_first_eight_characters() -> None:
    assert cut_secrets(None, "info", {"token": TOKEN})["token"] == "80ab12cd…"


@given(
    st.dictionaries(st.text(), st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=31)))
)
def test_what_is_no_secret_stays_as_it_is(event: dict[str, object]) -> None:
    kept = {name: value for name, value in event.items() if "sk_" not in str(value) and "eyJ" not in str(value)}
    assert str(cut_secrets(None, "info", kept)) == str(kept)


def test_machines_get_one_json_object_a_line_from_us_and_from_libraries(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "json")
    structlog.get_logger().info("ours", token=TOKEN)
    logging.getLogger("a.library").info("theirs %s", TOKEN)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["ours", "theirs 80ab12cd…"]
    assert all(line["level"] == "info" and line["timestamp"].endswith("Z") for line in lines)


def test_less_than_the_level_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure("warning", "console")
    structlog.get_logger().info("ours")
    logging.getLogger("uvicorn.error").info("theirs")
    assert capsys.readouterr().err == ""


def test_an_exception_is_written_with_its_traceback_and_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "json")
    try:
        raise ValueError(TOKEN)  # noqa: TRY301 - to have a traceback
    except ValueError:
        structlog.get_logger().exception("failed")
    (line,) = capsys.readouterr().err.splitlines()
    assert "ValueError" in json.loads(line)["exception"]
    assert TOKEN not in line


@pytest.mark.parametrize("style", ["console", "json"])
@given(
    fields=st.dictionaries(
        st.sampled_from(["path", "ms", "request_id", "app_id"]),
        st.one_of(st.none(), st.integers(), st.floats(allow_nan=False), st.text(), st.just(f"/v1/{TOKEN}")),
    )
)
def test_frequent_lines_are_written_as_all_others_are(style: Style, fields: dict[str, Any]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        written = StringIO()
        patch.setattr("sys.stderr", written)
        configure("info", style)
        structlog.get_logger().info("request", **fields)
        Lines("request").write(**fields)
        slow, fast = _records(written.getvalue(), style)
    assert slow == fast


def _records(text: str, style: str) -> list[Any]:
    """The two lines of `text` without their time."""
    halves = [half for half in re.split(r"(?m)^(?=\d{4}-)", text) if half] if style == "console" else text.splitlines()
    if style == "console":
        return [half.partition("Z ")[2] for half in halves]
    return [{name: value for name, value in json.loads(half).items() if name != "timestamp"} for half in halves]
