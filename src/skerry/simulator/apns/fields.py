"""Reading a chaos plan from JSON, field by field, with an error that names the field."""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

_MAX_SHOWN = 80

_Fault = TypeVar("_Fault")


class ChaosError(ValueError):
    """A plan that cannot be: the message names the field and what it may be."""


class Fields:
    """A JSON object of the plan, read field by field; what is left over at the end is an error.

    Args:
        value: what was sent.
        where: the path of this object in the plan, "" for the plan itself.
    """

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, Mapping):
            raise ChaosError(f"{where or 'the plan'} must be an object, not {shown(value)}")
        self._left = dict(value)
        self._where = where

    def name(self, key: str) -> str:
        """A field's full path, for messages."""
        return f"{self._where}.{key}" if self._where else key

    def take(self, key: str) -> Any:
        """A field's value as it was sent; None where it is absent or null."""
        return self._left.pop(key, None)

    def number(self, key: str, default: float | None, low: float, high: float | None = None) -> float | None:
        """A number within bounds."""
        value = self.take(key)
        if value is None:
            return default
        good = isinstance(value, int | float) and not isinstance(value, bool)
        if not good or not low <= value <= (float("inf") if high is None else high):
            raise ChaosError(f"{self.name(key)} must be a number {_bounds(low, high)}, not {shown(value)}")
        return float(value)

    def whole(self, key: str, default: int | None, low: int, high: int | None = None) -> int | None:
        """A whole number within bounds."""
        value = self.take(key)
        if value is None:
            return default
        good = isinstance(value, int) and not isinstance(value, bool)
        if not good or value < low or (high is not None and value > high):
            raise ChaosError(f"{self.name(key)} must be a whole number {_bounds(low, high)}, not {shown(value)}")
        return int(value)

    def flag(self, key: str, *, default: bool) -> bool:
        """True or false."""
        value = self.take(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise ChaosError(f"{self.name(key)} must be true or false, not {shown(value)}")
        return value

    def text(self, key: str, choices: tuple[str, ...] | None = None) -> str | None:
        """A string, or one of a few."""
        value = self.take(key)
        if value is None or (isinstance(value, str) and (choices is None or value in choices)):
            return value
        expected = "a string" if choices is None else f"one of {', '.join(choices)}"
        raise ChaosError(f"{self.name(key)} must be {expected}, not {shown(value)}")

    def finish(self) -> None:
        """Complain of what nobody asked for: a mistyped fault would otherwise be a calm test that proves nothing."""
        if self._left:
            unknown = ", ".join(sorted(self.name(str(key)) for key in self._left))
            raise ChaosError(f"unknown field {unknown}: see GET /simulator/chaos for the fields there are")


def told(value: Any) -> dict[str, Any]:
    """The fields of a dataclass that are not at their defaults: the short form of what was asked for."""
    found = {}
    for field in fields(value):
        content = getattr(value, field.name)
        if content != field.default:
            found[field.name] = content.as_dict() if hasattr(content, "as_dict") else content
    return found


def read_each(value: object, where: str, read: Callable[[object, str], _Fault]) -> tuple[_Fault, ...]:
    """One fault, a list of them, or none."""
    if value is None:
        return ()
    if isinstance(value, list):
        return tuple(read(item, f"{where}[{place}]") for place, item in enumerate(value))
    return (read(value, where),)


def shown(value: object) -> str:
    """JSON for a message, cut short."""
    text = json.dumps(value, default=str)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def _bounds(low: float, high: float | None) -> str:
    return f"of {low:g} or more" if high is None else f"from {low:g} to {high:g}"
