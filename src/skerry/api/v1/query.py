"""Query and path parameters of our own API: each is known, and what is wrong is named."""

from collections.abc import Collection

from starlette.requests import Request

from skerry.api.rest3.fields import NUL
from skerry.api.v1.reading import refused

LARGEST = 10**15 - 1
"""Of any number that comes in a query or a path."""
_DIGITS = 16
"""One more than the largest has; `int` need not read the rest."""


class Query:
    """The query of a request that knows these parameters.

    Raises:
        ProblemError: 422, if the request has another one, or one of them twice.
    """

    def __init__(self, request: Request, known: Collection[str]) -> None:
        self._given: dict[str, str] = {}
        for name, value in request.query_params.multi_items():
            if name not in known:
                fix = f"use {', '.join(sorted(known))}" if known else "leave it out"
                raise refused(name[:64], "is not a parameter of this operation", fix)
            if name in self._given:
                raise refused(name, "is there twice", "send it once")
            self._given[name] = value

    def text(self, name: str, *, most: int) -> str | None:
        """A text."""
        value = self._given.get(name)
        if value is not None and (not value or len(value) > most or NUL in value):
            raise refused(name, f"is not a text of 1 to {most} characters", "send one without U+0000, or leave it out")
        return value

    def number(self, name: str, default: int, *, low: int = 0, high: int = LARGEST) -> int:
        """A whole number."""
        value = self._given.get(name)
        return default if value is None else whole_number(value, name, low=low, high=high)


def whole_number(value: str, name: str, *, low: int = 0, high: int = LARGEST) -> int:
    """The number that a text is.

    Raises:
        ProblemError: 422, if it is none in these bounds.
    """
    if not (value.isascii() and value.isdigit()) or not low <= int(value[:_DIGITS]) <= high:
        raise refused(name, f"is not a whole number between {low} and {high}", "send digits")
    return int(value[:_DIGITS])
