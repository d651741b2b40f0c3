"""The live stream's source: events read from the store at each reader's own pace.

Nothing is kept for a reader but its place: a slow one holds up nobody and costs no memory, and one that was away goes
on where it was, as far as events are kept.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Protocol

from skerry.domain.event import EventFilter, EventId, EventPage
from skerry.domain.ids import AppId
from skerry.domain.unit_of_work import UnitOfWork
from skerry.receipts.ports import Transaction
from skerry.receipts.service import activity_called


class Listener(Protocol):
    """Hears when events were committed."""

    async def wait(self, seconds: float) -> bool:
        """Wait at most that long; True if there are some, be it since before the wait began."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where a reader begins."""

    wanted: EventFilter
    cursor: EventId
    missed: bool
    """Events that it has not seen are gone: past their retention, or the database is not the one it knew."""


class Feed:
    """Reads events for streams."""

    def __init__(
        self,
        store: UnitOfWork[Transaction],
        listen: Callable[[], AbstractContextManager[Listener]],
        wake: Callable[[], None],
    ) -> None:
        """`listen` gives a listener for the time of a block; `wake` ends the waits of all of them."""
        self._store = store
        self._wake = wake
        self.listen = listen
        self.closed = False
        """Streams are to end."""

    async def begin(self, app_id: AppId, wanted: EventFilter, after: EventId | None) -> Beginning | None:
        """Where to begin: after an event, or now; None: the app has no activity of the name that is wanted.

        The activity is found here, once: what is read later goes by its number.
        """

        def work(tx: Transaction) -> Beginning | None:
            filtered = wanted
            if wanted.activity_name is not None:
                found = activity_called(tx, app_id, wanted.activity_name)
                if found is None:
                    return None
                filtered = replace(wanted, activity_id=found.activity_id, activity_name=None)
            span = tx.events.span()
            if after is None:
                return Beginning(filtered, span.newest, missed=False)
            oldest = EventId(max(span.oldest - 1, 0))
            missed = after > span.newest or 0 < after < oldest
            cursor = EventId(span.newest if after > span.newest else max(after, oldest))
            return Beginning(filtered, cursor, missed)

        return await self._store.read(work)

    async def page(self, app_id: AppId, wanted: EventFilter, after: EventId, limit: int) -> EventPage:
        """Up to `limit` events after a place."""
        return await self._store.read(lambda tx: tx.events.page(app_id, wanted, after, limit))

    def close(self) -> None:
        """Have every stream end: the service is about to."""
        self.closed = True
        self._wake()
