"""Other people's HTTP/2 servers, started and stopped by the tests, with certificates of their own."""

import asyncio
import contextlib
import os
import random
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Certificates:
    """Paths of a server's chain and key, and of the root that signed it."""

    chain: Path
    key: Path
    root: Path


@dataclass(frozen=True)
class Peer:
    """A running server."""

    port: int
    root: Path
    directory: Path


def certificates(directory: Path) -> Certificates:
    """A root and a server certificate for 127.0.0.1."""
    authority = trustme.CA()
    server = authority.issue_cert(HOST, "localhost")
    found = Certificates(directory / "server.pem", directory / "server.key", directory / "root.pem")
    authority.cert_pem.write_to_path(found.root)
    key = load_pem_private_key(server.private_key_pem.bytes(), password=None)
    # PKCS#8: Java reads nothing else.
    found.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    for place, blob in enumerate(server.cert_chain_pems):
        blob.write_to_path(found.chain, append=place > 0)
    return found


def program(name: str) -> str:
    """Where a server is installed."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    assert found, f"{name} is not installed: run scripts/install-test-servers"
    return found


def free_port() -> int:
    """A port that nobody listens on, from below those that Linux gives to outgoing connections: none may take it."""
    while True:
        port = random.randrange(10_240, 32_768)
        with contextlib.suppress(OSError), socket.create_server((HOST, port)):
            return port


@contextlib.asynccontextmanager
async def running(command: Sequence[str], port: int, directory: Path) -> AsyncIterator[Peer]:
    """Run a server until the block is left; it listens when the block is entered."""
    with (directory / "server.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, cwd=directory, stdout=log, stderr=log)
        try:
            await _until_listening(process, port, directory)
            yield Peer(port, directory / "root.pem", directory)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 5)
            except TimeoutError:
                process.kill()
                await process.wait()


async def _until_listening(process: asyncio.subprocess.Process, port: int, directory: Path) -> None:
    async with asyncio.timeout(20):
        while True:
            assert process.returncode is None, (directory / "server.log").read_text()
            try:
                _, writer = await asyncio.open_connection(HOST, port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            return


NGINX = """
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 512; }}
http {{
    log_format push '$request_method $request_uri $status $http_apns_topic $http_apns_push_type $http_apns_priority';
    access_log {directory}/access.log push;
    client_body_temp_path {directory}; proxy_temp_path {directory}; fastcgi_temp_path {directory};
    uwsgi_temp_path {directory}; scgi_temp_path {directory};
    keepalive_requests {keepalive_requests};
    http2_max_concurrent_streams {streams};
    server {{
        listen {host}:{port} ssl http2;
        ssl_certificate {chain};
        ssl_certificate_key {key};
        location /3/device/ {{ return 200; }}
    }}
}}
"""


@contextlib.asynccontextmanager
async def nginx(directory: Path, *, keepalive_requests: int = 1_000_000, streams: int = 1000) -> AsyncIterator[Peer]:
    """nginx that answers each push with 200 and logs it, and says GOAWAY after `keepalive_requests`."""
    found, port = certificates(directory), free_port()
    configuration = directory / "nginx.conf"
    configuration.write_text(
        NGINX.format(
            directory=directory,
            host=HOST,
            port=port,
            chain=found.chain,
            key=found.key,
            keepalive_requests=keepalive_requests,
            streams=streams,
        )
    )
    async with running([program("nginx"), "-p", str(directory), "-c", str(configuration)], port, directory) as peer:
        yield peer


@contextlib.asynccontextmanager
async def node(directory: Path, script: Path, *options: str) -> AsyncIterator[Peer]:
    """A script on Node's own `http2`."""
    found, port = certificates(directory), free_port()
    command = [program("node"), str(script), str(port), str(found.chain), str(found.key), *options]
    async with running(command, port, directory) as peer:
        yield peer


@contextlib.asynccontextmanager
async def nghttpd(directory: Path, devices: Sequence[str], *options: str) -> AsyncIterator[Peer]:
    """nghttp2's server: it has a file for each of the devices, and answers 404 for any other."""
    found, port = certificates(directory), free_port()
    files = directory / "files" / "3" / "device"
    files.mkdir(parents=True)
    for device in devices:
        (files / device).touch()
    command = [program("nghttpd"), "--address", HOST, "--htdocs", str(directory / "files"), *options]
    async with running([*command, str(port), str(found.key), str(found.chain)], port, directory) as peer:
        yield peer


BUILT = Path(__file__).parents[2] / ".peers"
COMPILED = {
    "go": [str(BUILT / "go-peer")],
    "hyper": [str(BUILT / "rust-peer")],
    "netty": ["java", "-cp", f"{BUILT}/java/target/classes:{BUILT}/java/target/dependency/*", "peer.Peer"],
}


@contextlib.asynccontextmanager
async def compiled(name: str, directory: Path, *, requests: int = 0) -> AsyncIterator[Peer]:
    """One of our small servers around Go's net/http2, hyper or Netty; see `servers/`.

    It allows 100 streams, answers 410 to tokens that begin with `dead`, writes what it has read to its log, and says
    GOAWAY on a connection after so many requests.
    """
    assert BUILT.is_dir(), "the servers are not built: run scripts/build-peer-servers"
    found, port = certificates(directory), free_port()
    command = [program(COMPILED[name][0]), *COMPILED[name][1:]]
    async with running([*command, str(port), str(found.chain), str(found.key), str(requests)], port, directory) as peer:
        yield peer


@contextlib.asynccontextmanager
async def granian(directory: Path, application: Path) -> AsyncIterator[Peer]:
    """An ASGI application, `app` in a module, on granian."""
    found, port = certificates(directory), free_port()
    options = ["--interface", "asgi", "--host", HOST, "--port", str(port), "--http", "2", "--workers", "1"]
    tls = ["--ssl-certificate", str(found.chain), "--ssl-keyfile", str(found.key)]
    target = ["--working-dir", str(application.parent), f"{application.stem}:app"]
    async with running([sys.executable, "-m", "granian", *options, *tls, *target], port, directory) as peer:
        yield peer
