"""Reading a JSON object field by field, so that every error names its field and objects stay the bytes they were."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from skerry.api.rest3.errors import INVALID_JSON, Rest3Error, invalid, missing
from skerry.domain.device import normal_token
from skerry.domain.ids import Millis

NUL = "\0"
"""PostgreSQL cannot hold U+0000 in a text, so no text that is kept or looked up may have it."""
MOST_TEXT = 512
"""Characters of a name that is looked up through an index (PostgreSQL's take about 2,700 bytes)."""
_MAX_DEPTH = 64
_SECONDS_END = 100_000_000_000
"""Below this a number is in seconds (the year 5138), from there on in milliseconds."""
_LATEST = 253_402_300_799_000
"""The end of the year 9999, in milliseconds: what a date string can say at most."""


def parse(body: bytes) -> Any:
    """The JSON value.

    Raises:
        Rest3Error: 400/2009 for anything that is not JSON, nests deeper than 64 levels or is not valid Unicode.
    """
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Rest3Error(INVALID_JSON) from error
    if body.count(b"{") + body.count(b"[") >= _MAX_DEPTH:  # else it cannot be that deep
        _check_depth(value, _MAX_DEPTH)
    return value


def raw_members(body: bytes) -> dict[str, bytes]:
    """The members of a JSON object that has been parsed, as the bytes they were sent as."""
    members = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    return {name: bytes(value) for name, value in members.items()}


def _check_depth(value: Any, left: int) -> None:
    if left == 0:
        raise Rest3Error(INVALID_JSON)
    if isinstance(value, dict):
        for inner in value.values():
            _check_depth(inner, left - 1)
    elif isinstance(value, list):
        for inner in value:
            _check_depth(inner, left - 1)


class Fields:
    """An object of a request. `path` is put before the names in errors, as in `message.title`."""

    def __init__(self, raw: bytes, path: str = "") -> None:
        self._raw = raw_members(raw)
        self._path = path

    def __contains__(self, name: str) -> bool:
        return self._raw.get(name, b"null") != b"null"

    def name(self, name: str) -> str:
        """The field's full name."""
        return f"{self._path}.{name}" if self._path else name

    def require(self, *names: str) -> None:
        """Each of these must be there.

        Raises:
            Rest3Error: 400/2020 for the first one that is not.
        """
        for name in names:
            if name not in self:
                raise missing(self.name(name))

    def value(self, name: str) -> Any:
        """The field's JSON value; None where it is missing or null."""
        return msgspec.json.decode(self._raw[name]) if name in self else None

    def raw(self, name: str) -> bytes | None:
        """The field's bytes."""
        return self._raw[name] if name in self else None

    def text(self, name: str, *, most: int = 4096) -> str | None:
        """A text field."""
        value = self.value(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise invalid(f"Field '{self.name(name)}' should be a text")
        return storable(value, self.name(name), most=most)

    def required_text(self, name: str, *, most: int = 4096) -> str:
        """A text field that must be there and not be empty."""
        value = self.text(name, most=most)
        if not value:
            raise missing(self.name(name))
        return value

    def boolean(self, name: str) -> bool | None:
        """A boolean field."""
        value = self.value(name)
        if value is not None and not isinstance(value, bool):
            raise invalid(f"Field '{self.name(name)}' should be a boolean")
        return value

    def integer(self, name: str, low: int, high: int) -> int | None:
        """A whole number within bounds."""
        value = self.value(name)
        if value is None:
            return None
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # JSON has one kind of number: 10.0 is 10
        if isinstance(value, bool) or not isinstance(value, int):
            raise invalid(f"Field '{self.name(name)}' should be a whole number")
        if not low <= value <= high:
            raise invalid(f"Field '{self.name(name)}' should be between {low} and {high}")
        return value

    def object(self, name: str) -> "Fields | None":
        """An object field."""
        raw = self.object_bytes(name)
        return None if raw is None else Fields(raw, self.name(name))

    def object_bytes(self, name: str) -> bytes | None:
        """An object field as the bytes that were sent."""
        raw = self.raw(name)
        if raw is not None and not raw.startswith(b"{"):
            raise invalid(f"Field '{self.name(name)}' should be an object")
        return raw

    def texts(self, name: str) -> list[str] | None:
        """A text or a list of texts."""
        value = self.value(name)
        if value is None:
            return None
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
            raise invalid(f"Field '{self.name(name)}' should be a text or a list of texts")
        return [storable(one, self.name(name)) for one in values]

    def token(self, name: str) -> str | None:
        """A token as APNs gives it to apps, in lower-case hexadecimal."""
        text = self.text(name, most=1024)
        if text is None:
            return None
        token = normal_token(text)
        if token is None:
            raise invalid(f"Field '{self.name(name)}' should be a token of 16 to 512 hexadecimal digits")
        return token

    def date(self, name: str) -> Millis | None:
        """A moment: ISO 8601 (UTC where it says no offset), or epoch seconds or milliseconds."""
        value = self.value(name)
        if value is None:
            return None
        moment = read_date(value)
        if moment is None:
            raise invalid(f"Field '{self.name(name)}' should be a date such as 2026-01-28T15:35:37Z")
        return moment


def storable(text: str, where: str, *, most: int = MOST_TEXT) -> str:
    """A text that any store can hold and find again.

    Raises:
        Rest3Error: 400/2004 where it is too long or has U+0000 in it.
    """
    if len(text) > most:
        raise invalid(f"Field '{where}' should have at most {most} characters")
    if NUL in text:
        raise invalid(f"Field '{where}' should be a text without U+0000")
    return text


def is_scalar(value: object) -> bool:
    """Whether a JSON value is a text, a number of at most 64 bits or a boolean, as every store can hold it."""
    if isinstance(value, str):
        return NUL not in value
    return isinstance(value, float) or (isinstance(value, int) and -(2**63) <= value < 2**63)


def read_date(value: object) -> Millis | None:
    """The moment that a JSON value means, or None if it is not one."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        if not 0 <= value <= _LATEST:
            return None
        return Millis(int(value * 1000 if value < _SECONDS_END else value))
    if isinstance(value, str):
        try:
            parsed = datetime.fromisoformat(value.strip())
            moment = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
            millis = int(moment.timestamp() * 1000)
        except (ValueError, OverflowError):
            return None
        return Millis(millis) if 0 <= millis <= _LATEST else None
    return None


def scalar_texts(values: Mapping[str, Any], where: str) -> dict[str, str]:
    """Placeholder parameters: texts, numbers and booleans as text."""
    found = {}
    for name, value in values.items():
        if not is_scalar(value):
            raise invalid(f"Field '{where}.{name}' should be a text or a number of at most 64 bits")
        found[name] = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return found
