"""Errors of the drop-in contract: `{"code": …, "error": "…"}` (netmera.md section 3)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """One row of the contract's table."""

    status: int
    code: int
    text: str


INTERNAL = ErrorKind(500, 2001, "Internal server error")
INVALID_JSON = ErrorKind(400, 2009, "Invalid JSON")
TOO_SLOW = ErrorKind(408, 2009, "Request body did not arrive in time")
BAD_KEY = ErrorKind(403, 2010, "API key is invalid")
BAD_ADDRESS = ErrorKind(403, 2021, "Your IP is not allowed")
NOT_AUTHORIZED = ErrorKind(403, 2022, "You are not authorized to do this action")
TOO_LARGE = ErrorKind(400, 2101, "Push message size exceed limit")
UNKNOWN_MESSAGE = ErrorKind(400, 5003, "Message with given messageId could not be found")
UNKNOWN_GROUP = ErrorKind(400, 5003, "Live activity group could not be found")
UNKNOWN_USER = ErrorKind(400, 5016, "The user with given identifier is not found")
OVERLOADED = ErrorKind(429, 5022, "Service usage quota is exceeded")
UNKNOWN_EVENT = ErrorKind(400, 5028, "Event is not found")
UNKNOWN_SEGMENT = ErrorKind(400, 5042, "Segment not found")


class Rest3Error(Exception):
    """A refused request. Nothing was changed."""

    def __init__(self, kind: ErrorKind, *, retry_after: float | None = None) -> None:
        super().__init__(kind.text)
        self.kind = kind
        self.retry_after = retry_after


def invalid(text: str) -> Rest3Error:
    """400/2004: a field has the wrong type or value; `text` names it."""
    return Rest3Error(ErrorKind(400, 2004, text))


def missing(field: str) -> Rest3Error:
    """400/2020: a required field is not there."""
    return Rest3Error(ErrorKind(400, 2020, f"{field} is required"))
