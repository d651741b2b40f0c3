"""`skerry serve` and `skerry dev` as processes: taken addresses, being told to stop, and callers who say nothing."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from dev_service import dev_service, until

HOST = "127.0.0.1"


def free_port() -> int:
    with socket.create_server((HOST, 0)) as free:
        return int(free.getsockname()[1])


@contextlib.contextmanager
def serving(directory: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    arguments = ["serve", "--data", str(directory), "--port", str(port)]
    process = subprocess.Popen(
        [sys.executable, "-m", "skerry", *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        until(lambda: httpx2.get(f"http://{HOST}:{port}/readyz").is_success)
        yield process
    finally:
        process.kill()
        process.communicate(timeout=20)


def ran(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "skerry", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_stop_ends_it_well_and_puts_the_database_away(tmp_path: Path, number: int) -> None:
    with serving(tmp_path, free_port()) as process:
        process.send_signal(number)
        assert process.wait(20) == 0
    assert not (tmp_path / "skerry.db-wal").exists()


def test_an_address_that_is_taken_is_said_before_anything_is_begun(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = str(taken.getsockname()[1])
        for command in ("serve", "dev"):
            answer = ran(command, "--port", port, "--data", str(tmp_path / command))
            assert answer.returncode == 1
            assert f"cannot listen on {HOST}:{port}: Address already in use" in answer.stderr
            assert answer.stdout == ""
            assert not (tmp_path / command).exists()


def test_a_second_dev_on_a_directory_leaves_the_first_as_it_is(tmp_path: Path) -> None:
    with dev_service(tmp_path, phones=1) as dev:
        answer = ran("dev", "--port", str(free_port()), "--data", str(tmp_path))
        assert answer.returncode == 1
        assert "is in use by another service" in answer.stderr
        start = {
            "type": "LIVE_ACTIVITY",
            "message": {
                "title": "T",
                "text": "t",
                "platforms": ["IOS"],
                "contentState": {"title": "a", "subtitle": "b", "progress": 1},
                "liveActAttr": {"referenceId": "g", "category": "c"},
                "liveActAttrType": "LiveActivityAttributes",
            },
            "target": {"sendToAll": True},
        }
        dev.rest("sendBulkNotification", start)
        until(lambda: dev.cards("g"))


def test_a_key_that_was_chosen_by_hand_is_nowhere_on_disk(tmp_path: Path) -> None:
    with dev_service(tmp_path, phones=1):
        files = [path for path in tmp_path.iterdir() if path.is_file()]
        for key in (b"dev-rest-key", b"dev-sdk-key"):
            assert not any(key in path.read_bytes() for path in files)


def test_the_addresses_are_printed_whole_on_any_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    port = free_port()
    arguments = ["dev", "--port", str(port), "--phones", "1", "--data", str(tmp_path)]
    process = subprocess.Popen([sys.executable, "-m", "skerry", *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline() for _ in range(9)]
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    said = "".join(lines)
    assert f"http://{HOST}:{port}/rest/3.0/" in said
    assert f"http://{HOST}:{port}/simulator/phones" in said
    assert f"CA: {tmp_path}/simulator/ca.pem" in said


def test_a_head_without_end_is_refused(tmp_path: Path) -> None:
    port = free_port()
    with serving(tmp_path, port), socket.create_connection((HOST, port)) as caller:
        caller.settimeout(20)
        caller.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: ")
        answer = b""
        with contextlib.suppress(ConnectionError):
            for _ in range(64):
                caller.sendall(b"a" * 65_536)
        with contextlib.suppress(ConnectionError):
            answer = caller.recv(4096)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
        assert httpx2.get(f"http://{HOST}:{port}/healthz").is_success


def test_a_caller_who_says_nothing_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    code = (
        "import sys, skerry.http_server as server; server.HEAD_WITHIN = 0.3;"
        f"sys.argv = ['skerry', 'serve', '--data', {str(tmp_path)!r}, '--port', '{port}'];"
        "from skerry.cli.main import run; run()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: httpx2.get(f"http://{HOST}:{port}/readyz").is_success)
        with socket.create_connection((HOST, port)) as silent, socket.create_connection((HOST, port)) as slow:
            slow.sendall(b"GET /healthz HT")
            for caller in (silent, slow):
                caller.settimeout(20)
                assert caller.recv(1) == b""
    finally:
        process.kill()
        process.wait(20)


def test_a_demo_that_is_stopped_leaves_nothing_behind(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "skerry", "demo"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert process.stdout is not None
    line = next(line for line in process.stdout if "starter tokens" in line)
    assert line
    (pid,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert not Path(f"/proc/{pid}").exists()
    assert list(tmp_path.iterdir()) == []


def test_a_forwarded_address_counts_only_from_proxies_that_are_trusted(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path))
    ran("app", "add", "--name", "shop", "--bundle-id", "com.example.shop", *data)
    said = ran("key", "create", "--app", "shop", "--kind", "rest", "--allow", "10.0.0.0/8", *data).stdout
    headers = {"X-netmera-api-key": next(word for word in said.split() if word.startswith("sk_rest_"))}
    port = free_port()
    with serving(tmp_path, port):
        for forwarded in ({}, {"X-Forwarded-For": "10.1.2.3"}):
            answer = httpx2.get(f"http://{HOST}:{port}/rest/3.0/getPushStats", headers=headers | forwarded)
            assert (answer.status_code, answer.json()["code"]) == (403, 2021)
