"""A connection as the store wants it: durable, strict about foreign keys, statements kept."""

import sqlite3
from pathlib import Path

from skerry.store.errors import StoreUnusableError

BUSY_TIMEOUT_MS = 10_000
"""How long to wait for another process (a command-line tool beside the service) before giving up."""

CACHED_STATEMENTS = 512
"""More than the store has, so that no hot statement is ever prepared twice."""

CACHE_KIB = 64 * 1024

CHECKPOINT_PAGES = 4096
"""Pages of WAL (16 MiB) between checkpoints: each one costs the writer an extra sync of the database file."""

WAL_LIMIT_BYTES = 256 * 1024 * 1024
"""A WAL that a long reader let grow is cut back to this after its checkpoint."""

# `sqlite3` asks None and bytes at each binding whether they would rather be something else, which takes several
# times as long as binding them. Told once for the whole process that they would not, it takes them as they are.
for _type in (type(None), bytes):
    sqlite3.register_adapter(_type, lambda value: value)


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open a connection for the calling thread; transactions are begun and ended by hand.

    `synchronous=FULL` syncs the WAL at every commit: with `NORMAL` a power cut would lose what was answered.

    Raises:
        StoreUnusableError: if the file is not a database, or WAL mode is not to be had there (network file systems).
    """
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None, cached_statements=CACHED_STATEMENTS
    )
    try:
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        for pragma in (
            "synchronous = FULL",
            "foreign_keys = ON",
            "temp_store = MEMORY",
            "secure_delete = ON",  # what is erased is gone from the file, not merely free
            f"cache_size = -{CACHE_KIB}",
            f"wal_autocheckpoint = {CHECKPOINT_PAGES}",
            f"journal_size_limit = {WAL_LIMIT_BYTES}",
            f"query_only = {'ON' if read_only else 'OFF'}",
        ):
            connection.execute(f"PRAGMA {pragma}")
    except sqlite3.DatabaseError as error:
        connection.close()
        raise StoreUnusableError(f"{path} cannot be opened as a database: {error}") from error
    if mode != "wal":
        connection.close()
        raise StoreUnusableError(f"{path}: SQLite offers journal mode {mode!r}, not WAL; use a local disk")
    return connection
