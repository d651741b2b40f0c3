"""`skerry doctor` says what is wrong and what to do about it."""

import json
from pathlib import Path
from typing import Any

import pytest

APP = ("app", "add", "--name", "shop", "--bundle-id", "com.example.app")
CREDENTIAL = ("--team-id", "TEAM123456", "--key-id", "KEY1234567")

HOSTS = ("--endpoint-production", "--endpoint-sandbox", "--management-production", "--management-sandbox")


def findings(skerry: Any) -> tuple[int, dict[str, Any]]:
    ran = skerry("doctor", "--json")
    return ran.code, {one["what"]: one for one in json.loads(ran.out)}


def test_without_a_data_directory_it_says_how_to_begin(skerry: Any) -> None:
    code, found = findings(skerry)
    assert code == 1
    assert "skerry app add" in found["data directory"]["fix"]


def test_an_app_without_a_key_is_told_how_to_get_one(skerry: Any) -> None:
    skerry(*APP)
    code, found = findings(skerry)
    assert code == 1
    assert found["store"]["fix"] is None
    assert "skerry app set shop --p8" in found["app shop"]["fix"]


def test_an_endpoint_that_cannot_be_reached_is_named(skerry: Any, p8: Path) -> None:
    elsewhere = [part for option in HOSTS for part in (option, "127.0.0.1:1")]
    skerry(*APP, *CREDENTIAL, "--p8", str(p8), *elsewhere)
    code, found = findings(skerry)
    assert code == 1
    assert "skerry key create --app shop" in found["app shop"]["fix"]
    assert found["app shop, production"]["fix"] is not None
    assert "127.0.0.1:1" in found["app shop, production"]["found"]
    assert "--management-sandbox" in found["app shop, sandbox channels"]["fix"]


def test_a_proxy_that_cannot_be_reached_is_named_without_its_password(
    skerry: Any, p8: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKERRY_APNS__PROXY", "http://me:secret@127.0.0.1:1")
    skerry(*APP, *CREDENTIAL, "--p8", str(p8))
    _, found = findings(skerry)
    told = found["app shop, production"]["found"]
    assert "through the proxy 127.0.0.1:1" in told
    assert "secret" not in told


def test_a_proxy_that_is_none_is_a_finding_without_its_password(skerry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKERRY_APNS__PROXY", "https://me:secret@proxy.example")
    code, found = findings(skerry)
    assert code == 1
    assert "apns.proxy" in found["settings"]["found"]
    assert "secret" not in found["settings"]["found"]


def test_wrong_settings_are_a_finding(skerry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKERRY_HTTP__PORT", "none")
    code, found = findings(skerry)
    assert code == 1
    assert "http.port" in found["settings"]["found"]


def test_a_key_ring_that_is_lost_is_said(skerry: Any, p8: Path) -> None:
    skerry(*APP, *CREDENTIAL, "--p8", str(p8))
    ring = Path("data/keyring.json")
    assert ring.is_file()
    ring.unlink()
    code, found = findings(skerry)
    assert code == 1
    assert any("key ring" in str(one["fix"]) for one in found.values())


def test_secrets_that_others_can_read_are_said(skerry: Any) -> None:
    skerry(*APP)
    Path("data/keyring.json").chmod(0o644)
    code, found = findings(skerry)
    assert code == 1
    assert found["data directory"]["fix"].startswith("chmod 600 ")
    assert found["data directory"]["fix"].endswith("/keyring.json")


def test_a_directory_without_a_database_is_left_as_it_is(skerry: Any) -> None:
    Path("data").mkdir()
    code, found = findings(skerry)
    assert code == 1
    assert "has no database" in found["data directory"]["found"]
    assert list(Path("data").iterdir()) == []
