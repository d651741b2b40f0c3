"""The store of one process: SQLite in WAL mode, one writer thread with group commit, a few readers."""

from skerry.store.sqlite.database import SqliteStore
from skerry.store.sqlite.transaction import SqliteTransaction
from skerry.store.sqlite.writer import WriterStats

__all__ = ["SqliteStore", "SqliteTransaction", "WriterStats"]
