"""The virtual loop and network: time that jumps, and connections that fail as real ones do."""

import asyncio
import errno
import os
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from skerry.simulator.apns import ensure_certificates
from skerry.simulator.virtual import Host, Name, Network, Reach, StandstillError, VirtualLoop

SERVER = "17.0.0.1"


def run(story: Callable[[VirtualLoop], Awaitable[Any]], network: Network | None = None) -> Any:
    loop = VirtualLoop(network or Network())
    try:
        return loop.run_until_complete(story(loop))
    finally:
        for link in loop.network.links:
            link.heal()
            link.reset()
        loop.run_until_complete(asyncio.sleep(1))
        loop.close()


class Echo(asyncio.Protocol):
    """Says back what it hears."""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


async def echo_server(loop: VirtualLoop, **options: Any) -> asyncio.Server:
    return await loop.create_server(Echo, SERVER, 443, **options)


def test_hours_pass_at_once():
    async def story(loop):
        await asyncio.sleep(8 * 3600)
        return loop.time(), loop.wall()

    assert run(story) == (28_800.0, 1_790_028_800.0)


def test_waiting_for_what_never_comes_is_an_error_and_not_a_hang():
    async def story(loop):
        await loop.create_future()

    with pytest.raises(StandstillError):
        run(story)


def test_no_virtual_time_passes_while_a_thread_is_at_work():
    async def story(loop):
        done, release = asyncio.Event(), threading.Event()

        def work():
            release.wait(5)
            loop.call_soon_threadsafe(done.set)

        thread = threading.Thread(target=work)
        thread.start()
        other = asyncio.create_task(asyncio.sleep(100))
        with loop.standing_still():
            release.set()
            await done.wait()
            at = loop.time()
        await other
        thread.join()
        return at, loop.time()

    assert run(story) == (0.0, 100.0)


def test_a_round_trip_takes_twice_the_latency_and_a_narrow_path_longer():
    async def story(loop):
        server = await echo_server(loop)
        host = loop.network.host(SERVER)
        host.latency_s = 0.05
        reader, writer = await asyncio.open_connection(SERVER, 443)
        times = [loop.time()]
        for bandwidth, size in ((None, 10_000), (10_000, 10_000)):
            host.bandwidth = bandwidth
            writer.write(bytes(size))
            await reader.readexactly(size)
            times.append(loop.time() - sum(times))
        writer.close()
        await writer.wait_closed()
        server.close()
        return [round(one, 6) for one in times]

    assert run(story) == [0.1, 0.1, 2.1]


def test_asyncios_own_tls_runs_on_it(tmp_path):
    certificates = ensure_certificates(tmp_path)

    async def story(loop):
        loop.network.names["api.push.apple.com"] = Name([SERVER])
        server = await echo_server(loop, ssl=certificates.server_context())
        reader, writer = await asyncio.open_connection("api.push.apple.com", 443, ssl=certificates.client_context())
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        version = writer.get_extra_info("ssl_object").version()
        writer.close()
        await writer.wait_closed()
        loop.network.names["elsewhere.example"] = Name([SERVER])
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection("elsewhere.example", 443, ssl=certificates.client_context())
        await asyncio.sleep(1)
        server.close()
        return version, loop.network.links

    assert run(story) == ("TLSv1.3", [])


@pytest.mark.parametrize(
    ("reach", "error", "after"),
    [
        (Reach.REFUSED, errno.ECONNREFUSED, 0.04),
        (Reach.UNREACHABLE, errno.ENETUNREACH, 0.0),
        (Reach.SILENT, errno.ETIMEDOUT, 127.0),
    ],
)
def test_an_address_that_cannot_be_reached_fails_as_it_would(reach, error, after):
    async def story(loop):
        await echo_server(loop)
        loop.network.host(SERVER).reach = reach
        with pytest.raises(OSError, match=os.strerror(error)) as caught:
            await asyncio.open_connection(SERVER, 443)
        return caught.value.errno, loop.time()

    assert run(story) == (error, after)


def test_happy_eyeballs_get_round_a_silent_address():
    async def story(loop):
        loop.network.hosts["2001:db8::17"] = Host(reach=Reach.SILENT)
        loop.network.names["push"] = Name(["2001:db8::17", SERVER])
        await echo_server(loop)
        _, writer = await asyncio.open_connection("push", 443, happy_eyeballs_delay=0.25)
        writer.close()
        return writer.get_extra_info("peername")[0], round(loop.time(), 3)

    assert run(story) == (SERVER, 0.29)


def test_names_fail_and_change():
    async def story(loop):
        name = loop.network.names["push"] = Name([f"17.0.0.{n}" for n in range(20)], answers=8)
        first, second = [{one[4][0] for one in await loop.getaddrinfo("push", 443)} for _ in range(2)]
        assert len(first) == len(second) == 8
        assert first != second
        name.failure = socket.EAI_AGAIN
        for unknown in ("push", "nowhere"):
            with pytest.raises(socket.gaierror):
                await loop.getaddrinfo(unknown, 443)

    run(story)


def test_a_black_hole_says_nothing_until_tcp_gives_up_and_heals_without_a_trace():
    async def story(loop):
        await echo_server(loop)
        reader, writer = await asyncio.open_connection(SERVER, 443)
        (link,) = loop.network.links
        link.black_hole()
        writer.write(b"lost?")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readexactly(5), 60)
        link.heal()
        assert await reader.readexactly(5) == b"lost?"
        link.black_hole()
        writer.write(b"lost!")
        began = loop.time()
        with pytest.raises(TimeoutError) as caught:
            await reader.readexactly(5)
        writer.transport.abort()
        return loop.time() - began, caught.value.errno

    assert run(story) == (924.0, errno.ETIMEDOUT)


@pytest.mark.parametrize("how", ["reset", "forget"])
def test_a_middlebox_resets_at_once_or_at_the_next_write(how):
    async def story(loop):
        await echo_server(loop)
        reader, writer = await asyncio.open_connection(SERVER, 443)
        (link,) = loop.network.links
        getattr(link, how)()
        if how == "forget":
            await asyncio.sleep(10)
            writer.write(b"anybody?")
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
        writer.transport.abort()

    run(story)


def test_a_server_may_end_its_half_and_go_on_reading():
    heard = bytearray()

    class Deaf(asyncio.Protocol):
        def connection_made(self, transport):
            transport.write_eof()

        def data_received(self, data):
            heard.extend(data)

    async def story(loop):
        await loop.create_server(Deaf, SERVER, 443)
        reader, writer = await asyncio.open_connection(SERVER, 443)
        assert await reader.read() == b""
        writer.write(b"still here")
        await asyncio.sleep(1)
        writer.close()
        await writer.wait_closed()

    run(story)
    assert heard == b"still here"


def test_a_reader_that_stops_stops_the_writer():
    class Stopped(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport
            transport.pause_reading()

    stopped = Stopped()

    async def story(loop):
        await loop.create_server(lambda: stopped, SERVER, 443)
        _, writer = await asyncio.open_connection(SERVER, 443)
        writer.write(bytes(1_000_000))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(writer.drain(), 60)
        left = writer.transport.get_write_buffer_size()
        writer.transport.abort()
        stopped.transport.abort()
        return left

    assert run(story) == 1_000_000 - 256 * 1024
