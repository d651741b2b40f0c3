"""What the figures were measured on."""

import os
import platform
import sqlite3
import ssl
import statistics
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

LIBRARIES = ("skerry", "uvicorn", "starlette", "uvloop", "httptools", "msgspec", "hpack")
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
    }


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
