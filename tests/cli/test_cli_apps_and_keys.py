"""`skerry app`, `skerry key`, `skerry version`, and how mistakes are answered."""

import re
from pathlib import Path
from typing import Any

import pytest

from skerry import __version__


def add(skerry: Any, name: str = "shop", *more: str) -> Any:
    return skerry("app", "add", "--name", name, "--bundle-id", "com.example.shop", *more)


def test_the_version_is_printed(skerry: Any) -> None:
    assert skerry("version").out.strip() == __version__


def test_an_app_that_is_added_is_listed_and_shown_without_its_private_key(skerry: Any, p8: Path) -> None:
    added = add(skerry, "shop", "--team-id", "TEAM123456", "--key-id", "KEY1234567", "--p8", str(p8))
    assert added.code == 0
    assert "skerry key create --app shop" in added.out
    assert "com.example.shop" in skerry("app", "list").out
    shown = skerry("app", "show", "shop").out
    assert "sealed at rest" in shown
    assert "TEAM123456, KEY1234567" in shown
    assert "PRIVATE KEY" not in shown
    secret = b"".join(p8.read_bytes().splitlines()[1:-1])[:40]
    files = [path for path in Path("data").rglob("*") if path.is_file()]
    assert files
    assert not any(secret in path.read_bytes() for path in files)


def test_an_app_gets_a_new_key_by_set(skerry: Any, p8: Path) -> None:
    add(skerry)
    assert "missing" in skerry("app", "show", "shop").out
    changed = skerry("app", "set", "shop", "--p8", str(p8), "--team-id", "TEAM123456", "--key-id", "KEY1234567")
    assert changed.code == 0
    assert "sealed at rest" in skerry("app", "show", "1").out


def test_an_endpoint_of_ones_own_is_kept(skerry: Any) -> None:
    add(skerry, "shop", "--endpoint-sandbox", "127.0.0.1:2197")
    assert "127.0.0.1:2197" in skerry("app", "show", "shop").out


def test_channels_are_managed_at_apples_ports_unless_said_otherwise(skerry: Any) -> None:
    add(skerry, "shop", "--management-sandbox", "127.0.0.1")
    shown = skerry("app", "show", "shop").out
    assert "api-manage-broadcast.push.apple.com:2196" in shown
    assert "127.0.0.1:2195" in shown
    changed = skerry("app", "set", "shop", "--management-production", "10.0.0.1:9", "--endpoint-sandbox", "10.0.0.2")
    assert changed.code == 0
    shown = skerry("app", "show", "shop").out
    assert all(one in shown for one in ("10.0.0.1:9", "10.0.0.2:443", "127.0.0.1:2195", "api.push.apple.com:443"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("app", "show", "nowhere"), "skerry app list shows"),
        (("app", "set", "nowhere", "--team-id", "X"), "skerry app list shows"),
        (("app", "add", "--name", "shop", "--bundle-id", "x"), "called 'shop' already"),
        (("app", "add", "--name", "b", "--bundle-id", "x", "--endpoint-sandbox", "host:none"), "write it as host:port"),
        (("key", "create", "--app", "nowhere", "--kind", "rest"), "skerry app list shows"),
        (("key", "create", "--app", "shop", "--kind", "rest", "--allow", "10.0.0.0/99"), "write it as 10.0.0.0/8"),
        (("key", "revoke", "99"), "skerry key list shows"),
        (("activity", "show", "nothing"), "skerry activity list"),
        (("--config", "/nowhere/skerry.toml", "app", "list"), "no configuration file"),
    ],
)
def test_a_mistake_is_answered_in_a_sentence_that_says_what_to_do(skerry: Any, arguments: Any, said: str) -> None:
    add(skerry)
    answer = skerry(*arguments)
    assert answer.code == 1
    assert said in answer.err
    assert "Traceback" not in answer.err


def test_a_key_file_that_is_none_is_refused_and_nothing_is_added(skerry: Any, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.p8"
    wrong.write_text("not a key")
    answer = add(skerry, "shop", "--team-id", "T", "--key-id", "K", "--p8", str(wrong))
    assert answer.code == 1
    assert "is not a PEM private key" in answer.err
    assert "no app yet" in skerry("app", "list").out


def test_a_key_file_without_its_ids_is_refused(skerry: Any, p8: Path) -> None:
    answer = add(skerry, "shop", "--p8", str(p8))
    assert answer.code == 1
    assert "--team-id and --key-id" in answer.err


def test_a_wrong_setting_is_named(skerry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKERRY_HTTP__PROT", "80")
    answer = skerry("app", "list")
    assert answer.code == 1
    assert "http.prot is not a setting, did you mean http.port?" in answer.err


def test_a_key_is_shown_once_and_kept_as_a_hash(skerry: Any) -> None:
    add(skerry)
    created = skerry(
        "key", "create", "--app", "shop", "--kind", "rest", "--label", "[bold]backend", "--allow", "10.0.0.0/8"
    )
    found = re.search(r"sk_rest_[\w-]{32}", created.out)
    assert found is not None
    listed = skerry("key", "list").out
    assert found.group() not in listed
    assert "[bold]backend" in listed
    assert "10.0.0.0/8" in listed
    assert not any(found.group().encode() in path.read_bytes() for path in Path("data").rglob("*") if path.is_file())


def test_a_revoked_key_stays_listed_as_revoked(skerry: Any) -> None:
    add(skerry)
    skerry("key", "create", "--app", "shop", "--kind", "sdk")
    assert skerry("key", "revoke", "1").code == 0
    assert "revoked" in skerry("key", "list", "--app", "shop").out
    assert skerry("key", "revoke", "1").code == 1


def test_the_secret_of_user_tokens_is_shown_once_and_kept_sealed(skerry: Any) -> None:
    add(skerry)
    assert "not required" in skerry("app", "show", "shop").out
    said = skerry("app", "user-tokens", "shop").out
    secret = said.split("user tokens: ")[1].split()[0]
    assert len(secret) == 43
    shown = skerry("app", "show", "shop").out
    assert "not required" not in shown
    assert secret not in shown
    assert not any(secret.encode() in path.read_bytes() for path in Path("data").rglob("*") if path.is_file())
    skerry("app", "user-tokens", "shop", "--not-required")
    assert "not required" in skerry("app", "show", "shop").out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--name", "", "--bundle-id", "com.example.a"), "no name for an app"),
        (("--name", "12", "--bundle-id", "com.example.a"), "no name for an app"),
        (("--name", "a", "--bundle-id", "my app"), "not a bundle id"),
        (("--name", "a", "--bundle-id", "com.example.a.push-type.liveactivity"), "not a bundle id"),
        (("--name", "a", "--bundle-id", "com.example.a", "--team-id", "TEAM"), "ten letters and digits"),
    ],
)
def test_what_apple_would_not_take_is_refused_where_it_is_typed(skerry: Any, arguments: Any, said: str) -> None:
    answer = skerry("app", "add", *arguments)
    assert answer.code == 1
    assert said in answer.err


def test_an_apps_endpoints_can_be_changed_later(skerry: Any, p8: Path) -> None:
    add(skerry)
    changed = ("--endpoint-sandbox", "127.0.0.1:2197", "--ca-bundle", str(p8), "--environment", "sandbox")
    assert skerry("app", "set", "shop", *changed).code == 0
    shown = skerry("app", "show", "shop").out
    assert "127.0.0.1:2197" in shown
    assert "api.push.apple.com:443" in shown
    assert "say which" in skerry("app", "set", "shop", "--ca-bundle", str(p8)).err
