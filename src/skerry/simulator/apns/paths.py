"""What a method and a path ask of APNs: device pushes and broadcasts at one host and port, channels at another."""

from dataclasses import dataclass
from enum import Enum, StrEnum


class Listener(StrEnum):
    """Which of Apple's two services answers at an address (apple.md 1.1)."""

    PUSH = "push"
    """`api.push.apple.com`: device pushes and broadcasts."""
    MANAGEMENT = "management"
    """`api-manage-broadcast.push.apple.com`, on port 2196 (sandbox: 2195): channels."""


class Resource(Enum):
    """What a path names."""

    DEVICE = "device"
    BROADCASTS = "broadcasts"
    CHANNELS = "channels"
    ALL_CHANNELS = "all-channels"


class Operation(StrEnum):
    """What is to be done."""

    PUSH = "push"
    BROADCAST = "broadcast"
    CREATE_CHANNEL = "create_channel"
    READ_CHANNEL = "read_channel"
    DELETE_CHANNEL = "delete_channel"
    LIST_CHANNELS = "list_channels"


_PATHS = (
    (Resource.DEVICE, "/3/device/", ""),
    (Resource.BROADCASTS, "/4/broadcasts/apps/", ""),
    (Resource.CHANNELS, "/1/apps/", "/channels"),
    (Resource.ALL_CHANNELS, "/1/apps/", "/all-channels"),
)
"""What comes before the token or the bundle id, and after it."""

_OPERATIONS = {
    (Resource.DEVICE, "POST"): Operation.PUSH,
    (Resource.BROADCASTS, "POST"): Operation.BROADCAST,
    (Resource.CHANNELS, "POST"): Operation.CREATE_CHANNEL,
    (Resource.CHANNELS, "GET"): Operation.READ_CHANNEL,
    (Resource.CHANNELS, "DELETE"): Operation.DELETE_CHANNEL,
    (Resource.ALL_CHANNELS, "GET"): Operation.LIST_CHANNELS,
}


@dataclass(frozen=True, slots=True)
class Target:
    """Method and path as APNs understands them."""

    resource: Resource | None
    """None: a path that APNs does not know."""
    name: str
    """The device token or the bundle id; "" where it is missing."""
    operation: Operation | None
    """None: not a method of that resource."""


def read_target(method: str, path: str) -> Target:
    """Understand a method and a path."""
    for resource, before, after in _PATHS:
        if path.startswith(before) and path.endswith(after) and len(path) >= len(before) + len(after):
            name = path[len(before) : len(path) - len(after)]
            return Target(resource, name, _OPERATIONS.get((resource, method)))
    if path == "/3/device":  # the one path that is known without its last part: MissingDeviceToken
        return Target(Resource.DEVICE, "", _OPERATIONS.get((Resource.DEVICE, method)))
    return Target(None, "", None)
