"""The sink: nginx with `return 200`, a C server that accepts every push and counts it.

It stands in for APNs in speed, not in behaviour: no token is ever refused. Installed by scripts/install-test-servers.
"""

import asyncio
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx2
import trustme

from bench.process import Process
from skerry.domain.push import Endpoint

HOST = "127.0.0.1"
READY_WITHIN = 10.0

_CONFIGURATION = """\
daemon off;
worker_processes 1;
error_log stderr warn;
pid {directory}/nginx.pid;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    # Apple announces 1,000 streams and does not close a connection for having served many requests.
    http2_max_concurrent_streams 1000;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    server {{
        listen {host}:{port} ssl http2;
        ssl_certificate {directory}/server.pem;
        ssl_certificate_key {directory}/server.key;
        ssl_protocols TLSv1.3;
        location / {{ return 200; }}
    }}
    server {{
        listen {host}:{status_port};
        location / {{ stub_status; }}
    }}
}}
"""


class SinkError(Exception):
    """nginx is missing or does not start."""


@dataclass(slots=True)
class Sink:
    """A running sink."""

    endpoint: Endpoint
    worker: Process
    version: str
    _status_url: str
    _asked: int = 0

    async def pushes(self) -> int:
        """How many requests nginx has served, our own questions left out."""
        async with httpx2.AsyncClient(timeout=READY_WITHIN) as client:
            text = (await client.get(self._status_url)).text
        self._asked += 1
        requests = int(text.splitlines()[2].split()[2])  # "accepts handled requests", in the third line
        return requests - self._asked


@asynccontextmanager
async def running_sink() -> AsyncIterator[Sink]:
    """Run nginx until the block is left.

    Raises:
        SinkError: if it cannot be found or started.
    """
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        raise SinkError("there is no nginx: run scripts/install-test-servers")
    with tempfile.TemporaryDirectory(prefix="skerry-sink-") as name:
        directory = Path(name)
        port, status_port = free_ports(2)
        configuration = directory / "nginx.conf"
        configuration.write_text(
            _CONFIGURATION.format(directory=directory, host=HOST, port=port, status_port=status_port)
        )
        _write_certificates(directory)
        nginx = await asyncio.create_subprocess_exec(program, "-p", name, "-c", str(configuration))
        try:
            await _until_ready(nginx, status_port)
            worker = Process(_only_child(nginx.pid))
            endpoint = Endpoint(HOST, port, str(directory / "ca.pem"))
            status_url = f"http://{HOST}:{status_port}/"
            yield Sink(endpoint, worker, await _version(program), status_url)
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


def _write_certificates(directory: Path) -> None:
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    server = authority.issue_cert(HOST, key_type=trustme.KeyType.ECDSA)
    authority.cert_pem.write_to_path(directory / "ca.pem")
    server.private_key_pem.write_to_path(directory / "server.key")
    for blob in server.cert_chain_pems:
        blob.write_to_path(directory / "server.pem", append=True)


async def _until_ready(nginx: asyncio.subprocess.Process, port: int) -> None:
    async with asyncio.timeout(READY_WITHIN):
        while nginx.returncode is None:
            with suppress(OSError):
                _, writer = await asyncio.open_connection(HOST, port)
                writer.close()
                return
            await asyncio.sleep(0.02)
    raise SinkError(f"nginx ended with {nginx.returncode}; its own words are above")


def _only_child(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


async def _version(program: str) -> str:
    asked = await asyncio.create_subprocess_exec(program, "-v", stderr=asyncio.subprocess.PIPE)
    _, said = await asked.communicate()
    return said.decode().strip().rpartition("/")[2]
