"""Declarations of Swift types: what can be written, and what is said about what cannot."""

import pytest

from skerry.simulator.phone.swift_types import (
    ArrayOf,
    AttributesType,
    DeclarationError,
    DictionaryOf,
    OptionalOf,
    Primitive,
    StringEnum,
    Struct,
    swift_name,
)


def declared(field: object, **types: object) -> object:
    declaration = {"name": "A", "attributes": {}, "content_state": {"field": field}, "types": types}
    return AttributesType.declared(declaration).content_state.fields["field"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("String", Primitive.STRING),
        (" Int ", Primitive.INT),
        ("Date?", OptionalOf(Primitive.DATE)),
        ("URL??", OptionalOf(Primitive.URL)),
        ("[Data]", ArrayOf(Primitive.DATA)),
        ("[String?]?", OptionalOf(ArrayOf(OptionalOf(Primitive.STRING)))),
        ("[String: [Double]]", DictionaryOf(ArrayOf(Primitive.DOUBLE))),
        ("[ [Bool] ]", ArrayOf(ArrayOf(Primitive.BOOL))),
    ],
)
def test_type_expressions_are_read_as_swift_writes_them(text: str, expected: object) -> None:
    assert declared(text) == expected


def test_named_and_inline_types_nest() -> None:
    team = Struct("Team", {"name": Primitive.STRING, "phase": StringEnum("Phase", ("a", "b"))})
    types = {"Team": {"struct": {"name": "String", "phase": "Phase"}}, "Phase": {"enum": ["a", "b"]}}
    assert declared("[Team]", **types) == ArrayOf(team)
    assert declared({"name": "String"}) == Struct("field", {"name": Primitive.STRING})
    assert declared({"enum": ["x"]}) == StringEnum("field", ("x",))


def test_a_type_is_written_back_as_swift() -> None:
    assert swift_name(OptionalOf(DictionaryOf(ArrayOf(StringEnum("Phase", ("a",)))))) == "[String: [Phase]]?"


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("Dbl", "content_state.field: unknown type 'Dbl'; possible are String, Int"),
        ("[String", "content_state.field: '[String' is not a Swift type"),
        ("", "content_state.field: '' is not a Swift type"),
        ("String]", "is not a Swift type"),
        ("[Int: String]", "the keys of a dictionary must be String"),
        ("Str ing!", "unknown type 'Str'"),
        (7, "content_state.field: must be a Swift type"),
        ({"enum": []}, "content_state.field.enum: must be a list of the raw values"),
        ("Tree", "Tree contains itself"),
    ],
)
def test_what_is_no_type_is_refused_with_its_place(field: object, message: str) -> None:
    with pytest.raises(DeclarationError) as refused:
        declared(field, Tree={"struct": {"children": "[Tree]"}})
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        ({"attributes": {}}, "name: must be"),
        ({"name": "A", "contentState": {}}, "contentState: unknown member"),
        ({"name": "A", "attributes": []}, "attributes: must be an object"),
        ({"name": "A", "types": []}, "types: must be an object"),
    ],
)
def test_a_declaration_of_the_wrong_shape_is_refused(declaration: dict[str, object], message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        AttributesType.declared(declaration)
