"""schemathesis against the running service: no 500, no hang, and what is refused has changed nothing on disk."""

import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx2
import ndjson
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from typer.testing import CliRunner

from skerry.cli.main import cli

ndjson.register()
BUSY = frozenset({"chunks", "plans", "timers", "alembic_version"})
"""What the sender and the timekeeper write on their own."""
HANGS_AFTER = 10.0
EXAMPLES = settings(
    max_examples=12,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


class Service:
    """A service in a process of its own, and a look at its database from outside."""

    def __init__(self, url: str, key: str, database: Path) -> None:
        self.url = url
        self.headers = {"X-netmera-api-key": key}
        self._database = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
        names = self._database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        self._tables = sorted(name for (name,) in names if name not in BUSY and not name.startswith("sqlite_"))

    def state(self) -> str:
        """A digest of everything that callers can change."""
        digest = sha256()
        for table in self._tables:
            for row in self._database.execute(f"SELECT * FROM {table}"):
                digest.update(repr(row).encode())
        return digest.hexdigest()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    data = tmp_path_factory.mktemp("any")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    key = _keys(data)
    arguments = ["serve", "--quiet", "--data", str(data), "--port", str(port)]
    process = subprocess.Popen(
        [sys.executable, "-m", "skerry", *arguments], env={"SKERRY_LOG__LEVEL": "error"}, cwd=data
    )
    try:
        url = f"http://127.0.0.1:{port}"
        _until_ready(url)
        yield Service(url, key, data / "skerry.db")
        assert process.poll() is None
    finally:
        process.terminate()
        process.wait(20)


def _keys(data: Path) -> str:
    runner = CliRunner()
    runner.invoke(cli, ["app", "add", "--name", "a", "--bundle-id", "com.example.a", "--data", str(data)])
    said = runner.invoke(cli, ["key", "create", "--app", "a", "--kind", "rest", "--data", str(data)]).output
    return next(word for word in said.split() if word.startswith("sk_rest_"))


def _until_ready(url: str) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if httpx2.get(url + "/readyz").is_success:
                return
        except httpx2.HTTPError:
            time.sleep(0.05)
    raise AssertionError("the service does not come up")


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["as described", "wrong"])
def test_any_request_is_answered_and_a_refused_one_changes_nothing(
    service: Service, mode: GenerationMode, subtests: Any
) -> None:
    schema = schemathesis.openapi.from_url(service.url + "/openapi.json")
    excluded = [
        schemathesis.checks.CHECKS.get_one(name) for name in ("positive_data_acceptance", "negative_data_rejection")
    ]
    # A stream has no end, and a webhook that is made as described would tell strangers.
    schema = schema.exclude(operation_id="streamEvents")
    if mode is GenerationMode.POSITIVE:
        schema = schema.exclude(operation_id="putWebhook")
    for found in schema.get_all_operations():
        operation = found.ok()
        if mode is GenerationMode.NEGATIVE and not {"requestBody", "parameters"} & operation.definition.raw.keys():
            continue  # nothing to get wrong

        @EXAMPLES
        @given(operation.as_strategy(generation_mode=mode))
        def answers(case: Any) -> None:
            before = service.state()
            answer = case.call(headers=service.headers, timeout=HANGS_AFTER)
            case.validate_response(answer, excluded_checks=excluded)
            if answer.status_code >= 400:
                assert service.state() == before, (case.as_curl_command(), answer.text)

        with subtests.test(operation.label):
            answers()
