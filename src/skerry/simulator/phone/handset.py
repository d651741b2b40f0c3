"""What never changes about a phone, and everything about it that only looks random."""

import hashlib
import uuid
from dataclasses import dataclass

from skerry.domain.push import Environment
from skerry.simulator.phone.reports import Installation
from skerry.simulator.phone.rules import read_os_version


@dataclass(frozen=True, slots=True)
class Handset:
    """One iPhone for one app.

    Raises:
        ValueError: if `os_version` is not one.
    """

    id: str
    environment: Environment
    bundle_id: str
    os_version: str = "18.1"
    seed: str = "0"
    """Tokens, installation ids and shuffling follow from it and `id`, so that a run repeats exactly."""
    device_model: str = "iPhone17,1"
    app_version: str = "1.0"
    language: str = "en"
    """What its person reads: the first of iOS's preferred languages."""

    def __post_init__(self) -> None:
        read_os_version(self.os_version)

    @property
    def own_seed(self) -> str:
        """Differs from phone to phone."""
        return f"{self.seed}/{self.id}"

    def activity_id(self, number: int) -> str:
        """ActivityKit's `activity.id`: a UUID in capitals."""
        return str(self._uuid(f"activity/{number}")).upper()

    def installation(self, number: int, user: str | None) -> Installation:
        """The app as installed for the first, second, … time."""
        return Installation(
            id=str(self._uuid(f"installation/{number}")),
            secret=hashlib.shake_256(f"{self.own_seed}/secret/{number}".encode()).hexdigest(32),
            ext_id=user,
            environment=self.environment,
            os_version=self.os_version,
            app_version=self.app_version,
            device_model=self.device_model,
            language=self.language,
        )

    def _uuid(self, name: str) -> uuid.UUID:
        return uuid.UUID(bytes=hashlib.shake_256(f"{self.own_seed}/{name}".encode()).digest(16), version=4)
