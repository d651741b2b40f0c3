"""The way from the event loop to the store's threads and back: functions out, results in, bounded."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from skerry.domain.errors import OverloadedError
from skerry.store.errors import StoreClosedError
from skerry.store.sqlite.transaction import SqliteTransaction

RETRY_AFTER = 1.0
"""Seconds that a caller is asked to wait when a queue is full: at thousands of works a second it is then empty."""

Work = Callable[[SqliteTransaction], Any]


class Job:
    """A function of a transaction, and the future of whoever asked for it.

    A thread sets `result` or `error`; only the event loop touches the future.
    """

    __slots__ = ("error", "future", "result", "work")

    def __init__(self, work: Work, future: asyncio.Future[Any]) -> None:
        self.work = work
        self.future = future
        self.result: Any = None
        self.error: BaseException | None = None

    def fail(self, error: BaseException) -> None:
        """The work raised, or its transaction was lost."""
        if isinstance(error, StopIteration):
            # A future refuses this one, and the refusal would leave the rest of the batch waiting.
            wrapped = RuntimeError("a unit of work raised StopIteration")
            wrapped.__cause__ = error
            error = wrapped
        self.error = error
        self.result = None


class WorkQueue:
    """Jobs from one event loop to any number of threads, first in, first out."""

    def __init__(self, what: str, limit: int, loop: asyncio.AbstractEventLoop) -> None:
        self._what = what
        self._limit = limit
        self._loop = loop
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._closed = False

    def __len__(self) -> int:
        return self._jobs.qsize()

    def submit(self, work: Work) -> asyncio.Future[Any]:
        """Queue a function; called on the event loop.

        Raises:
            OverloadedError: if the queue is full.
            StoreClosedError: after `close`.
        """
        if self._closed:
            raise StoreClosedError("the store has been closed")
        if self._jobs.qsize() >= self._limit:
            raise OverloadedError(self._what, RETRY_AFTER)
        future: asyncio.Future[Any] = self._loop.create_future()
        self._jobs.put(Job(work, future))
        return future

    def close(self, threads: int) -> None:
        """Take no more; each of this many threads gets one None behind what is queued."""
        self._closed = True
        for _ in range(threads):
            self._jobs.put(None)

    def take(self) -> Job | None:
        """Wait for the next job; None: the queue is closed and this thread may go."""
        return self._jobs.get()

    def take_waiting(self) -> Job | None:
        """The next job if one is waiting.

        Raises:
            Empty: if none is.
        """
        return self._jobs.get_nowait()

    def resolve(self, jobs: Iterable[Job], then: Callable[[], None] | None = None) -> None:
        """Tell the callers, in one turn of their loop, and call `then` there; called from a thread."""
        with suppress(RuntimeError):  # the loop was closed under us: nobody is waiting any more
            self._loop.call_soon_threadsafe(_resolve, tuple(jobs), then)


def _resolve(jobs: tuple[Job, ...], then: Callable[[], None] | None) -> None:
    for job in jobs:
        if job.future.done():  # the caller was cancelled; its work stands
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)
    if then is not None:
        then()


__all__ = ["Empty", "Job", "Work", "WorkQueue"]
