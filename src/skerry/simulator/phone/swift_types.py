"""Swift types as an iOS engineer would declare them, for the decoder that plays `JSONDecoder`.

A declaration is JSON:

    {"name": "LiveActivityAttributes",
     "attributes": {"referenceId": "String", "category": "String?"},
     "content_state": {"title": "String", "progress": "Double", "phase": "Phase", "teams": "[Team]"},
     "types": {"Phase": {"enum": ["waiting", "done"]}, "Team": {"struct": {"name": "String"}}}}

A field's type is Swift's own spelling (`String`, `Int`, `Double`, `Bool`, `Date`, `URL`, `Data`, `[T]`, `[String: T]`,
`T?`, or a name from `types`), or an object in place: `{"enum": [...]}`, `{"struct": {...}}` or simply the fields of a
struct. Field names are the JSON keys, that is the property names or the type's `CodingKeys`. An initial value in the
Swift source (`var score = 0`) changes nothing: the synthesised decoder demands the key all the same.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

_TOKEN = re.compile(r"\s*(?:(?P<name>[A-Za-z_][A-Za-z0-9_.]*)|(?P<mark>[\[\]:?])|(?P<bad>\S))")


class DeclarationError(ValueError):
    """A declaration that is not a type; the text names the place and what is possible there."""


class Primitive(StrEnum):
    """The types with a JSON form of their own."""

    STRING = "String"
    INT = "Int"
    DOUBLE = "Double"
    BOOL = "Bool"
    DATE = "Date"
    """A number: seconds since 2001-01-01 UTC (apple.md 4.4), not UNIX seconds and not an ISO string."""
    URL = "URL"
    DATA = "Data"
    """A base64 string."""


@dataclass(frozen=True, slots=True)
class OptionalOf:
    """`T?`: the key may be absent or null."""

    wrapped: "SwiftType"


@dataclass(frozen=True, slots=True)
class ArrayOf:
    """`[T]`."""

    element: "SwiftType"


@dataclass(frozen=True, slots=True)
class DictionaryOf:
    """`[String: T]`."""

    value: "SwiftType"


@dataclass(frozen=True, slots=True)
class Struct:
    """A struct with the synthesised `Codable`: fields that are not optional must be there; unknown keys are ignored."""

    name: str
    fields: Mapping[str, "SwiftType"]

    def __hash__(self) -> int:
        return hash(self.name)  # the fields are a mapping, which has no hash


@dataclass(frozen=True, slots=True)
class StringEnum:
    """`enum Name: String, Codable`."""

    name: str
    cases: tuple[str, ...]


_PRIMITIVES = {kind.value: kind for kind in Primitive}

SwiftType: TypeAlias = Primitive | OptionalOf | ArrayOf | DictionaryOf | Struct | StringEnum


@dataclass(frozen=True, slots=True)
class AttributesType:
    """One `ActivityAttributes` struct that an app knows, with its nested `ContentState`."""

    name: str
    attributes: Struct
    content_state: Struct

    @classmethod
    def declared(cls, declaration: Mapping[str, Any]) -> "AttributesType":
        """Read a declaration as the module describes it.

        Raises:
            DeclarationError: naming the member at fault and what is expected there.
        """
        known = {"name", "attributes", "content_state", "types"}
        if unknown := sorted(set(declaration) - known):
            raise DeclarationError(f"{unknown[0]}: unknown member; a declaration has {', '.join(sorted(known))}")
        name = declaration.get("name")
        if not isinstance(name, str) or not name:
            raise DeclarationError("name: must be the Swift name of the ActivityAttributes struct")
        types = declaration.get("types", {})
        if not isinstance(types, Mapping):
            raise DeclarationError("types: must be an object of type name to {'struct': {...}} or {'enum': [...]}")
        reader = _DeclarationReader(types)
        return cls(
            name=name,
            attributes=reader.struct(name, declaration.get("attributes", {}), "attributes"),
            content_state=reader.struct(f"{name}.ContentState", declaration.get("content_state", {}), "content_state"),
        )


def swift_name(swift_type: SwiftType) -> str:
    """The type as Swift writes it: `[String: Int?]`."""
    match swift_type:
        case Primitive():
            return swift_type.value
        case OptionalOf(wrapped):
            return f"{swift_name(wrapped)}?"
        case ArrayOf(element):
            return f"[{swift_name(element)}]"
        case DictionaryOf(value):
            return f"[String: {swift_name(value)}]"
        case Struct(name=name) | StringEnum(name=name):
            return name


@dataclass(slots=True)
class _DeclarationReader:
    """Resolves the named types of one declaration; a type that contains itself is refused."""

    types: Mapping[str, Any]
    _resolved: dict[str, SwiftType] = field(default_factory=dict)
    _open: list[str] = field(default_factory=list)

    def struct(self, name: str, fields: object, where: str) -> Struct:
        if not isinstance(fields, Mapping):
            raise DeclarationError(f"{where}: must be an object of field name to Swift type")
        return Struct(name, {str(key): self.resolve(value, f"{where}.{key}") for key, value in fields.items()})

    def resolve(self, declared: object, where: str, name: str | None = None) -> SwiftType:
        if isinstance(declared, str):
            return _ExpressionReader(declared, where, self).whole()
        if isinstance(declared, Mapping):
            if isinstance(cases := declared.get("enum"), list) and len(declared) == 1:
                if not cases or not all(isinstance(case, str) for case in cases):
                    raise DeclarationError(f"{where}.enum: must be a list of the raw values, at least one, all strings")
                return StringEnum(name or where.rpartition(".")[2], tuple(cases))
            nested = declared.get("struct")
            fields = nested if isinstance(nested, Mapping) and len(declared) == 1 else declared
            return self.struct(name or where.rpartition(".")[2], fields, where)
        raise DeclarationError(f"{where}: must be a Swift type such as 'String?' or an object with its fields")

    def named(self, name: str, where: str) -> SwiftType:
        if name in _PRIMITIVES:
            return _PRIMITIVES[name]
        if name in self._resolved:
            return self._resolved[name]
        if name in self._open:
            raise DeclarationError(f"{where}: {name} contains itself; recursive types cannot be declared here")
        if name not in self.types:
            possible = ", ".join([*(kind.value for kind in Primitive), *map(str, self.types)])
            raise DeclarationError(f"{where}: unknown type {name!r}; possible are {possible}, [T], [String: T] and T?")
        self._open.append(name)
        self._resolved[name] = self.resolve(self.types[name], f"types.{name}", name)
        self._open.pop()
        return self._resolved[name]


class _ExpressionReader:
    """Reads one type expression such as `[String: [Team]?]`."""

    def __init__(self, text: str, where: str, types: _DeclarationReader) -> None:
        self._text = text
        self._where = where
        self._types = types
        self._tokens = [match[0].strip() for match in _TOKEN.finditer(text)]
        self._next = 0

    def whole(self) -> SwiftType:
        result = self._type()
        if self._next < len(self._tokens):
            raise self._error()
        return result

    def _type(self) -> SwiftType:
        result = self._bracketed() if self._skip("[") else self._name()
        while self._skip("?"):
            if not isinstance(result, OptionalOf):  # `T??` decodes as `T?` does
                result = OptionalOf(result)
        return result

    def _bracketed(self) -> SwiftType:
        first = self._type()
        if not self._skip(":"):
            self._expect("]")
            return ArrayOf(first)
        if first is not Primitive.STRING:
            raise DeclarationError(f"{self._where}: {self._text!r}: the keys of a dictionary must be String")
        value = self._type()
        self._expect("]")
        return DictionaryOf(value)

    def _name(self) -> SwiftType:
        token = self._tokens[self._next] if self._next < len(self._tokens) else ""
        if not token or not (token[0].isalpha() or token[0] == "_"):
            raise self._error()
        self._next += 1
        return self._types.named(token, self._where)

    def _skip(self, mark: str) -> bool:
        if self._next < len(self._tokens) and self._tokens[self._next] == mark:
            self._next += 1
            return True
        return False

    def _expect(self, mark: str) -> None:
        if not self._skip(mark):
            raise self._error()

    def _error(self) -> DeclarationError:
        return DeclarationError(
            f"{self._where}: {self._text!r} is not a Swift type; write String, Int?, [String] or [String: Double]"
        )
