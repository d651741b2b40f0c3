"""NDJSON for schemathesis: a request of one line, and an answer whose first line stands for all."""

import json
from typing import Any

import schemathesis

NDJSON = "application/x-ndjson"


def register() -> None:
    """Teach it."""
    schemathesis.serializer(NDJSON)(_line)
    schemathesis.deserializer(NDJSON)(_first)


def _line(_: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode() + b"\n"


def _first(_: Any, response: Any) -> Any:
    return json.loads(response.content.splitlines()[0])
