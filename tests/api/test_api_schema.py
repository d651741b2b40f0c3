"""schemathesis makes requests out of /openapi.json and holds the answers against it."""

from typing import Any

import ndjson
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

ndjson.register()
KEY = {"X-netmera-api-key": "rest-key"}
QUICK = settings(
    max_examples=10,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def test_answers_are_as_described(assembly: Any, subtests: Any) -> None:
    """At the start of 1970, so that every date of a generated request lies in the future."""
    schema = schemathesis.openapi.from_asgi("/openapi.json", assembly(now=0).app)
    for found in schema.get_all_operations():
        operation = found.ok()

        @QUICK
        @given(operation.as_strategy())
        def answers(case: Any) -> None:
            case.call_and_validate(headers=KEY)

        with subtests.test(operation.label):
            answers()
