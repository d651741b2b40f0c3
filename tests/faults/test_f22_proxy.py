"""F22: a proxy between us and APNs. Each connection is a tunnel of its own; TLS is with APNs."""

import asyncio
from dataclasses import replace

import pytest
from connect_proxy import ConnectProxy
from testbed import HOST, Bed, scenario

from skerry.apns import PoolSettings
from skerry.apns.proxy import Proxy
from skerry.domain.push import Outcome
from skerry.simulator.virtual import Host, Name

pytestmark = pytest.mark.slow

PROXY = "proxy.example"
ADDRESS = "192.0.2.80"
PORT = 3128
SETTINGS = PoolSettings(max_connections=4, proxy=Proxy.parse(f"http://{PROXY}:{PORT}"))
KNOWN = replace(SETTINGS, proxy=Proxy.parse(f"http://skerry:p%40ss@{PROXY}:{PORT}"))
HOUR = 3600.0


class Behind:
    """A proxy in the bed's network, until the block is left."""

    def __init__(self, bed: Bed, proxy: ConnectProxy) -> None:
        self.bed, self.proxy = bed, proxy

    async def __aenter__(self) -> ConnectProxy:
        self.bed.network.hosts[ADDRESS] = Host(latency_s=0.005)
        self.bed.network.names[PROXY] = Name([ADDRESS])
        self.server = await asyncio.start_server(self.proxy.serve, ADDRESS, PORT)
        return self.proxy

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(client.close(0.0) for client in self.bed.clients))
        await self.bed.pause(5)
        self.server.close()
        await self.bed.pause(5)


@scenario(settings=SETTINGS)
async def test_f22_each_connection_is_a_tunnel_of_its_own_to_apns_name(bed: Bed) -> None:
    async with Behind(bed, ConnectProxy()) as proxy:
        await bed.warm(connections=3)
        assert {target for target, _ in proxy.requests} == {f"{HOST}:443"}
        assert len(proxy.requests) == proxy.open_tunnels == bed.open_connections() >= 3
        assert all("proxy-authorization" not in headers for _, headers in proxy.requests)
        assert bed.name.lookups == len(proxy.requests), "the proxy looks the name up, we do not"


@scenario(settings=SETTINGS)
async def test_f22_an_answer_and_a_hello_in_pieces_are_as_good_as_whole(bed: Bed) -> None:
    async with Behind(bed, ConnectProxy(in_pieces=True)):
        assert (await bed.push(50)).count(Outcome.ACCEPTED) == 50


@scenario(settings=KNOWN)
async def test_f22_credentials_open_a_proxy_that_asks_for_them(bed: Bed) -> None:
    async with Behind(bed, ConnectProxy(credentials=("skerry", "p@ss"))):
        assert (await bed.push(50)).count(Outcome.ACCEPTED) == 50


@scenario()
@pytest.mark.parametrize(("settings", "said"), [(SETTINGS, "wants a user"), (KNOWN, "does not accept")])
async def test_f22_a_407_stops_the_route_and_is_tried_once_in_five_minutes(
    bed: Bed, settings: PoolSettings, said: str
) -> None:
    async with Behind(bed, ConnectProxy(credentials=("skerry", "another"))) as proxy:
        bed.settings = settings
        slow = 0
        for _ in range(int(HOUR // 10)):
            began = bed.loop.time()
            assert (await bed.push(3, deadline=30)).count(Outcome.ACCEPTED) == 0
            slow += bed.loop.time() - began > 1
            await bed.pause(10)
        assert slow <= 14, "handed back at once, but for the probes"
        assert len(proxy.requests) <= HOUR / 300 + 2
        (route,) = bed.client.stats().routes
        assert said in (route.last_error or "")
        assert "apns.proxy" in (route.last_error or "")
        assert "p@ss" not in (route.last_error or "")
        proxy.credentials = None
        await bed.pause(600)
        await bed.push(1)
        assert (await bed.push(20)).count(Outcome.ACCEPTED) == 20


@scenario(settings=SETTINGS)
async def test_f22_a_proxy_that_forbids_the_tunnel_is_no_reason_for_a_storm(bed: Bed) -> None:
    async with Behind(bed, ConnectProxy(status=403)) as proxy:
        for _ in range(60):
            assert (await bed.push(3, deadline=30)).count(Outcome.NOT_PROCESSED) == 3
            await bed.pause(10)
        assert len(proxy.requests) <= 600 / 300 + 2
        (route,) = bed.client.stats().routes
        assert "permit" in (route.last_error or "")


@scenario(settings=SETTINGS)
@pytest.mark.parametrize("trouble", [{"status": 502}, {"stalls": True}, {"status": 503}], ids=str)
async def test_f22_a_proxy_in_trouble_is_tried_with_back_off_and_served_again_when_it_recovers(
    bed: Bed, trouble: dict[str, object]
) -> None:
    async with Behind(bed, ConnectProxy(**trouble)) as proxy:  # type: ignore[arg-type]
        early, late = bed.pushing(20, deadline=60), bed.pushing(20, deadline=280)
        await bed.pause(150)
        assert (await early).count(Outcome.NOT_PROCESSED) == 20
        assert 3 <= len(proxy.requests) <= 24, "no attempt storm"
        proxy.status, proxy.stalls = 200, False
        assert (await late).count(Outcome.ACCEPTED) == 20


@scenario(settings=SETTINGS)
async def test_f22_a_tunnel_is_kept_alive_below_the_proxys_idle_limit(bed: Bed) -> None:
    async with Behind(bed, ConnectProxy(idle_limit=60.0)) as proxy:
        await bed.warm()
        opened = len(proxy.requests)
        await bed.pause(HOUR)
        assert (await bed.push(50)).count(Outcome.ACCEPTED) == 50
        assert (proxy.dropped_idle, len(proxy.requests)) == (0, opened)


@scenario(settings=SETTINGS)
async def test_f22_tunnels_that_were_dropped_are_replaced(bed: Bed) -> None:
    async with Behind(bed, ConnectProxy(idle_limit=10.0)) as proxy:
        await bed.warm()
        for _ in range(5):
            await bed.pause(60)
            assert (await bed.push(20)).count(Outcome.ACCEPTED) == 20
        assert proxy.dropped_idle >= 4


@scenario(settings=SETTINGS)
async def test_f22_what_a_proxy_says_by_itself_is_not_taken_for_apns(bed: Bed) -> None:
    async with Behind(bed, ConnectProxy(says_more=True)):
        sent = await bed.push(5, deadline=20)
        assert sent.count(Outcome.NOT_PROCESSED) == 5
        assert bed.entries() == []
