"""A ClientHello that is there before the server has looked at its connection."""

import asyncio
import socket
import ssl
import threading
import time

import uvloop
from testbed import HOST, Devices, certificates

from skerry.domain.push import Environment
from skerry.simulator.apns import ApnsServer, Chaos, Ledger, ProviderKeys
from skerry.simulator.clock import Clock


def test_a_hello_that_waits_at_the_door_of_a_busy_server_is_answered() -> None:
    """uvloop reads what is there before TLS has begun, whatever was paused."""
    agreed: list[str | None] = []

    def knock(port: int) -> None:
        context = ssl.create_default_context(cafile=str(certificates().ca_file))
        context.set_alpn_protocols(["h2"])
        with (
            socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname=HOST) as tls,
        ):
            agreed.append(tls.selected_alpn_protocol())

    async def story() -> None:
        clock = Clock()
        server = ApnsServer(Devices(), ProviderKeys(), clock=clock, chaos=Chaos(clock), ledger=Ledger())
        _, port = await server.start(Environment.PRODUCTION, "127.0.0.1", ssl_context=certificates().server_context())
        knocking = threading.Thread(target=knock, args=(port,))
        knocking.start()
        time.sleep(0.3)  # noqa: ASYNC251 - the server is busy while somebody connects and says hello
        await asyncio.to_thread(knocking.join)
        await server.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(story())
    assert agreed == ["h2"]
