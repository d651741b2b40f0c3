"""`fireEvents`: the bridge for apps that report their Live Activity events through a backend (netmera.md 7.3)."""

from collections.abc import Callable
from dataclasses import dataclass

from skerry.api.rest3.errors import UNKNOWN_EVENT, Rest3Error, missing
from skerry.api.rest3.fields import MOST_TEXT
from skerry.api.rest3.users import entries
from skerry.domain.device import EVENT_NAMES, DeviceEvent, DeviceEventKind
from skerry.domain.ids import GroupId, Millis


@dataclass(frozen=True, slots=True)
class Fired:
    """One event of a user, and the device where the caller names it."""

    ext_id: str
    event: DeviceEvent
    installation_id: str | None
    device_token: str | None


def fired(body: bytes, now: Callable[[], Millis]) -> list[Fired]:
    """The entries of the request; all are read before any is carried out."""
    found = []
    for entry in entries(body):
        ext_id = entry.required_text("extId", most=MOST_TEXT)
        kind = EVENT_NAMES.get(entry.required_text("name", most=MOST_TEXT))
        if kind is None:
            raise Rest3Error(UNKNOWN_EVENT)
        group = entry.text("groupId", most=256) or entry.text("group_id", most=256)
        if kind is not DeviceEventKind.CLOSE:
            entry.require("token")
        if kind is not DeviceEventKind.START_TOKEN and not group:
            raise missing("groupId")
        time = entry.date("time")
        event = DeviceEvent(
            kind,
            min(time if time is not None else now(), now()),
            token=entry.token("token") if kind is not DeviceEventKind.CLOSE else None,
            group_id=GroupId(group) if group else None,
            attributes_type=entry.text("attributesType", most=256),
        )
        found.append(
            Fired(
                ext_id,
                event,
                entry.text("installationId", most=128),
                entry.token("deviceToken"),
            )
        )
    return found
