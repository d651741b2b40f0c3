"""The decoder against what JSONDecoder with default strategies does."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.simulator.phone.swift_decoder import Decoded, DecodingError, decode, decode_value
from skerry.simulator.phone.swift_types import AttributesType, Struct


def struct(**fields: object) -> Struct:
    types = {"Phase": {"enum": ["waiting", "done"]}, "Team": {"struct": {"name": "String", "score": "Int"}}}
    declaration = {"name": "A", "attributes": {}, "content_state": fields, "types": types}
    return AttributesType.declared(declaration).content_state


@pytest.mark.parametrize(
    ("swift", "text", "value"),
    [
        ("String", '"a"', "a"),
        ("Int", "1", 1),
        ("Int", "1.0", 1),
        ("Int", "1e2", 100),
        ("Int", "-9223372036854775808", -(2**63)),
        ("Double", "1", 1.0),
        ("Double", "0.5", 0.5),
        ("Bool", "true", True),
        ("Date", "0", 978307200.0),
        ("URL", '"https://example.com/a b"', "https://example.com/a b"),
        ("Data", '"aGk="', b"hi"),
        ("[Int]", "[1, 2.0]", [1, 2]),
        ("[Int?]", "[1, null]", [1, None]),
        ("[String: Double]", '{"a": 1}', {"a": 1.0}),
        ("Phase", '"done"', "done"),
        ("Team", '{"name": "A", "score": 2, "extra": []}', {"name": "A", "score": 2}),
        ("String?", "null", None),
    ],
)
def test_what_decodes(swift: str, text: str, value: object) -> None:
    decoded = decode(struct(field=swift), f'{{"field": {text}}}'.encode())
    assert isinstance(decoded, Decoded)
    assert decoded.value == {"field": value}
    assert type(decoded.value["field"]) is type(value)


@pytest.mark.parametrize(
    ("swift", "text", "message"),
    [
        ("Int", "0.5", "dataCorrupted(Swift.DecodingError.Context"),
        ("Int", "9223372036854775808", "is not representable in Swift"),
        ("Int", "true", "Expected to decode Int but found bool instead."),
        ("Int", '"1"', "Expected to decode Int but found a string instead."),
        ("Double", "false", "Expected to decode Double but found bool instead."),
        ("Bool", "1", "Expected to decode Bool but found number instead."),
        ("String", "[]", "Expected to decode String but found an array instead."),
        ("String", "null", "valueNotFound(Swift.String"),
        ("Date", '"2026-01-11T09:21:37Z"', "Expected to decode Double but found a string instead."),
        ("Date", "null", "valueNotFound(Swift.Double"),
        ("URL", '""', "Invalid URL string."),
        ("URL", '"http://[broken"', "Invalid URL string."),
        ("Data", '"a"', "Encountered Data is not valid Base64."),
        ("[Int]", "{}", "Expected to decode Array<Any> but found a dictionary instead."),
        ("[Int]", "null", "valueNotFound(Swift.Array<Any>"),
        ("[String: Int]", "[]", "Expected to decode Dictionary<String, Any> but found an array instead."),
        ("Phase", '"gone"', "Cannot initialize Phase from invalid String value gone"),
        ("Team", "null", "valueNotFound(Swift.Dictionary<String, Any>"),
    ],
)
def test_what_does_not_decode(swift: str, text: str, message: str) -> None:
    error = decode(struct(field=swift), f'{{"field": {text}}}'.encode())
    assert isinstance(error, DecodingError)
    assert message in str(error)
    assert error.where == "field"


def test_an_integer_too_long_for_a_double_is_corrupted() -> None:
    error = decode_value(struct(field="Double"), {"field": 10**400})
    assert isinstance(error, DecodingError)
    assert error.failure.value == "dataCorrupted"


def test_a_missing_key_is_told_as_swift_tells_it() -> None:
    error = decode(struct(progress="Double", note="String?"), b"{}")
    assert str(error) == (
        'keyNotFound(CodingKeys(stringValue: "progress", intValue: nil), '
        "Swift.DecodingError.Context(codingPath: [], debugDescription: "
        '"No value associated with key CodingKeys(stringValue: "progress", intValue: nil) (\\"progress\\").", '
        "underlyingError: nil))"
    )
    assert isinstance(error, DecodingError)
    assert error.where == "(root)"


def test_the_coding_path_leads_into_arrays_and_structs() -> None:
    text = json.dumps({"teams": [{"name": "A", "score": 1}, {"name": "B", "score": 0.5}]}).encode()
    error = decode(struct(teams="[Team]"), text)
    assert isinstance(error, DecodingError)
    assert error.where == "teams[1].score"
    assert '_CodingKey(stringValue: "Index 1", intValue: 1)' in str(error)


def test_snake_case_keys_are_unknown_and_the_real_one_is_missing() -> None:
    error = decode(struct(homeTeam="String"), b'{"home_team": "A"}')
    assert isinstance(error, DecodingError)
    assert error.failure.value == "keyNotFound"


@pytest.mark.parametrize("text", [b"", b"{", b'{"field": NaN}', b'{"field": 01}', b'\xff"'])
def test_what_is_not_json_is_corrupted(text: bytes) -> None:
    error = decode(struct(field="Double?"), text)
    assert isinstance(error, DecodingError)
    assert error.description == "The given data was not valid JSON."


def test_dates_are_listed_with_their_path_in_unix_seconds() -> None:
    decoded = decode(struct(eta="Date", stops="[Date]"), b'{"eta": 1790000000, "stops": [0]}')
    assert isinstance(decoded, Decoded)
    assert decoded.dates == (("eta", 2768307200.0), ("stops[0]", 978307200.0))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(value=JSON_VALUES)
def test_any_value_either_decodes_or_gives_an_error_value(value: object) -> None:
    fields = {"a": "Int", "b": "[String: Date]?", "c": "Team?", "d": "[Phase]?", "e": "URL?", "f": "Data?"}
    for shape in (value, {"a": value}, {"a": 1, "b": value, "c": value}, {"a": 1, "d": value, "e": value, "f": value}):
        assert isinstance(decode_value(struct(**fields), shape), (Decoded, DecodingError))
