"""The real client and the real simulated APNs in one event loop, on a virtual network and a virtual clock.

`@scenario` plays a story on a fresh `Bed` and then lets the judge compare the client's results with the simulator's
ledger: the invariants I1 to I6 of every fault scenario (see `judge.py`).
"""

import asyncio
import functools
import inspect
import random
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from skerry.apns import ApnsClient, PoolSettings
from skerry.apns.provider_token import ProviderTokens
from skerry.domain.push import Credential, Endpoint, Environment, Outcome, Outcomes, PushBatch, Route
from skerry.simulator.apns import ApnsServer, Certificates, Chaos, Ledger, Limits, ProviderKeys, ensure_certificates
from skerry.simulator.carrier import Delivery, Standing, TokenKind
from skerry.simulator.clock import Clock
from skerry.simulator.virtual import Host, Name, Network, VirtualLoop

HOST = "api.push.apple.com"
BUNDLE = "com.example.app"
TEAM = "SKERRYTEAM"
UPDATE = b'{"aps":{"timestamp":1790000060,"event":"update","content-state":{"n":1}}}'
CLOSING_GRACE = 5.0
PORTS = {Environment.PRODUCTION: 443, Environment.SANDBOX: 2197}


@functools.cache
def certificates() -> Certificates:
    """One set for all runs of a process."""
    return ensure_certificates(Path(tempfile.mkdtemp(prefix="skerry-testbed-")))


@dataclass
class Devices:
    """Every token that begins with `80` is an update token, of whichever app is asked for."""

    bundle_id: str = BUNDLE
    deliveries: list[str] = field(default_factory=list)
    gone: dict[str, float] = field(default_factory=dict)
    only_in: Environment | None = None
    """None: the tokens are good in both worlds."""
    nobody: bool = False
    """No token exists at all."""

    def standing(self, environment: Environment, token: str) -> Standing | None:
        if not token.startswith("80") or self.nobody or self.only_in not in {None, environment}:
            return None
        since = self.gone.get(token)
        return Standing(self.bundle_id, TokenKind.UPDATE, None if since is None else "Unregistered", since)

    def deliver(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery.token)


@dataclass
class Sent:
    """A batch that was submitted, and what came of it."""

    batch: PushBatch
    route: Route
    client: ApnsClient
    submitted_at: float
    outcomes: Outcomes | None = None
    returned_at: float | None = None
    abandoned: bool = False
    """Its caller was cancelled."""

    def count(self, outcome: Outcome) -> int:
        assert self.outcomes is not None
        return self.outcomes.codes.count(int(outcome))

    @property
    def causes(self) -> set[str]:
        assert self.outcomes is not None
        return set(self.outcomes.causes.values())

    @property
    def reasons(self) -> set[str]:
        assert self.outcomes is not None
        return {one.reason for one in self.outcomes.rejections.values()}


class Bed:
    """Everything a story needs. `client` is made on first use; more may be made with `new_client`."""

    def __init__(
        self,
        loop: VirtualLoop,
        *,
        seed: int = 0,
        addresses: int = 1,
        settings: PoolSettings | None = None,
        limits: Limits | None = None,
        latency_s: float = 0.02,
        teams: Sequence[str] = (TEAM,),
    ) -> None:
        self.loop = loop
        self.network = loop.network
        self.dice = random.Random(seed)
        self.settings = settings or PoolSettings()
        self.addresses = [f"17.188.0.{number}" for number in range(1, addresses + 1)]
        for address in self.addresses:
            self.network.hosts[address] = Host(latency_s=latency_s)
        self.name = self.network.names[HOST] = Name(list(self.addresses))
        self.clock = Clock(loop.wall)
        self.devices, self.keys, self.ledger = Devices(), ProviderKeys(), Ledger()
        self.chaos = Chaos(self.clock, {"seed": seed})
        self.server = ApnsServer(
            self.devices, self.keys, clock=self.clock, chaos=self.chaos, ledger=self.ledger, limits=limits
        )
        self.endpoint = Endpoint(HOST, 443, str(certificates().ca_file))
        self.routes = {team: self._route(team, number) for number, team in enumerate(teams)}
        self.route = self.routes[teams[0]]
        self.tokens = self.new_tokens()
        self.clients: list[ApnsClient] = []
        self.sent: list[Sent] = []
        self._numbers = 0
        self._teams: dict[str, str] = {}
        self._teams_of = 0
        self.abandoned = False
        """Results have been let go of, or their callers were cancelled: they cannot all be counted."""

    def _route(self, team: str, number: int) -> Route:
        key_id = f"SKERRYKEY{number}"[:10] if number < 10 else f"SKERRYK{number:03}"
        return Route(Credential(team, key_id, self.keys.generate_dev(team, key_id)), self.endpoint)

    def new_tokens(self) -> ProviderTokens:
        """Provider tokens that live in virtual time."""
        return ProviderTokens(wall=self.loop.wall, monotonic=self.loop.time)

    async def start(self) -> None:
        """Production on port 443, the sandbox on 2197, on every address."""
        for environment, port in PORTS.items():
            await self.server.start(
                environment,
                self.addresses,
                port,
                ssl_context=certificates().server_context(),
                flawed_context=certificates().flawed_context,
            )

    def route_to(self, environment: Environment) -> Route:
        return replace(self.route, endpoint=replace(self.endpoint, port=PORTS[environment]))

    @property
    def client(self) -> ApnsClient:
        return self.clients[0] if self.clients else self.new_client()

    def new_client(self, settings: PoolSettings | None = None, tokens: ProviderTokens | None = None) -> ApnsClient:
        client = ApnsClient(settings or self.settings, tokens=tokens or self.tokens)
        self.clients.append(client)
        return client

    # What stories do

    def batch(
        self, count: int, *, deadline: float = 30.0, body: bytes = UPDATE, prefix: str = "80", **options: Any
    ) -> PushBatch:  # fmt: skip
        """Pushes to tokens that nobody has been sent before: a token names its push in the ledger."""
        tokens = [f"{prefix}{self._numbers + place:062x}" for place in range(count)]
        self._numbers += count
        return PushBatch(f"{BUNDLE}.push-type.liveactivity", body, tokens, deadline=deadline, **options)

    async def push(
        self,
        count: int,
        *,
        client: ApnsClient | None = None,
        route: Route | None = None,
        **options: Any,
    ) -> Sent:
        """Send a batch and note what came of it."""
        return await self.send(route or self.route, self.batch(count, **options), client or self.client)

    async def send(
        self, route: Route, batch: PushBatch, sender: ApnsClient, outcomes: Outcomes | None = None
    ) -> Sent:  # fmt: skip
        """Send a batch that is made already."""
        sent = Sent(batch, route, sender, self.loop.time())
        self.sent.append(sent)
        try:
            sent.outcomes = await sender.send(route, sent.batch, outcomes)
        except asyncio.CancelledError:
            sent.abandoned = True
            raise
        sent.returned_at = self.loop.time()
        return sent

    def pushing(self, count: int, **options: Any) -> asyncio.Task[Sent]:
        """The same, without waiting for it."""
        return self.loop.create_task(self.push(count, **options))

    async def warm(self, connections: int = 1, count: int = 1) -> None:
        """Have `connections` connections whose limit has risen."""
        while (await self.push(count)).count(Outcome.ACCEPTED) < count or self.open_connections() < connections:
            count = max(count, 2_000)

    def open_connections(self) -> int:
        return sum(one.connections.get("open", 0) for one in self.client.stats().routes)

    def entries(self, since: int = 0) -> list[Any]:
        """The whole ledger."""
        found: list[Any] = []
        while page := self.ledger.entries(found[-1].number if found else since, 10_000):
            found += page
        return found

    def times_sent(self) -> Counter[str]:
        """How often each token is in the ledger."""
        return Counter(entry.token for entry in self.entries())

    def forget(self) -> None:
        """Judge what has been sent so far, and let go of it: for runs that are longer than memory."""
        from judge import judge

        judge(self)
        self.sent = [one for one in self.sent if one.returned_at is None and not one.abandoned]
        self.ledger.clear()
        self.devices.deliveries.clear()
        self.abandoned = True

    def answered(self) -> list[int]:
        """What the client has got an answer to so far, route by route."""
        return [sum(route.outcomes.values()) for route in self.client.stats().routes]

    def team_of(self, token: str) -> str:
        """Whose push a token was for."""
        if not self._teams or self._teams_of != len(self.sent):
            self._teams = {one: sent.route.credential.team_id for sent in self.sent for one in sent.batch.tokens}
            self._teams_of = len(self.sent)
        return self._teams[token]

    def notes(self, text: str) -> list[str]:
        return [one.what for one in self.ledger.notes() if text in one.what]

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def until(self, condition: Callable[[], bool], limit: float = 60.0) -> None:
        end = self.loop.time() + limit
        while not condition():
            assert self.loop.time() < end, "it did not come to that"
            await asyncio.sleep(0.01)


def play(
    story: Callable[[Bed], Awaitable[None]], *, judged: bool = True, seed: int = 0, **options: Any
) -> Bed:  # fmt: skip
    """Run a story on a bed of its own, close everything, and judge. Returns the bed for a look at what is left."""
    from judge import judge, judge_quiet

    loop = VirtualLoop(Network(seed))
    troubles: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: troubles.append(context))
    state = random.getstate()
    random.seed(seed)

    async def run() -> Bed:
        bed = Bed(loop, seed=seed, **options)
        await bed.start()
        try:
            await story(bed)
        finally:
            await asyncio.gather(*(client.close(CLOSING_GRACE) for client in bed.clients))
            await bed.server.close()
            await asyncio.sleep(30)  # the network settles
        return bed

    try:
        bed = loop.run_until_complete(run())
        if judged:
            judge(bed)
            judge_quiet(loop, troubles)
        return bed
    finally:
        random.setstate(state)
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def scenario(**options: Any) -> Callable[[Callable[..., Awaitable[None]]], Callable[..., None]]:
    """Make a test of a story: `async def test_…(bed, …)`. The options are those of `Bed` and `play`."""

    def wrap(story: Callable[..., Awaitable[None]]) -> Callable[..., None]:
        def test(**arguments: Any) -> None:
            play(lambda bed: story(bed, **arguments), **options)

        test.__name__, test.__doc__, test.__module__ = story.__name__, story.__doc__, story.__module__
        signature = inspect.signature(story)
        test.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[one for one in signature.parameters.values() if one.name != "bed"], return_annotation=None
        )
        test.pytestmark = getattr(story, "pytestmark", [])  # type: ignore[attr-defined]
        return test

    return wrap
