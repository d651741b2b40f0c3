"""Query parameters of the reading operations."""

from urllib.parse import urlencode

from starlette.requests import Request

from skerry.api.rest3.errors import invalid, missing
from skerry.api.rest3.fields import read_date, storable
from skerry.domain.ids import Millis, NotificationKey

MOST_PER_PAGE = 1000
_LARGEST = 2**62
_DIGITS = 20
"""More digits than any number in bounds has; `int` need not read the rest."""


def required(request: Request, name: str) -> str:
    """A text that must be there."""
    value = optional(request, name)
    if not value:
        raise missing(name)
    return value


def optional(request: Request, name: str) -> str | None:
    """A text."""
    value = request.query_params.get(name)
    return None if value is None else storable(value, name, most=1024)


def _number(request: Request, name: str, default: int, low: int, high: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit()) or not low <= int(text[:_DIGITS]) <= high:
        raise invalid(f"Field '{name}' should be a number between {low} and {high}")
    return int(text[:_DIGITS])


def page(request: Request, *, most: int = MOST_PER_PAGE, default: int = 10) -> tuple[int, int]:
    """`max` and `offset`."""
    return _number(request, "max", default, 1, most), _number(request, "offset", 0, 0, _LARGEST)


def notification_key(request: Request) -> NotificationKey:
    """`notificationKey`."""
    return NotificationKey(_number(request, "notificationKey", 0, 0, _LARGEST))


def segment_id(request: Request) -> int:
    """`id`, which must be there."""
    required(request, "id")
    return _number(request, "id", 0, 0, _LARGEST)


def moment(request: Request, name: str) -> Millis | None:
    """A date, usually in epoch milliseconds."""
    text = request.query_params.get(name)
    if text is None:
        return None
    found = read_date(int(text[:_DIGITS])) if text.isascii() and text.isdigit() else read_date(text)
    if found is None:
        raise invalid(f"Field '{name}' should be a date in epoch milliseconds")
    return found


def following(request: Request, scheme: str, maximum: int, offset: int) -> str:
    """The address of the next page, for callers that reach us by `scheme`."""
    query = {**request.query_params, "max": str(maximum), "offset": str(offset + maximum)}
    return str(request.url.replace(scheme=scheme, query=urlencode(query)))
