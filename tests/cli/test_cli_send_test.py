"""`skerry send-test`: what goes out to a simulated APNs, what comes back, and what is said about it."""

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from skerry.simulator.phone.reporter import Service
from skerry.simulator.runtime import KEY_ID, TEAM_ID, Simulation, simulate

BUNDLE = "com.example.app"
STATE = '{"title": "Order",  "subtitle": "", "progress": 0.50}'
START = (
    *("--event", "start", "--state", STATE, "--attributes-type", "LiveActivityAttributes", "--alert-title", "Ready"),
    *("--attributes", '{"referenceId": "1", "category": "order"}'),
)
UNKNOWN = "ab" * 32


@pytest.fixture
def simulation(tmp_path: Path) -> Iterator[Simulation]:
    """In a loop of its own: the command has another one."""
    nobody = Service("http://127.0.0.1:9", "no key")
    began: list[Simulation] = []
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def live() -> None:
        async with simulate(tmp_path / "simulator", nobody, bundle_id=BUNDLE, phones=300) as found:
            began.append(found)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(live()), daemon=True)
    thread.start()
    assert ready.wait(30)
    yield began[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join(30)
    loop.close()


@pytest.fixture
def tokens(simulation: Simulation, skerry: Any, tmp_path: Path) -> list[str]:
    """The phones' start tokens; the app is there, and its key."""
    p8 = tmp_path / "key.p8"
    p8.write_bytes(simulation.private_key)
    endpoints = simulation.endpoints
    ran = skerry(
        *("app", "add", "--name", "shop", "--bundle-id", BUNDLE, "--team-id", TEAM_ID, "--key-id", KEY_ID),
        *("--p8", str(p8), "--environment", "sandbox"),
        *(item for name, one in endpoints.items() for item in (f"--endpoint-{name.value}", f"{one.host}:{one.port}")),
        *("--ca-bundle", str(next(iter(endpoints.values())).ca_file)),
    )
    assert ran.code == 0, ran.err
    return [phone.start_token or "" for phone in simulation.world.phones.values()]


def test_a_start_reaches_the_phone_as_it_was_written(simulation: Simulation, tokens: list[str], skerry: Any) -> None:
    ran = skerry("send-test", tokens[0], *START, "--priority", "5", "--expiration", "0", "--input-push-token")
    assert ran.code == 0, ran.out + ran.err
    assert "1 of 1 accepted" in ran.out
    (entry,) = simulation.ledger.to_json()["entries"]
    assert entry["token"] == tokens[0]
    assert simulation.world.counts()[0] == {"started": 1}


def test_a_dry_run_shows_the_request_and_sends_nothing(
    simulation: Simulation, tokens: list[str], skerry: Any, tmp_path: Path
) -> None:
    (tmp_path / "tokens.txt").write_text("\n".join(["# three phones", *tokens[:3], "", tokens[0].upper()]))
    ran = skerry("send-test", "tokens.txt", "--state", STATE, "--dry-run", "--environment", "production")
    assert ran.code == 0, ran.err
    head, body, rest = ran.out.split("\n\n")
    assert f":path: /3/device/{tokens[0]}" in head
    assert f"apns-topic: {BUNDLE}.push-type.liveactivity\napns-push-type: liveactivity\napns-priority: 10" in head
    assert "BEGIN" not in ran.out
    assert STATE in body, "byte for byte"
    assert json.loads(body)["aps"]["event"] == "update"
    assert "the same to 2 more tokens" in rest, "each token once"
    assert not simulation.ledger.to_json()["entries"]


def test_a_file_of_tokens_and_what_to_do_about_those_that_are_refused(
    tokens: list[str], skerry: Any, tmp_path: Path
) -> None:
    (tmp_path / "tokens.txt").write_text("\n".join([*tokens, UNKNOWN, "cd" * 32]))
    ran = skerry("send-test", "tokens.txt", *START, "--yes")
    assert ran.code == 1
    assert "300 of 302 accepted" in ran.out
    assert "BadDeviceToken" in ran.out
    assert "other environment" in ran.out


def test_without_an_answer_there_is_advice_too(tokens: list[str], skerry: Any) -> None:
    skerry("app", "set", "shop", "--endpoint-sandbox", "127.0.0.1:1")
    ran = skerry("send-test", tokens[0], *START, "--deadline", "0.5")
    assert ran.code == 1
    assert "0 of 1 accepted" in ran.out
    assert "never taken" in ran.out


def test_many_tokens_are_asked_about_first(
    simulation: Simulation, tokens: list[str], skerry: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def refuse(question: str, **_: Any) -> None:
        asked.append(question)
        raise SystemExit(1)

    monkeypatch.setattr("typer.confirm", refuse)
    (tmp_path / "tokens.txt").write_text("\n".join(tokens[:101]))
    assert skerry("send-test", "tokens.txt", "--state", STATE).code == 1
    assert "101 tokens" in asked[0]
    assert not simulation.ledger.to_json()["entries"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("zz", "--state", STATE), "'zz', which is no file either, should be a token of 16 to 512 hexadecimal digits"),
        (("bad.txt", "--state", STATE), "line 2 of bad.txt should be a token of 16 to 512 hexadecimal digits"),
        (("empty.txt", "--state", STATE), "empty.txt has no tokens: write one a line"),
        ((UNKNOWN,), "--event update needs --state"),
        ((UNKNOWN, "--state", "{"), "--state should be JSON"),
        ((UNKNOWN, "--state", "[1]"), "--state should be a JSON object"),
        ((UNKNOWN, "--state", STATE, "--attributes", "{}"), "are for --event start only"),
        ((UNKNOWN, "--state", STATE, "--dismissal-date", "1"), "--dismissal-date is for --event end only"),
        ((UNKNOWN, "--event", "start", "--state", STATE), "--event start needs --attributes-type"),
        ((UNKNOWN, *START[:6]), "--event start needs --alert-title"),
        ((UNKNOWN, "--state", json.dumps({"text": "x" * 4096})), "bytes, and APNs takes 4,096: shorten it"),
        ((UNKNOWN, "--event", "end"), "app shop has no APNs key"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_what_to_write(
    skerry: Any, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    skerry("app", "add", "--name", "shop", "--bundle-id", BUNDLE)
    (tmp_path / "bad.txt").write_text(f"{UNKNOWN}\nhello\n")
    (tmp_path / "empty.txt").write_text("# nobody\n")
    ran = skerry("send-test", *arguments)
    assert ran.code == 1
    assert said in ran.err
