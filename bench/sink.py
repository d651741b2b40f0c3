"""The sink: nginx with `return 200`, a C server that accepts every push and counts it.

It stands in for APNs in speed, not in behaviour: no token is ever refused. Installed by scripts/install-test-servers.
"""

import asyncio
import os
import shutil
import socket
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx2
import trustme

from bench.process import Cores, Process, pinned
from skerry.domain.push import Endpoint

HOST = "127.0.0.1"
NAME = "localhost"
"""What clients connect to: some of them verify no certificate that is for an address."""
APPLE = "api.push.apple.com"
READY_WITHIN = 10.0
STREAMS = 1_000
"""What Apple announces."""

_CONFIGURATION = """\
daemon off;
worker_processes 1;
error_log stderr warn;
pid {directory}/nginx.pid;
events {{ worker_connections 512; }}
http {{
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    # Apple does not close a connection for having served many requests.
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    ssl_certificate {directory}/server.pem;
    ssl_certificate_key {directory}/server.key;
    ssl_protocols TLSv1.3;
{logging}
{servers}
    server {{
        listen {host}:{status_port};
        access_log off;
        location / {{ stub_status; }}
    }}
}}
"""
_SERVER = """\
    server {{
        listen {address}:{port} ssl http2;
        http2_max_concurrent_streams {streams};
        # As Apple does: some clients know an answer by it.
        add_header apns-id $http_apns_id;
        location / {{ return 200; }}
    }}
"""
_NO_LOG = "    access_log off;"
_WATCH = """\
    map $uri $watched {{ default 0; "~^/3/device/{prefix}" 1; }}
    log_format arrival "$msec $uri";
    access_log {log} arrival if=$watched;
"""


class SinkError(Exception):
    """nginx is missing or does not start."""


@dataclass(slots=True)
class Sink:
    """A running sink."""

    endpoints: Mapping[int, Endpoint]
    """By the number of concurrent streams that is announced there."""
    worker: Process
    version: str
    arrivals_log: Path
    apple_address: str
    """Where Apple's own name is answered for, on port 443; "" where that port cannot be had."""
    _status_url: str
    _asking: httpx2.AsyncClient
    """One for all questions: to make one takes as long as some thousand pushes, beside the service that is measured."""
    _asked: int = 0

    @property
    def endpoint(self) -> Endpoint:
        """The one that announces as many streams as Apple does."""
        return self.endpoints[STREAMS]

    async def pushes(self) -> int:
        """How many requests nginx has served, our own questions left out."""
        text = (await self._asking.get(self._status_url)).text
        self._asked += 1
        requests = int(text.splitlines()[2].split()[2])  # "accepts handled requests", in the third line
        return requests - self._asked

    def arrivals(self) -> dict[str, list[float]]:
        """When pushes to watched tokens came, by token, in seconds since 1970.

        The millisecond is that of nginx's clock, which it reads once for all that came in together.
        """
        by_token: dict[str, list[float]] = defaultdict(list)
        for line in self.arrivals_log.read_text().splitlines():
            at, _, path = line.partition(" ")
            by_token[path.rpartition("/")[2]].append(float(at))
        return by_token


@asynccontextmanager
async def running_sink(
    streams: Sequence[int] = (STREAMS,), *, watched: str | None = None, apple_streams: int | None = None
) -> AsyncIterator[Sink]:
    """Run nginx on the core of the servers until the block is left.

    Args:
        streams: a port is opened for each of these limits of concurrent streams.
        watched: the arrival of pushes to tokens with this beginning is written down.
        apple_streams: answer in Apple's name as well, on port 443 of another address, with this limit of streams.

    Raises:
        SinkError: if it cannot be found or started.
    """
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        raise SinkError("there is no nginx: run scripts/install-test-servers")
    with tempfile.TemporaryDirectory(prefix="skerry-sink-") as name:
        directory = Path(name)
        *ports, status_port = free_ports(len(streams) + 1)
        log = directory / "arrivals.log"
        servers = [
            _SERVER.format(address=HOST, port=port, streams=limit) for port, limit in zip(ports, streams, strict=True)
        ]
        apple_address = "" if apple_streams is None else free_apple_address()
        if apple_address:
            servers.append(_SERVER.format(address=apple_address, port=443, streams=apple_streams))
        configuration = directory / "nginx.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                directory=directory,
                host=HOST,
                status_port=status_port,
                servers="".join(servers),
                logging=_NO_LOG if watched is None else _WATCH.format(prefix=watched, log=log),
            )
        )
        write_certificates(directory)
        command = pinned(Cores.of_this_machine().servers, [program, "-p", name, "-c", str(configuration)])
        nginx = await asyncio.create_subprocess_exec(*command)
        try:
            worker = await _worker_when_ready(nginx, status_port)
            ca_file = str(directory / "ca.pem")
            async with httpx2.AsyncClient(timeout=READY_WITHIN) as asking:
                yield Sink(
                    endpoints={
                        limit: Endpoint(NAME, port, ca_file) for limit, port in zip(streams, ports, strict=True)
                    },
                    worker=worker,
                    version=await _version(program),
                    arrivals_log=log,
                    apple_address=apple_address,
                    _status_url=f"http://{HOST}:{status_port}/",
                    _asking=asking,
                )
        finally:
            with suppress(ProcessLookupError):
                nginx.terminate()
            await nginx.wait()


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on; held together until all are known, so that they differ."""
    sockets = [socket.create_server((HOST, 0)) for _ in range(count)]
    try:
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def free_apple_address() -> str:
    """An address of this machine whose port 443 is ours to listen on; "" where there is none."""
    for last in range(2, 255):
        with suppress(OSError), socket.create_server((f"127.0.0.{last}", 443)):
            return f"127.0.0.{last}"
    return ""


def write_certificates(directory: Path) -> None:
    """`ca.pem`, `server.pem` with its chain and `server.key`, for this machine and in Apple's name."""
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    server = authority.issue_cert(NAME, HOST, APPLE, key_type=trustme.KeyType.ECDSA)
    authority.cert_pem.write_to_path(directory / "ca.pem")
    server.private_key_pem.write_to_path(directory / "server.key")
    for blob in server.cert_chain_pems:
        blob.write_to_path(directory / "server.pem", append=True)


async def _worker_when_ready(nginx: asyncio.subprocess.Process, port: int) -> Process:
    """The one worker, once it answers; the master listens before it has one."""
    async with asyncio.timeout(READY_WITHIN):
        while nginx.returncode is None:
            with suppress(OSError):
                _, writer = await asyncio.open_connection(HOST, port)
                writer.close()
                for child in Path(f"/proc/{nginx.pid}/task/{nginx.pid}/children").read_text().split():
                    return Process(int(child))
            await asyncio.sleep(0.02)
    raise SinkError(f"nginx ended with {nginx.returncode}; its own words are above")


async def _version(program: str) -> str:
    asked = await asyncio.create_subprocess_exec(program, "-v", stderr=asyncio.subprocess.PIPE)
    _, said = await asked.communicate()
    return said.decode().strip().rpartition("/")[2]
