"""What the figures were measured on."""

import os
import platform
import shutil
import sqlite3
import ssl
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from bench.peers import PEERS

LIBRARIES = ("skerry", "uvicorn", "starlette", "uvloop", "httptools", "msgspec", "hpack", "h2")
_TOOLS = {
    "nginx": ["nginx", "-v"],
    "h2load": ["h2load", "--version"],
    "go": ["go", "version"],
    "cargo": ["cargo", "--version"],
    "java": ["java", "-version"],
    "node": ["node", "--version"],
    "gorush": ["gorush", "-version"],
}
_SYNCS = 50


def describe() -> dict[str, str]:
    """The machine and what runs on it, by name."""
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "disk": f"a write of 4 KiB and its fsync take {_sync_ms():.2f} ms (median of {_SYNCS})",
        "load before": f"{os.getloadavg()[0]:.2f} (1-minute average)",
        "Python": platform.python_version(),
        "OpenSSL": ssl.OPENSSL_VERSION.split()[1],
        "SQLite": sqlite3.sqlite_version,
        **{name: version(name) for name in LIBRARIES},
        **{name: said for name, command in _TOOLS.items() if (said := _said(command)) is not None},
        **{peer.name: peer.version for peer in PEERS.values() if peer.version and peer.why_absent() is None},
    }


def _said(command: Sequence[str]) -> str | None:
    """The first line of what a tool says of itself; None where it is not here."""
    program = shutil.which(command[0], path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        return None
    done = subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False, timeout=30)
    return next(iter((done.stdout + done.stderr).strip().splitlines()), "")


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _sync_ms() -> float:
    """What a commit has to wait for, at the least."""
    took = []
    with tempfile.TemporaryFile() as file:
        for _ in range(_SYNCS):
            began = time.perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)
