"""Pushes through somebody else's proxy, over real sockets and on both event loops."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import uvloop
from simulated_apple import Apple, batch

from skerry.apns import ApnsClient, PoolSettings
from skerry.apns.proxy import Proxy
from skerry.domain.push import Outcome, Outcomes

pytestmark = pytest.mark.skipif(shutil.which("tinyproxy") is None, reason="no tinyproxy: make test-servers")

WITHIN = 20.0


@asynccontextmanager
async def tinyproxy(directory: Path) -> AsyncIterator[int]:
    """One that wants to know its users; its port."""
    port = 20_000 + hash(directory) % 10_000  # below the ephemeral range
    configuration = directory / "tinyproxy.conf"
    configuration.write_text(
        f"Port {port}\nListen 127.0.0.1\nTimeout 600\nMaxClients 100\nLogLevel Error\nBasicAuth skerry secret\n"
    )
    process = await asyncio.create_subprocess_exec("tinyproxy", "-d", "-c", str(configuration))
    try:
        async with asyncio.timeout(WITHIN):
            while True:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                await asyncio.sleep(0.02)
        yield port
    finally:
        process.terminate()
        await process.wait()


async def push(apple: Apple, url: str, count: int) -> tuple[Outcomes, str | None]:
    settings = PoolSettings(growth_interval=0.05, proxy=Proxy.parse(url))
    async with ApnsClient(settings) as client:
        outcomes = await client.send(apple.route, batch(count))
        return outcomes, client.stats().routes[0].last_error


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
async def test_all_pushes_arrive_once(
    apple: Apple, tmp_path: Path, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    def run(port: int) -> Outcomes:
        with asyncio.Runner(loop_factory=loop) as runner:
            return runner.run(push(apple, f"http://skerry:secret@127.0.0.1:{port}", 3_000))[0]

    async with tinyproxy(tmp_path) as port:
        outcomes = await asyncio.to_thread(run, port)
    assert outcomes.counts()[Outcome.ACCEPTED] == 3_000
    assert len({one.token for one in apple.phones.deliveries}) == len(apple.phones.deliveries) == 3_000


async def test_a_wrong_password_hands_pushes_back_and_says_what_to_mend(apple: Apple, tmp_path: Path) -> None:
    async with tinyproxy(tmp_path) as port:
        outcomes, error = await push(apple, f"http://skerry:wrong@127.0.0.1:{port}", 5)
    assert outcomes.counts()[Outcome.NOT_PROCESSED] == 5
    assert error is not None
    assert "apns.proxy" in error
    assert "wrong" not in error


@pytest.mark.parametrize(
    ("url", "host", "port", "authorization"),
    [
        ("http://proxy.example", "proxy.example", 3128, None),
        ("http://proxy.example:8080/", "proxy.example", 8080, None),
        ("http://me:p%40ss@10.0.0.1:8080", "10.0.0.1", 8080, "Basic bWU6cEBzcw=="),
        ("http://[2001:db8::1]:8080", "2001:db8::1", 8080, None),
    ],
)
def test_a_proxy_is_read_from_its_url(url: str, host: str, port: int, authorization: str | None) -> None:
    proxy = Proxy.parse(url)
    assert (proxy.host, proxy.port, proxy.authorization) == (host, port, authorization)
    assert "Basic" not in repr(proxy)


@pytest.mark.parametrize(
    "url",
    ["", "proxy.example:8080", "https://proxy.example", "socks5://proxy.example", "http://", "http://proxy:99999",
     "http://proxy:port", "http://proxy/path", "http://proxy?x=1", "http://proxy#x"],
)  # fmt: skip
def test_what_is_no_proxy_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"http://host:port|port of the proxy"):
        Proxy.parse(url)
