"""A CONNECT proxy: opens real tunnels, and misbehaves on request. Runs on any event loop, virtual ones too."""

import asyncio
from base64 import b64encode
from contextlib import suppress
from dataclasses import dataclass, field

PIECE = 7
"""Bytes, where it passes things on in pieces."""


@dataclass
class ConnectProxy:
    """What it does can be changed while it runs."""

    credentials: tuple[str, str] | None = None
    """User and password; None: it asks nobody."""
    status: int = 200
    """What it answers to those that it lets in."""
    stalls: bool = False
    """It takes the request and says nothing."""
    in_pieces: bool = False
    """Its answer, and the client's TLS hello, go out a few bytes at a time."""
    says_more: bool = False
    """It sends something of its own into the tunnel."""
    idle_limit: float | None = None
    """Seconds after which a tunnel without traffic is dropped."""
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Target and headers of each."""
    open_tunnels: int = 0
    dropped_idle: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client."""
        opened = [writer]
        try:
            await self._serve(reader, writer, opened)
        except (OSError, asyncio.IncompleteReadError):
            pass  # either side has gone
        finally:
            for one in opened:
                one.close()
            await asyncio.gather(*(one.wait_closed() for one in opened), return_exceptions=True)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, opened: list[asyncio.StreamWriter]
    ) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        line, *lines = head.split("\r\n")
        method, target, _ = line.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines if one)}
        self.requests.append((target, headers))
        if self.stalls:
            await reader.read()
            return
        status = self._judge(method, headers)
        if status != 200:
            await self._say(writer, f"HTTP/1.1 {status} Whatever\r\ncontent-length: 0\r\n\r\n".encode())
            return
        host, _, port = target.rpartition(":")
        there, back = await asyncio.open_connection(host.strip("[]"), int(port))
        opened.append(back)
        more = b"\x15\x03\x01" if self.says_more else b""
        await self._say(writer, b"HTTP/1.1 200 Connection established\r\nvia: 1.1 test\r\n\r\n" + more)
        self.open_tunnels += 1
        try:
            await self._tunnel((reader, back), (there, writer))
        finally:
            self.open_tunnels -= 1

    def _judge(self, method: str, headers: dict[str, str]) -> int:
        if method != "CONNECT":
            return 405
        if self.credentials is not None:
            expected = "Basic " + b64encode(":".join(self.credentials).encode()).decode()
            if headers.get("proxy-authorization") != expected:
                return 407
        return self.status

    async def _say(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        step = PIECE if self.in_pieces else len(data)
        for low in range(0, len(data), step):
            writer.write(data[low : low + step])
            await writer.drain()
            if self.in_pieces:
                await asyncio.sleep(0.001)

    async def _tunnel(self, *ways: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        moved = [asyncio.get_running_loop().time()]
        tasks = {asyncio.create_task(self._pass_on(*way, moved)) for way in ways}
        if self.idle_limit is not None:
            tasks.add(asyncio.create_task(self._drop_when_idle(moved)))
        _, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in rest:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, moved: list[float]) -> None:
        first = True
        with suppress(OSError):
            while data := await reader.read(65_536):
                moved[0] = asyncio.get_running_loop().time()
                step = PIECE if first and self.in_pieces else len(data)
                for low in range(0, len(data), step):
                    writer.write(data[low : low + step])
                    await writer.drain()
                    if step == PIECE:
                        await asyncio.sleep(0.001)
                first = False

    async def _drop_when_idle(self, moved: list[float]) -> None:
        assert self.idle_limit is not None
        loop = asyncio.get_running_loop()
        while (left := moved[0] + self.idle_limit - loop.time()) > 0:
            await asyncio.sleep(left)
        self.dropped_idle += 1
