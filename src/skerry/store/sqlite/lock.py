"""The lock file beside a database: two services never share one."""

import fcntl
import os
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Self

from skerry.store.errors import StoreInUseError

PATIENCE = 1.0
"""Seconds to wait for a service that is just going, or a tool that is just migrating."""

_POLL = 0.05


class DatabaseLock:
    """An exclusive `flock` on `<database>.lock`; the kernel lets go of it when the process dies, however it dies."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + ".lock")
        self._database = database
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock; blocks the calling thread for at most `PATIENCE`.

        Raises:
            StoreInUseError: if another process (or another store of this one) holds it.
        """
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        gives_up_at = monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if monotonic() >= gives_up_at:
                    holder = os.pread(file, 32, 0).decode("ascii", "replace").strip() or "unknown"
                    os.close(file)
                    raise StoreInUseError(
                        f"{self._database} is in use by another service (process {holder}); "
                        "stop it, or give this one a data directory of its own"
                    ) from None
                sleep(_POLL)
            else:
                break
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode("ascii"), 0)
        self._file = file

    def release(self) -> None:
        """Let go. The file stays: removing it would let two processes hold locks on two files of one name."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
