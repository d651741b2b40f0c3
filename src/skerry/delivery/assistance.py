"""Sending beside the service: an assistant is known while it shows signs of life, and only then may it write.

A process may be stopped or starved for so long that others take over what it had leased. Should it wake up after that,
it would go on where it was: settle what is no longer its own, or send the next starts of a chunk that somebody else
has. So each of its writes begins with the question whether it is still known.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from skerry.delivery.ports import Transaction
from skerry.domain.ids import Millis
from skerry.domain.unit_of_work import UnitOfWork

T = TypeVar("T")

BEAT_EVERY = 2.0
"""Seconds between two signs of life."""
SILENT_AFTER = 15_000
"""Milliseconds without one after which others take over."""


class GivenUpError(Exception):
    """Nothing was heard of this sender for so long that others have taken over: it writes nothing any more."""


class Assistance:
    """The store as a sender beside the service has it; a `UnitOfWork`."""

    def __init__(self, store: UnitOfWork[Transaction], owner: str, *, clock: Callable[[], Millis]) -> None:
        self._store = store
        self._owner = owner
        self._clock = clock

    async def begin(self) -> None:
        """Be known from now on."""
        await self._store.write(lambda tx: tx.senders.join(self._owner, self._clock()))

    async def end(self) -> None:
        """Be known no more: what is still leased goes to others."""
        await self._store.write(lambda tx: tx.senders.leave(self._owner))

    async def stay_known(self, nap: Callable[[str, float], Awaitable[object]]) -> None:
        """Show signs of life until cancelled.

        Raises:
            GivenUpError: if it was silent for too long.
        """
        while await self._store.write(lambda tx: tx.senders.beat(self._owner, self._clock())):
            await nap("beat", BEAT_EVERY)
        raise GivenUpError

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """Carry out `work` in a transaction.

        Raises:
            GivenUpError: if others have taken over; `work` was not carried out.
        """

        def known(tx: Transaction) -> T:
            if not tx.senders.is_known(self._owner):
                raise GivenUpError
            return work(tx)

        return await self._store.write(known)

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """Carry out `work` on what is committed."""
        return await self._store.read(work)

    async def survey(self, work: Callable[[Transaction], T]) -> T:
        """The same, for what reads millions of rows."""
        return await self._store.survey(work)
