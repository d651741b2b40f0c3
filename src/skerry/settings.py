"""Settings: a TOML file, then the environment (`SKERRY_…`, nested with `__`), then flags; unknown keys are errors."""

import os
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

CONFIG_FILE = "skerry.toml"
CONFIG_VARIABLE = "SKERRY_CONFIG"


class Section(BaseModel):
    """A part of the settings; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Http(Section):
    """Where the API answers."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=1, le=65535, description="Port to listen on.")
    trusted_proxies: list[IPv4Network | IPv6Network] = Field(
        default_factory=list, description="Networks whose X-Forwarded-For header is believed."
    )
    max_body_bytes: int = Field(1 << 20, ge=16_384, description="Largest request body.")
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

    lease_s: float = Field(300.0, gt=0, description="Seconds that a sender may hold a chunk.")
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


class Apns(Section):
    """Connections to APNs."""

    max_connections: int = Field(4, ge=1, le=256, description="Connections per team, key and host.")
    connect_timeout_s: float = Field(10.0, gt=0, description="Seconds until the first SETTINGS must have come.")
    ping_interval_s: float = Field(60.0, gt=0, description="Seconds of silence before a sign of life is asked for.")
    ping_timeout_s: float = Field(10.0, gt=0, description="Seconds that the sign may take.")
    max_queued: int = Field(50_000, ge=1_000, description="Pushes that may wait for one host.")


class Limits(Section):
    """How fast devices may report events."""

    events_per_installation_per_minute: float = Field(120.0, gt=0, description="Steady rate of one installation.")
    events_per_installation_burst: float = Field(240.0, ge=1, description="Events it may report at once.")
    events_per_address_per_minute: float = Field(6_000.0, gt=0, description="Steady rate of one address.")
    events_per_address_burst: float = Field(20_000.0, ge=1, description="Events it may report at once.")


class Rest3(Section):
    """The drop-in API."""

    strict_notification_key: bool = Field(
        default=False, description="Refuse an integer notificationKey, as Netmera does."
    )
    timezone: str = Field("UTC", description="Zone of a schedule.startTime, which carries none.")


class Settings(BaseSettings):
    """All settings."""

    model_config = SettingsConfigDict(
        env_prefix="SKERRY_", env_nested_delimiter="__", extra="forbid", frozen=True, toml_file=CONFIG_FILE
    )

    data_dir: Path = Field(Path("data"), description="Directory of the database and the key ring.")
    http: Http = Http()
    log: Log = Log()
    store: Store = Store()
    delivery: Delivery = Delivery()
    apns: Apns = Apns()
    limits: Limits = Limits()
    rest3: Rest3 = Rest3()

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
        file = Path(os.environ.get(CONFIG_VARIABLE, CONFIG_FILE))
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
    """The settings in force; flags that are None do not count.

    Raises:
        pydantic.ValidationError: naming each key that is unknown or wrong.
    """
    return Settings(**{name: value for name, value in flags.items() if value is not None})
