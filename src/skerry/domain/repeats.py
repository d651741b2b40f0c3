"""A repeat of a request gets the answer of the first, and changes nothing: what comes between them stands.

The answer is remembered in the transaction of the effect, so one is there if and only if the other is. Pure but for
the records that it is given.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

from skerry.domain.commands import Idempotency
from skerry.domain.ids import AppId, Millis

T = TypeVar("T")


class Answers(Protocol):
    """Answers by the keys that callers gave their requests."""

    def recall(self, app_id: AppId, idempotency: Idempotency) -> str | None:
        """The answer that was remembered for this key, or None.

        Raises:
            IdempotencyConflictError: if the key was used with another digest.
        """

    def remember(self, app_id: AppId, idempotency: Idempotency, answer: str, now: Millis) -> None:
        """Remember the answer for a repeat of the request."""


def once(
    answers: Answers,
    app_id: AppId,
    idempotency: Idempotency | None,
    now: Millis,
    work: Callable[[], T],
    *,
    write: Callable[[T], str | None],
    read: Callable[[str], T],
) -> T:
    """Do it, or give the answer of when it was done.

    Args:
        answers: where answers are remembered.
        app_id: whose request it is.
        idempotency: the caller's key; None: each request is the first.
        now: the time.
        work: what is asked for.
        write: its answer as text; None: nothing was done, so there is nothing to remember.
        read: the answer that `write` wrote.

    Raises:
        IdempotencyConflictError: if the key was used for another request.
    """
    if idempotency is None:
        return work()
    known = answers.recall(app_id, idempotency)
    if known is not None:
        return read(known)
    answer = work()
    text = write(answer)
    if text is not None:
        answers.remember(app_id, idempotency, text, now)
    return answer
