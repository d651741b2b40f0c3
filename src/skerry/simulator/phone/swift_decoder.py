"""What `JSONDecoder` with default strategies makes of a JSON text: a value, or Swift's `DecodingError`.

ActivityKit decodes attributes and content state so (apple.md 4.4), and says nothing to the sender when it fails.
Numbers as Foundation treats them: `1.0` is an `Int`, `0.5` is not (`dataCorrupted`), `true` is not (`typeMismatch`),
and `1` is a `Double`.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import msgspec

from skerry.simulator.phone.swift_types import (
    ArrayOf,
    DictionaryOf,
    OptionalOf,
    Primitive,
    StringEnum,
    Struct,
    SwiftType,
)

REFERENCE_DATE: Final = 978_307_200
"""2001-01-01 UTC in UNIX seconds: where Swift's `Date` counts from."""

_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1

Path: TypeAlias = tuple[str | int, ...]


class DecodingFailure(StrEnum):
    """The cases of Swift's `DecodingError`."""

    KEY_NOT_FOUND = "keyNotFound"
    TYPE_MISMATCH = "typeMismatch"
    VALUE_NOT_FOUND = "valueNotFound"
    DATA_CORRUPTED = "dataCorrupted"


@dataclass(frozen=True, slots=True)
class DecodingError:
    """Why a text did not decode. A value, not an exception: the phone only writes it down."""

    failure: DecodingFailure
    subject: str
    """The type, or the missing key, in Swift's spelling; empty for `dataCorrupted`."""
    path: Path
    description: str

    @property
    def where(self) -> str:
        """The coding path as one reads it: `teams[1].name`; `(root)` at the top."""
        return _where(self.path)

    def __str__(self) -> str:
        keys = ", ".join(_coding_key(step) for step in self.path)
        subject = f"{self.subject}, " if self.subject else ""
        return (
            f"{self.failure.value}({subject}Swift.DecodingError.Context(codingPath: [{keys}], "
            f'debugDescription: "{self.description}", underlyingError: nil))'
        )


@dataclass(frozen=True, slots=True)
class Decoded:
    """A value as the app holds it: unknown keys dropped, dates in UNIX seconds, data as bytes."""

    value: Any
    dates: tuple[tuple[str, float], ...] = ()
    """Every `Date` in it: coding path and UNIX seconds, so that a date 31 years off can be noticed."""


def decode(swift_type: SwiftType, text: bytes) -> Decoded | DecodingError:
    """Decode a JSON text."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return DecodingError(DecodingFailure.DATA_CORRUPTED, "", (), "The given data was not valid JSON.")
    return decode_value(swift_type, value)


def decode_value(swift_type: SwiftType, value: object) -> Decoded | DecodingError:
    """Decode a JSON value that has been parsed; integers and floats must have been kept apart."""
    walk = _Walk()
    try:
        return Decoded(walk.value(swift_type, value, ()), tuple(walk.dates))
    except _FailedError as failed:
        return failed.error


class _FailedError(Exception):
    """Carries the error out of the recursion; never leaves this module."""

    def __init__(self, error: DecodingError) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(slots=True)
class _Walk:
    dates: list[tuple[str, float]] = field(default_factory=list)

    def value(self, swift_type: SwiftType, value: object, path: Path) -> Any:
        if isinstance(swift_type, OptionalOf):
            return None if value is None else self.value(swift_type.wrapped, value, path)
        if value is None:
            raise _null(_swift_subject(swift_type), path)
        match swift_type:
            case Primitive.DATE:
                seconds = _double(value, path) + REFERENCE_DATE
                self.dates.append((_where(path), seconds))
                return seconds
            case Primitive():
                return _PRIMITIVES[swift_type](value, path)
            case StringEnum():
                return _case(swift_type, value, path)
            case _:
                return self._container(swift_type, value, path)

    def _container(self, swift_type: ArrayOf | DictionaryOf | Struct, value: object, path: Path) -> Any:
        match swift_type:
            case ArrayOf(element):
                if not isinstance(value, list):
                    raise _mismatch("Array<Any>", value, path)
                return [self.value(element, item, (*path, index)) for index, item in enumerate(value)]
            case DictionaryOf(element):
                members = _object(value, path)
                return {key: self.value(element, item, (*path, key)) for key, item in members.items()}
            case Struct(fields=fields):
                return self._struct(fields, _object(value, path), path)

    def _struct(self, fields: Mapping[str, SwiftType], members: dict[str, Any], path: Path) -> dict[str, Any]:
        decoded = {}
        for name, swift_type in fields.items():
            if name in members:
                decoded[name] = self.value(swift_type, members[name], (*path, name))
            elif not isinstance(swift_type, OptionalOf):
                key = _coding_key(name)
                text = f'No value associated with key {key} (\\"{name}\\").'
                raise _FailedError(DecodingError(DecodingFailure.KEY_NOT_FOUND, key, path, text))
        return decoded


def _string(value: object, path: Path) -> str:
    if not isinstance(value, str):
        raise _mismatch("String", value, path)
    return value


def _case(enum: StringEnum, value: object, path: Path) -> str:
    raw = _string(value, path)
    if raw not in enum.cases:
        raise _corrupted(f"Cannot initialize {enum.name} from invalid String value {raw}", path)
    return raw


def _int(value: object, path: Path) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _mismatch("Int", value, path)
    if not _INT_MIN <= value <= _INT_MAX or (isinstance(value, float) and not value.is_integer()):
        raise _corrupted(f"Number {value} is not representable in Swift.", path)
    return int(value)


def _double(value: object, path: Path) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _mismatch("Double", value, path)
    try:
        return float(value)
    except OverflowError:  # an integer of more than 308 digits
        raise _corrupted("Number is not representable in Swift.", path) from None


def _bool(value: object, path: Path) -> bool:
    if not isinstance(value, bool):
        raise _mismatch("Bool", value, path)
    return value


def _url(value: object, path: Path) -> str:
    text = _string(value, path)
    try:  # since iOS 17 `URL(string:)` percent-encodes what it can; only the empty and the unparsable are left
        urlsplit(text).port  # noqa: B018 - the property raises for a bad port
    except ValueError:
        text = ""
    if not text:
        raise _corrupted("Invalid URL string.", path)
    return text


def _data(value: object, path: Path) -> bytes:
    try:
        return base64.b64decode(_string(value, path), validate=True)
    except (binascii.Error, ValueError):
        raise _corrupted("Encountered Data is not valid Base64.", path) from None


_PRIMITIVES: Final[dict[Primitive, Callable[[object, Path], Any]]] = {
    Primitive.STRING: _string,
    Primitive.INT: _int,
    Primitive.DOUBLE: _double,
    Primitive.BOOL: _bool,
    Primitive.URL: _url,
    Primitive.DATA: _data,
}


def _object(value: object, path: Path) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _mismatch("Dictionary<String, Any>", value, path)
    return value


def _mismatch(expected: str, found: object, path: Path) -> _FailedError:
    text = f"Expected to decode {expected} but found {_found(found)} instead."
    return _FailedError(DecodingError(DecodingFailure.TYPE_MISMATCH, f"Swift.{expected}", path, text))


def _null(expected: str, path: Path) -> _FailedError:
    text = f"Cannot get value of type {expected} -- found null value instead"
    return _FailedError(DecodingError(DecodingFailure.VALUE_NOT_FOUND, f"Swift.{expected}", path, text))


def _corrupted(text: str, path: Path) -> _FailedError:
    return _FailedError(DecodingError(DecodingFailure.DATA_CORRUPTED, "", path, text))


def _found(value: object) -> str:
    match value:
        case bool():
            return "bool"
        case int() | float():
            return "number"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "a dictionary"


def _swift_subject(swift_type: SwiftType) -> str:
    match swift_type:
        case Primitive.DATE:
            return "Double"  # `Date` asks its container for one
        case Primitive.URL | Primitive.DATA | StringEnum():
            return "String"
        case Primitive():
            return str(swift_type.value)
        case ArrayOf():
            return "Array<Any>"
        case _:
            return "Dictionary<String, Any>"


def _where(path: Path) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".") or "(root)"


def _coding_key(step: str | int) -> str:
    if isinstance(step, int):
        return f'_CodingKey(stringValue: "Index {step}", intValue: {step})'
    return f'CodingKeys(stringValue: "{step}", intValue: nil)'
