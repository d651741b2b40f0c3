"""A simulated APNs with phones that are only tokens, for the client to push to over real TLS."""

from dataclasses import dataclass, field

from skerry.apns import ApnsClient
from skerry.domain.push import Environment, PushBatch, Route
from skerry.simulator.apns import ApnsServer, Chaos, Ledger, ProviderKeys
from skerry.simulator.carrier import Broadcast, Delivery, Standing, TokenKind

BUNDLE = "com.example.app"


@dataclass
class Tokens:
    """Every token that begins with `80` is an update token of the sandbox."""

    deliveries: list[Delivery] = field(default_factory=list)
    broadcasts: list[Broadcast] = field(default_factory=list)

    def standing(self, environment: Environment, token: str) -> Standing | None:
        if environment is Environment.SANDBOX and token.startswith("80"):
            gone = "Unregistered" if token.endswith("ff") else None
            return Standing(BUNDLE, TokenKind.UPDATE, gone, 1_790_000_000.0 if gone else None)
        return None

    def deliver(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)

    def broadcast(self, broadcast: Broadcast) -> None:
        self.broadcasts.append(broadcast)


@dataclass
class Apple:
    """The simulated APNs and a client of it."""

    phones: Tokens
    chaos: Chaos
    ledger: Ledger
    keys: ProviderKeys
    server: ApnsServer
    route: Route
    management: Route
    """The same key at the host of channel management."""
    client: ApnsClient


def batch(count: int, *, deadline: float = 20.0, prefix: str = "80", body: bytes = b'{"aps":{}}') -> PushBatch:
    return PushBatch(
        f"{BUNDLE}.push-type.liveactivity",
        body,
        [f"{prefix}{number:060x}00" for number in range(count)],
        deadline=deadline,
    )
