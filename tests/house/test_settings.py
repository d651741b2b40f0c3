"""Settings from a file, the environment and flags; what is wrong is named, with what to write."""

import os
import re
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from skerry.settings import Settings, WrongSettingsError, described, load, variable

VALUES: dict[str, tuple[str, str, Any]] = {
    # By setting: as TOML, in the environment, and what it means. None of them is the default.
    "data_dir": ('"/var/lib/skerry"', "/var/lib/skerry", Path("/var/lib/skerry")),
    "http.host": ('"0.0.0.0"', "0.0.0.0", "0.0.0.0"),
    "http.port": ("80", "80", 80),
    "http.trusted_proxies": (
        '["10.0.0.0/8", "::1"]',
        "10.0.0.0/8, ::1",
        (ip_network("10.0.0.0/8"), ip_network("::1/128")),
    ),
    "http.max_body_bytes": ("20000", "20000", 20_000),
    "http.simulator_url": ('"http://127.0.0.1:9"', "http://127.0.0.1:9", "http://127.0.0.1:9"),
    "log.level": ('"debug"', "debug", "debug"),
    "log.format": ('"json"', "json", "json"),
    "apns.proxy": ('"http://me:pw@proxy:8080"', "http://me:pw@proxy:8080", "http://me:pw@proxy:8080"),
    "delivery.unknown_start": ('"give_up"', "give_up", "give_up"),
    "activities.start_budget": ('"refuse"', "refuse", "refuse"),
    "activities.no_token": ('"again"', "again", "again"),
    "limits.requests_per_key_per_minute": ("7.5", "7.5", 7.5),
    "rest3.strict_notification_key": ("true", "true", True),
    "webhooks.retry_after_s": ("[1.5, 60]", "1.5, 60", (1.5, 60.0)),
    "rest3.timezone": ('"Europe/Istanbul"', "Europe/Istanbul", "Europe/Istanbul"),
}
ANY_TEXT = ("data_dir", "http.host", "http.simulator_url")
PATHS = [path for path, _ in described()]


def value_of(path: str) -> tuple[str, str, Any]:
    """A value for a setting: from the table, or the default and a little more where it is a number."""
    if path in VALUES:
        return VALUES[path]
    default = at(Settings.model_construct(), path)
    assert isinstance(default, int | float), f"add a value for {path} to VALUES"
    other = default + 1
    return repr(other), repr(other), other


def at(settings: Any, path: str) -> Any:
    for name in path.split("."):
        settings = getattr(settings, name)
    return settings


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory without a configuration, and an environment without settings."""
    for name in [name for name in os.environ if name.upper().startswith("SKERRY_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(directory: Path, text: str, name: str = "skerry.toml") -> None:
    (directory / name).write_text(text)


def as_toml(path: str, value: str) -> str:
    *section, name = path.split(".")
    return "".join(f"[{one}]\n" for one in section) + f"{name} = {value}\n"


def as_flags(path: str, value: Any) -> dict[str, Any]:
    *section, name = path.split(".")
    flags: dict[str, Any] = {name: value}
    return {section[0]: flags} if section else flags


@pytest.mark.parametrize("path", PATHS)
class TestEverySetting:
    def test_has_a_description_and_a_default(self, path: str) -> None:
        field = dict(described())[path]
        assert field.description
        assert field.description.endswith(".")
        assert at(load(), path) == field.default

    def test_comes_from_the_file(self, path: str, elsewhere: Path) -> None:
        toml, _, expected = value_of(path)
        write(elsewhere, as_toml(path, toml))
        assert at(load(), path) == expected != at(Settings.model_construct(), path)

    def test_comes_from_the_environment_before_the_file(
        self, path: str, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(elsewhere, as_toml(path, value_of(path)[0].replace("0", "3") if path not in VALUES else VALUES[path][0]))
        monkeypatch.setenv(variable(path), value_of(path)[1])
        assert at(load(), path) == value_of(path)[2]

    def test_comes_from_a_flag_before_the_environment(self, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
        _, text, expected = value_of(path)
        monkeypatch.setenv(variable(path), text)
        default = at(Settings.model_construct(), path)
        if default is None:  # a flag that is not given says nothing
            assert at(load(**as_flags(path, None)), path) == expected
        else:
            assert at(load(**as_flags(path, default)), path) == default

    def test_takes_no_nonsense_and_names_itself(self, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
        if path in ANY_TEXT:
            return
        monkeypatch.setenv(variable(path), "nonsense")
        with pytest.raises(WrongSettingsError, match=rf"{re.escape(path)}(\.0)?: "):
            load()


def test_a_section_may_be_spread_over_all_three(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(elsewhere, '[http]\nhost = "0.0.0.0"\nport = 1\nmax_body_bytes = 30000\n')
    monkeypatch.setenv("SKERRY_HTTP__PORT", "2")
    monkeypatch.setenv("skerry_http__max_body_bytes", "40000")
    http = load(http={"max_body_bytes": 50_000, "host": None}).http
    assert (http.host, http.port, http.max_body_bytes) == ("0.0.0.0", 2, 50_000)


def test_another_file_is_named_by_a_variable(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(elsewhere, "[http]\nport = 1\n")
    write(elsewhere, "[http]\nport = 2\n", "other.toml")
    monkeypatch.setenv("SKERRY_CONFIG", str(elsewhere / "other.toml"))
    assert load().http.port == 2


def test_a_file_that_is_named_has_to_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKERRY_CONFIG", "/nowhere/skerry.toml")
    with pytest.raises(WrongSettingsError, match=r"no configuration file /nowhere/skerry\.toml"):
        load()


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("[http]\nprot = 1\n", "http.prot is not a setting, did you mean http.port?"),
        ("[htp]\nport = 1\n", "htp is not a setting"),
        ("port = 1\n", "port is not a setting"),
        ("[xyzzy]\n", "xyzzy is not a setting"),
        ("[http]\nport = 0\n", "http.port: Input should be greater than or equal to 1"),
        ('[http]\nport = "many"\n', "http.port: "),
        ("http = 7\n", "http: "),
        ('[log]\nlevel = "loud"\n', "log.level: Input should be 'debug', 'info', 'warning' or 'error'"),
        ('[rest3]\ntimezone = "Mars"\n', "rest3.timezone: 'Mars' is not a time zone: write it as UTC or"),
        ('[rest3]\ntimezone = "../../etc/passwd"\n', "rest3.timezone: "),
        (
            '[http]\ntrusted_proxies = ["somewhere"]\n',
            "http.trusted_proxies: 'somewhere' does not appear to be an IPv4 or IPv6 network: write networks as",
        ),
        (
            '[http]\ntrusted_proxies = ["10.0.0.1/8"]\n',
            "http.trusted_proxies: 10.0.0.1/8 has host bits set: write networks as",
        ),
        ("[http]\ntrusted_proxies = [7]\n", "http.trusted_proxies: '7' does not appear to be"),
        ("[http]\ntrusted_proxies = 7\n", "http.trusted_proxies: "),
        ("[delivery]\npush_deadline_s = -1\n", "delivery.push_deadline_s: Input should be greater than 0"),
        ("[http\n", "skerry.toml is not TOML: "),
    ],
)
def test_what_is_wrong_in_the_file_is_named(elsewhere: Path, toml: str, said: str) -> None:
    write(elsewhere, toml)
    with pytest.raises(WrongSettingsError) as caught:
        load()
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("SKERRY_HTPP__PORT", "SKERRY_HTPP__PORT is not a setting, did you mean SKERRY_HTTP__PORT?"),
        ("SKERRY_HTTP__PROT", "http.prot is not a setting, did you mean http.port?"),
        ("SKERRY_HTTP_PORT", "SKERRY_HTTP_PORT is not a setting, did you mean SKERRY_HTTP__PORT?"),
        ("SKERRY_XYZZY", "SKERRY_XYZZY is not a setting"),
        ("SKERRY_HTTP", "write its members as SKERRY_SECTION__KEY"),
    ],
)
def test_a_misspelt_variable_is_named(monkeypatch: pytest.MonkeyPatch, name: str, said: str) -> None:
    monkeypatch.setenv(name, "1x")
    with pytest.raises(WrongSettingsError) as caught:
        load()
    assert said in str(caught.value)


def test_everything_that_is_wrong_is_named_at_once(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(elsewhere, "[http]\nport = 0\n[delivery]\npush_deadline_s = 0\n")
    monkeypatch.setenv("SKERRY_XYZZY", "1")
    with pytest.raises(WrongSettingsError, match=r"SKERRY_XYZZY.*; http\.port.*; delivery\.push_deadline_s"):
        load()


@pytest.mark.parametrize(
    "name",
    ["SKERRY_SERVICE_HOST", "SKERRY_SERVICE_PORT", "SKERRY_PORT", "SKERRY_PORT_8080_TCP_ADDR", "NOT_SKERRY_HTTP"],
)
def test_what_kubernetes_puts_beside_us_is_overlooked(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "tcp://10.0.0.1:8080")
    assert load() == Settings()


def test_settings_do_not_change() -> None:
    settings = load()
    with pytest.raises(ValueError, match="frozen"):
        settings.http.port = 1  # type: ignore[misc]
