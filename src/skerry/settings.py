"""Settings: a TOML file, then the environment (`SKERRY_…`, nested with `__`), then flags; unknown keys are errors."""

import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from skerry.apns.proxy import Proxy
from skerry.domain.webhook import RetrySchedule

CONFIG_FILE = "skerry.toml"
CONFIG_VARIABLE = "SKERRY_CONFIG"
PREFIX = "SKERRY_"
DELIMITER = "__"

_KUBERNETES = re.compile(r"SKERRY_(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)")
"""Variables that Kubernetes puts into every pod beside a Service called `skerry`: not ours, and not mistakes."""


class WrongSettingsError(Exception):
    """The settings cannot be used. Its text names each key that is wrong, where it stands, and what to write."""


def _separated(value: object) -> object:
    """The environment has no lists: there, commas separate."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _networks(value: object) -> object:
    parts = _separated(value)
    return tuple(map(_network, parts)) if isinstance(parts, list) else parts


def _network(text: object) -> IPv4Network | IPv6Network:
    try:
        return ip_network(str(text).strip())
    except ValueError as error:
        raise ValueError(f"{error}: write networks as 10.0.0.0/8 or 2001:db8::/32") from error


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is not a time zone: write it as UTC or Europe/Istanbul") from error
    return name


def _proxy(url: str | None) -> str | None:
    if url is not None:
        Proxy.parse(url)
    return url


Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_networks)]


class Section(BaseModel):
    """A part of the settings; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Http(Section):
    """Where the API answers."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=1, le=65535, description="Port to listen on.")
    trusted_proxies: Networks = Field(
        (), description="Networks whose `X-Forwarded-For` header is believed; in the environment separated by commas."
    )
    max_body_bytes: int = Field(1 << 20, ge=16_384, description="Largest request body.")
    body_timeout_s: float = Field(30.0, gt=0, description="Seconds that a request's body may take to arrive.")
    answer_timeout_s: float = Field(60.0, gt=0, description="Seconds after which an unanswered request gets an error.")
    simulator_url: str | None = Field(
        None, description="A simulator whose API is passed on under /simulator/; `skerry dev` sets it."
    )


class Log(Section):
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is written.")
    format: Literal["console", "json"] = Field("console", description="For people, or for machines.")


class Store(Section):
    """The database."""

    queue: int = Field(10_000, ge=1, description="Writes that may wait for the writer before callers get 429.")
    readers: int = Field(2, ge=1, le=64, description="Threads that read.")


class Delivery(Section):
    """How the outbox is emptied."""

    processes: int = Field(
        1, ge=1, le=64, description="Processes that send; those beyond the service itself take large fan-outs only."
    )
    start_window: int = Field(100, ge=1, le=500, description="Starts in flight at once, of one chunk.")
    push_deadline_s: float = Field(30.0, gt=0, description="Seconds until a push that is not answered is given up.")
    unknown_start: Literal["resend", "give_up"] = Field(
        "resend", description="What becomes of a start whose answer was lost and whose device reports nothing."
    )
    unknown_start_after_s: float = Field(300.0, gt=0, description="Seconds after which that is decided.")
    retry_server_error_s: float = Field(900.0, gt=0, description="Wait after a 5xx; Apple asks for 15 minutes.")
    retry_too_many_requests_s: float = Field(30.0, gt=0, description="Wait after a 429 for one token.")
    retry_credential_s: float = Field(300.0, gt=0, description="Wait after a refusal of the provider token.")
    retry_max_age_s: float = Field(8 * 3600.0, gt=0, description="Seconds after which a push is given up for good.")


class Activities(Section):
    """How activities of `/v1/activities` live, where their callers say nothing else."""

    update_interval_s: float = Field(
        1.0,
        ge=0,
        description="Seconds between two updates of one activity that may wait; the newest of a burst counts.",
    )
    high_priority_per_hour: int = Field(
        60, ge=1, description="High-priority pushes that a device is trusted to bear an hour; Apple does not say."
    )
    frequent_high_priority_per_hour: int = Field(
        240, ge=1, description="The same for activities with `frequent_updates`."
    )
    renew_after_s: float = Field(
        27_000.0, gt=0, lt=28_800, description="Age of a card at which a renewed activity goes on in a new one."
    )
    renew_jitter_s: float = Field(600.0, ge=0, description="Earlier by up to this, so that not all come at once.")
    farewell_after_s: float = Field(60.0, gt=0, description="Seconds from the new card to the end of the old one.")
    stale_after_s: float | None = Field(
        7_200.0, gt=0, description="Seconds after its last revision when a card is shown as stale."
    )
    no_token: Literal["wait", "lost", "again"] = Field(
        "lost",
        description="What becomes of a card whose start APNs has taken and whose device never reports an update token:"
        " it waits on, is given up as lost (and is live should the device report it after all), or is started again and"
        " then given up. `again` is never sent to a device that may have reported anything since. Still, a phone that"
        " has shown the first card without waking the app then shows two, and only one of them is ever updated.",
    )
    no_token_after_s: float = Field(
        28_800.0, gt=0, description="Seconds after a start when that is decided, and up to a tenth more."
    )
    no_token_again_most: int = Field(1, ge=1, le=5, description="Starts that follow the first, with `again`.")
    scheduled_start_within_s: float = Field(
        3_600.0, gt=0, description="Seconds after its time in which a scheduled start is still sent."
    )
    start_budget: Literal["hold", "refuse"] = Field(
        "hold",
        description="What becomes of a start that its phone would drop, since the app has started too many on it: it"
        " waits until there is room, or is refused. The start of a renewal does not wait.",
    )
    starts_per_device: int = Field(
        10, ge=0, description="Starts that a phone is trusted to take within the window; about ten, says Apple. 0: any."
    )
    starts_window_s: float = Field(
        3_600.0, gt=0, description="Seconds of that window; Apple does not say, reports from the field say an hour."
    )


class Apns(Section):
    """Connections to APNs."""

    max_connections: int = Field(32, ge=1, le=256, description="Most connections per team, key and host.")
    growth_interval_s: float = Field(
        0.05, gt=0, description="Seconds between opening one connection and the next, while pushes wait for room."
    )
    connect_timeout_s: float = Field(10.0, gt=0, description="Seconds until the first SETTINGS must have come.")
    ping_interval_s: float = Field(60.0, gt=0, description="Seconds of silence before a sign of life is asked for.")
    silence_limit_s: float = Field(5.0, gt=0, description="The same, once a push has waited that long for an answer.")
    ping_timeout_s: float = Field(10.0, gt=0, description="Seconds that the sign may take.")
    idle_after_s: float = Field(
        600.0, gt=0, description="Seconds without a push after which a host's surplus connections are closed."
    )
    max_age_s: float = Field(
        86_400.0, gt=0, description="Seconds after which a connection is renewed, give or take a fifth."
    )
    max_queued: int = Field(50_000, ge=1_000, description="Pushes that may wait for one host, per lane.")
    proxy: Annotated[str | None, AfterValidator(_proxy)] = Field(
        None,
        repr=False,
        description="HTTP proxy on the way to APNs: `http://host:port`, or `http://user:password@host:port`.",
    )


class Limits(Section):
    """How fast callers may call, and devices may report events."""

    events_per_installation_per_minute: float = Field(120.0, gt=0, description="Steady rate of one installation.")
    events_per_installation_burst: float = Field(240.0, ge=1, description="Events it may report at once.")
    events_per_address_per_minute: float = Field(6_000.0, gt=0, description="Steady rate of one address.")
    events_per_address_burst: float = Field(20_000.0, ge=1, description="Events it may report at once.")
    requests_per_key_per_minute: float | None = Field(
        None, gt=0, description="Steady rate of one REST key; unset: no limit."
    )
    requests_per_key_burst: float = Field(100.0, ge=1, description="Requests it may make at once, where there is one.")


class Rest3(Section):
    """The drop-in API."""

    strict_notification_key: bool = Field(
        default=False, description="Refuse an integer `notificationKey`, as Netmera does."
    )
    timezone: Annotated[str, AfterValidator(_known_zone)] = Field(
        "UTC", description="Zone of a `schedule.startTime`, which carries none."
    )


class Stream(Section):
    """The live stream."""

    per_key: int = Field(20, ge=1, le=10_000, description="Streams that one key may have open.")
    heartbeat_s: float = Field(15.0, gt=0, description="Seconds between signs of life on a quiet stream.")
    slow_after_s: float = Field(30.0, gt=0, description="Seconds after which a reader that takes nothing is cut off.")


class Webhooks(Section):
    """Requests to the callers' own servers."""

    allow_private_networks: bool = Field(
        default=False, description="Let webhooks lead to loopback, private and link-local addresses."
    )
    allow_http: bool = Field(default=False, description="Let webhooks use http:// as well as https://.")
    timeout_s: float = Field(15.0, gt=0, le=120, description="Seconds that a receiver may take to answer.")
    retry_after_s: Annotated[tuple[Annotated[float, Field(ge=0)], ...], NoDecode, BeforeValidator(_separated)] = Field(
        RetrySchedule().delays,
        max_length=50,
        description="Seconds to wait after each failed attempt; then the event is given up. A day in all.",
    )
    disable_after_s: float = Field(
        3 * 86_400.0, gt=0, description="Seconds of nothing but failures after which a webhook is switched off."
    )
    concurrency: int = Field(64, ge=1, le=1_000, description="Requests at once, to all webhooks.")
    concurrency_per_webhook: int = Field(8, ge=1, le=100, description="Requests at once, to one webhook.")
    most_per_app: int = Field(20, ge=1, le=1_000, description="Webhooks that one app may have.")


class Retention(Section):
    """How long what is kept."""

    updates_days: float = Field(2.0, gt=0, description="Days that superseded updates and their verdicts are kept.")
    starts_days: float = Field(
        90.0, ge=1, description="Days that starts, their statistics and ended activities are kept."
    )
    events_days: float = Field(
        7.0, ge=2, description="Days that events are kept: for the timeline, for streams that come back, for webhooks."
    )
    idempotency_hours: float = Field(24.0, gt=0, description="Hours in which a repeated request is recognised.")


class Settings(BaseSettings):
    """All settings."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter=DELIMITER, extra="forbid", frozen=True, toml_file=CONFIG_FILE
    )

    data_dir: Path = Field(Path("data"), description="Directory of the database and the key ring.")
    http: Http = Http()
    log: Log = Log()
    store: Store = Store()
    delivery: Delivery = Delivery()
    activities: Activities = Activities()
    apns: Apns = Apns()
    limits: Limits = Limits()
    rest3: Rest3 = Rest3()
    stream: Stream = Stream()
    webhooks: Webhooks = Webhooks()
    retention: Retention = Retention()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags before the environment before the file."""
        del dotenv_settings, file_secret_settings
        file = Path(os.environ.get(CONFIG_VARIABLE) or CONFIG_FILE)
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, file)

    @property
    def database(self) -> Path:
        """The database file."""
        return self.data_dir / "skerry.db"

    @property
    def key_ring(self) -> Path:
        """The ring of keys that seals secrets."""
        return self.data_dir / "keyring.json"


def load(**flags: Any) -> Settings:
    """The settings in force.

    Args:
        flags: what the command line says, by setting; a section is a mapping. What is None does not count.

    Raises:
        WrongSettingsError: naming each key that is unknown or wrong.
    """
    named = os.environ.get(CONFIG_VARIABLE)
    if named and not Path(named).is_file():
        raise WrongSettingsError(f"there is no configuration file {named}: {CONFIG_VARIABLE} or --config names it")
    problems = list(_unknown_variables(os.environ))
    settings: Settings | None = None
    try:
        settings = Settings(**_said(flags))
    except ValidationError as error:
        problems += [_problem(one["loc"], one["type"], one["msg"]) for one in error.errors()]
    except tomllib.TOMLDecodeError as error:
        problems.append(f"{named or CONFIG_FILE} is not TOML: {error}")
    except SettingsError as error:
        problems.append(f"{error}: write its members as {PREFIX}SECTION{DELIMITER}KEY")
    if settings is None or problems:
        raise WrongSettingsError("the settings are wrong: " + "; ".join(problems))
    return settings


def described(model: type[BaseModel] = Settings, path: tuple[str, ...] = ()) -> Iterator[tuple[str, FieldInfo]]:
    """Every setting by its path (`http.port`), in the order of this file."""
    for name, field in model.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            yield from described(section, (*path, name))
        else:
            yield ".".join((*path, name)), field


def variable(path: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + path.upper().replace(".", DELIMITER)


def _said(flags: Mapping[str, Any]) -> dict[str, Any]:
    said = {name: _said(value) if isinstance(value, Mapping) else value for name, value in flags.items()}
    return {name: value for name, value in said.items() if value is not None}


def _unknown_variables(environment: Iterable[str]) -> Iterator[str]:
    """Pydantic overlooks variables that belong to no field, so that a misspelt section would go unnoticed."""
    paths = [path for path, _ in described()]
    sections = {path.split(".")[0] for path in paths}
    for name in sorted(environment):
        upper = name.upper()
        if not upper.startswith(PREFIX) or upper == CONFIG_VARIABLE or _KUBERNETES.fullmatch(upper):
            continue
        if upper.removeprefix(PREFIX).split(DELIMITER)[0].lower() not in sections:
            yield f"{name} is not a setting{_suggestion(upper, [variable(path) for path in paths])}"


def _problem(where: tuple[int | str, ...], kind: str, text: str) -> str:
    path = ".".join(map(str, where))
    if kind == "extra_forbidden":
        return f"{path} is not a setting{_suggestion(path, [path for path, _ in described()])}"
    return f"{path}: {text.removeprefix('Value error, ')}"


def _suggestion(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=1)
    return f", did you mean {close[0]}?" if close else ""
