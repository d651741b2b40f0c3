"""Placeholders: what goes in is what the value says, whatever it is, and nothing around it changes."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from skerry.domain import payload, personal
from skerry.domain.errors import FieldRefusedError
from skerry.domain.ids import ActivityId, Millis, RevisionNumber, Seconds
from skerry.domain.personal import Form, UnfilledError
from skerry.domain.revision import Revision, RevisionKind

NAMES = st.sampled_from(["first_name", "points", "şehir", "a b"])
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=8)
)
FINITE = SCALARS.filter(lambda one: not isinstance(one, float) or abs(one) < 1e300)
PROFILES = st.dictionaries(NAMES, FINITE | st.lists(FINITE, max_size=2), max_size=4)
# Whole placeholders, and pieces that only look like them: `@` and braces in any order.
TEXTS = st.lists(
    st.sampled_from(
        [
            "@{first_name|there}", "@{points|0}", "@{şehir|}", "@{a b|x y}", "@@{", "@@{first_name}", "@", "{", "}",
            "|", '"', "\\", "\n", "é", "😀", "text",
        ]
    ),
    max_size=6,
).map("".join)  # fmt: skip
DOCUMENTS = st.dictionaries(
    st.text(max_size=4).filter(lambda name: "@{" not in name),
    st.recursive(TEXTS | FINITE, lambda inner: st.lists(inner, max_size=3), max_leaves=6),
    max_size=5,
)


def profile(values: dict[str, Any]) -> personal.Profile:
    """A user's attributes as the store gives them: JSON in ASCII."""
    return msgspec.json.decode(json.dumps(values), type=dict[str, msgspec.Raw])


def filled(document: Any, values: dict[str, Any]) -> Any:
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    return json.loads(Form.of(raw).filled(profile(values)))


def expected(text: str, values: dict[str, Any]) -> str:
    """The same by hand: characters one by one, no regular expression and no JSON."""
    out, at = "", 0
    while at < len(text):
        if text.startswith("@@{", at):
            out, at = out + "@{", at + 3
            continue
        end = text.find("}", at)
        inside = text[at + 2 : end] if text.startswith("@{", at) and end > 0 else ""
        name, _, default = inside.partition("|")
        if name in ("first_name", "points", "şehir", "a b") and '"' not in inside and "\n" not in name:
            out, at = out + (said(values.get(name)) or default), end + 1
        else:
            out, at = out + text[at], at + 1
    return out


def said(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None or isinstance(value, list) else json.dumps(value)


def mapped(value: Any, values: dict[str, Any]) -> Any:
    if isinstance(value, list):
        return [mapped(one, values) for one in value]
    return expected(value, values) if isinstance(value, str) else value


class TestFilling:
    @given(DOCUMENTS, PROFILES, st.booleans())
    @example({"a": '"@{first_name|there}"'}, {"first_name": '","b":"'}, True)
    @example({"a": "@{first_name|}@{points|0}"}, {"first_name": "@{", "points": "\\"}, False)
    def test_each_text_becomes_what_it_says_and_all_else_stays(
        self, document: dict[str, Any], values: dict[str, Any], ascii_only: bool
    ) -> None:
        raw = json.dumps(document, ensure_ascii=ascii_only).encode()
        assert filled(raw, values) == {name: mapped(value, values) for name, value in document.items()}

    @given(st.text(), st.text())
    def test_no_value_breaks_out_of_its_string(self, value: str, other: str) -> None:
        document = {"a": "<@{first_name}>", "b": {"c": ["@{points|none}", 0.5, 1]}}
        values = {"first_name": value or "x", "points": other}
        assert filled(document, values) == {"a": f"<{value or 'x'}>", "b": {"c": [other or "none", 0.5, 1]}}

    def test_numbers_keep_their_form_and_the_json_around_its_bytes(self) -> None:
        raw = b'{ "x" : 0.50, "t":"@{points} of 1.0","u":"\\u00e9" }'
        assert Form.of(raw).filled(profile({"points": 1.0})) == b'{ "x" : 0.50, "t":"1.0 of 1.0","u":"\\u00e9" }'

    def test_letters_do_not_grow_on_their_way(self) -> None:
        assert Form.of(b'{"n":"@{n}"}').filled(profile({"n": "Zoë 進"})) == '{"n":"Zoë 進"}'.encode()

    @pytest.mark.parametrize("value", [None, "", [], ["Ada"]])
    def test_what_is_no_scalar_or_empty_counts_as_no_value(self, value: Any) -> None:
        assert filled({"a": "@{n|x}"}, {"n": value}) == {"a": "x"}
        with pytest.raises(UnfilledError, match=r"@\{n\}"):
            filled({"a": "@{n}"}, {"n": value})

    @pytest.mark.parametrize(
        ("written", "value", "shown"),
        [
            ("@{n:number}", 7, 7),
            ("@{n:number}", 0.5, 0.5),
            ("@{n:number}", "1200", 1200),
            ("@{n:number|0}", "many", 0),
            ("@{n:number|-1.5e3}", None, -1500.0),
            ("@{n:boolean}", True, True),
            ("@{n:boolean}", "false", False),
            ("@{n:boolean|true}", 1, True),
            ("@{n}", 7, "7"),
            ("@{n}", True, "true"),
            ("@{ n }", "Ada", "Ada"),
            ('say "@{n}"', "Ada", 'say "Ada"'),
        ],
    )
    def test_a_whole_text_can_become_a_number_or_a_boolean_and_is_a_text_otherwise(
        self, written: str, value: Any, shown: Any
    ) -> None:
        found = filled({"a": written}, {"n": value})["a"]
        assert found == shown
        assert type(found) is type(shown)

    def test_a_number_that_nobody_has_is_missing(self) -> None:
        with pytest.raises(UnfilledError):
            filled({"a": "@{n:number}"}, {"n": "many"})

    def test_names_of_members_are_never_made_numbers(self) -> None:
        raw = b'{"@{n:number}" : 1}'
        assert Form.of(raw).filled(profile({"n": 5})) == raw


class TestChecking:
    @pytest.mark.parametrize(
        "text",
        [
            "@{", "@{}", "@{ }", "@{name", "@{na{me}", "@{n:number} points", "@{n:number|x}", "@{n:date}", "@{a|b|",
            "@{n:boolean|1}", "@{" + "n" * 65 + "}", "@{a\nb}",
        ],
    )  # fmt: skip
    def test_what_begins_like_a_placeholder_and_is_none_is_refused_with_the_place(self, text: str) -> None:
        with pytest.raises(FieldRefusedError, match="which is no placeholder") as refused:
            personal.check(json.dumps({"a": "fine", "b": f"so {text}"}).encode(), "state")
        assert refused.value.field == "state"

    @pytest.mark.parametrize(
        "text",
        [
            "@{n}",
            "@{n|}",
            "@{n|a|b}",
            "@{n|{x}",
            "@{prénom}",
            "@@{",
            "@@{n}",
            "@ {n}",
            "a@b.c",
            "@{n:number}",
            "@{n|\\}",
        ],
    )
    @pytest.mark.parametrize("ascii_only", [True, False])
    def test_placeholders_pass(self, text: str, ascii_only: bool) -> None:
        personal.check(json.dumps({"a": text}, ensure_ascii=ascii_only).encode(), "state")

    def test_a_name_may_come_escaped(self) -> None:
        assert filled(json.dumps({"a": "@{prénom}"}).encode(), {"prénom": "Zoé"}) == {"a": "Zoé"}

    def test_what_it_cannot_do_without(self) -> None:
        assert personal.names(b'{"a":"@{x} @{y|z} @@{w}","b":"@{v:number}"}') == {"x", "v"}
        assert personal.is_personal(b'{"a":"@{x}"}')
        assert not personal.is_personal(b'{"a":"@@{x}"}')


class TestParams:
    @given(st.text(), st.text(), st.text())
    def test_values_are_texts_never_placeholders(self, one: str, other: str, stranger: str) -> None:
        raw = json.dumps({"a": "@{x}@{y}{z}", "b": "@{z|d} @@{x}"}).encode()
        once = personal.with_params(raw, {"x": one, "y": other})
        personal.check(once, "state")
        assert filled(once, {"z": stranger}) == {"a": f"{one}{other}{{z}}", "b": f"{stranger or 'd'} @{{x}}"}

    def test_what_params_do_not_name_is_left_for_profiles(self) -> None:
        raw = b'{"a":"@{x|1} @{y}","n":"@{k:number}"}'
        assert personal.with_params(raw, {"y": "2", "k": "3.0"}) == b'{"a":"@{x|1} 2","n":3.0}'

    def test_an_empty_param_is_a_value(self) -> None:
        assert personal.with_params(b'{"a":"@{x|d}"}', {"x": ""}) == b'{"a":""}'

    def test_a_param_of_the_wrong_kind_is_refused(self) -> None:
        with pytest.raises(FieldRefusedError, match="asks for a number") as refused:
            personal.with_params(b'{"n":"@{k:number}"}', {"k": "three"})
        assert refused.value.field == "params.k"


class TestSizes:
    def test_a_body_counts_with_its_defaults(self) -> None:
        update = Revision(ActivityId(1), RevisionNumber(1), RevisionKind.UPDATE, Seconds(1), Millis(0))
        bare = payload.largest_body(update)
        state = b'{"a":"@{x} @{y|four}"}'
        with_state = Revision(
            ActivityId(1), RevisionNumber(1), RevisionKind.UPDATE, Seconds(1), Millis(0), state=state
        )  # fmt: skip
        assert payload.largest_body(with_state) - bare == len(b',"content-state":{"a":" four"}')
