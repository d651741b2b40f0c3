"""How services reach the store: a function of a transaction, carried out and committed with others.

A port, not an implementation: `work` runs synchronously inside the store's transaction, decides and writes, and must
do nothing else, because it may share its commit with the work of other callers (group commit) and holds the only
writer meanwhile. If it raises, what it wrote is rolled back, what others wrote is not.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")
TxT_co = TypeVar("TxT_co", covariant=True)


class UnitOfWork(Protocol[TxT_co]):
    """A store that carries out functions of its transactions."""

    async def write(self, work: Callable[[TxT_co], T]) -> T:
        """Carry out `work` in a transaction and return its result once it is on disk.

        Raises:
            OverloadedError: if the queue of the writer is full.
        """

    async def read(self, work: Callable[[TxT_co], T]) -> T:
        """Carry out `work` on a snapshot of what is committed. `work` must not write."""

    async def survey(self, work: Callable[[TxT_co], T]) -> T:
        """As `read`, for what reads millions of rows: it must not keep short reads waiting.

        Raises:
            OverloadedError: if too many wait already.
            SurveyTooLongError: if it took longer than a store allows.
        """
