"""The clients that do the same work side by side, and what each needs. README.md beside this file says how each is run.

`python -m bench.peers` builds what has to be built, into bench/.cache. A client whose tools are not here, or which does
not build, is reported as absent with the reason; the others are measured all the same.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.client import ClientError, H2load, HarnessedClient, RunningClient
from skerry import __version__

HERE = Path(__file__).parent
CACHE = HERE.parent / ".cache"
_PYTHON = CACHE / "python"
_BUILT_WITHIN = 1800.0


@dataclass(frozen=True, slots=True)
class Peer:
    """One client: how it is built, started and told from others."""

    name: str
    what: str
    """Language and library, for people."""
    command: Sequence[str]
    version: str
    """As its lock file says."""
    needs: Sequence[str] = ()
    """Programs that must be on the PATH."""
    builds: Sequence[Sequence[str]] = ()
    """Commands that build it, in its own folder."""
    build_environment: Mapping[str, str] = field(default_factory=dict)
    artefact: Path | None = None
    """Exists once it is built."""
    pace: int = 100_000
    """Pushes of one round on the wire: what takes it about a second or two, so that a run of all takes minutes."""
    warm_up: int = 1
    """Rounds before the first that counts: more for what compiles while it runs."""
    far_connections: int | None = None
    """Over the long network, where fewer are better than the most that there may be."""
    only_apple: bool = False
    """It knows no host but Apple's: Apple's name has to lead to the server, on port 443."""
    is_h2load: bool = False

    def why_absent(self) -> str | None:
        """None where it can run."""
        for program in self.needs:
            if shutil.which(program) is None:
                return f"there is no {program} on the PATH"
        if self.artefact is not None and not self.artefact.exists():
            said = self._failure.read_text() if self._failure.exists() else "run: make bench-peers"
            return f"it is not built: {said.strip()}"
        return None

    def build(self) -> str | None:
        """Build it where it has to be built; what went wrong, in one line."""
        if not self.builds:
            return None
        for program in self.needs:
            if shutil.which(program) is None:
                return f"there is no {program} on the PATH"
        self._failure.parent.mkdir(parents=True, exist_ok=True)
        self._failure.unlink(missing_ok=True)
        for command in self.builds:
            done = subprocess.run(
                list(command),
                cwd=HERE / self.name,
                env={**os.environ, **self.build_environment},
                capture_output=True,
                text=True,
                timeout=_BUILT_WITHIN,
                check=False,
            )
            if done.returncode:
                lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
                said = f"`{' '.join(command)}` said: {' / '.join(lines[-3:])}"
                self._failure.write_text(said[:600])
                return said
        return None

    @asynccontextmanager
    async def running(self, work: Path, *, cores: frozenset[int]) -> AsyncIterator[RunningClient]:
        """Run it on some work until the block is left.

        Raises:
            ClientError: if it does not start.
        """
        told = json.loads(work.read_text())
        environment = {"SSL_CERT_FILE": told["ca_file"]}
        command = list(self.command)
        client: RunningClient
        log = work.parent / f"{self.name}.log"
        if self.is_h2load:
            client = await H2load.start(command, work, cores=cores, environment=environment, log=log)
        else:
            if self.only_apple:
                command = renamed(command, told["apple_address"], work.parent)
            client = await HarnessedClient.start(command, work, cores=cores, environment=environment, log=log)
        try:
            yield client
        finally:
            await client.stop()

    @property
    def _failure(self) -> Path:
        return CACHE / self.name / "failed.txt"


def renamed(command: Sequence[str], address: str, directory: Path) -> list[str]:
    """A command for which Apple's name stands for an address of this machine, in a mount namespace of its own.

    Raises:
        ClientError: where that is not allowed, or the address cannot be had.
    """
    if not address:
        raise ClientError("it knows no host but api.push.apple.com, and port 443 is not ours to listen on: be root")
    hosts = directory / "hosts"
    hosts.write_text(f"127.0.0.1 localhost\n{address} api.push.apple.com\n")
    return ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', str(hosts), *command]


def _python(name: str) -> list[str]:
    return [str(_PYTHON / "bin/python"), str(HERE / name / "push.py")]


_PYTHON_BUILDS = (
    (sys.executable, "-m", "venv", str(_PYTHON)),
    (str(_PYTHON / "bin/pip"), "install", "--quiet", "--require-hashes", "-r", str(HERE / "requirements.txt")),
)

SKERRY = Peer(
    "skerry",
    "Python, Skerry's own client",
    [sys.executable, str(HERE / "skerry/push.py")],
    __version__,
)
H2LOAD = Peer("h2load", "C, nghttp2's load generator", ["h2load"], "", ["h2load"], is_h2load=True)
APNS2 = Peer(
    "apns2",
    "Go, sideshow/apns2",
    [str(CACHE / "apns2/push")],
    "0.25.0",
    needs=["go"],
    builds=[["go", "build", "-o", str(CACHE / "apns2/push"), "."]],
    artefact=CACHE / "apns2/push",
    pace=40_000,
)
PUSHY = Peer(
    "pushy",
    "Java, jchambers/pushy",
    ["java", "-cp", f"{CACHE}/pushy/target/classes:{CACHE}/pushy/target/dependency/*", "bench.Push"],
    "0.15.4",
    needs=["java", "mvn"],
    builds=[
        ["sh", "-c", f"mkdir -p {CACHE}/pushy && cp -r pom.xml src {CACHE}/pushy/"],
        ["mvn", "-q", "-B", "-f", f"{CACHE}/pushy/pom.xml", "compile", "dependency:copy-dependencies"],
    ],
    artefact=CACHE / "pushy/target/dependency",
    warm_up=4,
)
A2 = Peer(
    "a2",
    "Rust, a2",
    [str(CACHE / "a2/release/push")],
    "0.10.0",
    needs=["cargo", "unshare"],
    builds=[["cargo", "build", "--release", "--locked", "--quiet"]],
    build_environment={"CARGO_TARGET_DIR": str(CACHE / "a2")},
    artefact=CACHE / "a2/release/push",
    only_apple=True,
)
NODE_APN = Peer(
    "node-apn",
    "JavaScript, @parse/node-apn",
    ["node", str(CACHE / "node-apn/push.mjs")],
    "8.1.0",
    needs=["node", "npm"],
    builds=[
        ["sh", "-c", f"mkdir -p {CACHE}/node-apn && cp package.json package-lock.json push.mjs {CACHE}/node-apn/"],
        ["npm", "ci", "--silent", "--prefix", str(CACHE / "node-apn")],
    ],
    artefact=CACHE / "node-apn/node_modules",
    pace=20_000,
    warm_up=3,
)
AIOAPNS = Peer(
    "aioapns",
    "Python, aioapns",
    _python("aioapns"),
    "4.0",
    far_connections=1,
    builds=_PYTHON_BUILDS,
    artefact=_PYTHON / "bin/python",
    pace=5_000,
)
HTTPX2 = Peer(
    "httpx2",
    "Python, httpx2",
    _python("httpx2"),
    "2.16.2",
    builds=_PYTHON_BUILDS,
    artefact=_PYTHON / "bin/python",
    pace=1_000,
)
PYCURL = Peer(
    "pycurl",
    "Python and C, pycurl (libcurl, nghttp2)",
    _python("pycurl"),
    "7.49.0",
    far_connections=1,
    builds=_PYTHON_BUILDS,
    artefact=_PYTHON / "bin/python",
    pace=40_000,
)

PEERS = {peer.name: peer for peer in (SKERRY, H2LOAD, APNS2, PUSHY, A2, NODE_APN, AIOAPNS, HTTPX2, PYCURL)}


async def present(names: Sequence[str] | None) -> tuple[list[Peer], dict[str, str]]:
    """The clients that can run, of those that are asked for, and why others cannot."""
    wanted = [PEERS[name] for name in names or PEERS]
    absent = {peer.name: why for peer in wanted if (why := await asyncio.to_thread(peer.why_absent)) is not None}
    return [peer for peer in wanted if peer.name not in absent], absent
