"""The body of a push, and raw-JSON surgery: what the caller sent reaches the phone byte for byte."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.domain import payload
from skerry.domain.ids import ActivityId, Millis, RevisionNumber, Seconds
from skerry.domain.revision import Revision, RevisionKind

JSON_OBJECTS = st.dictionaries(
    st.text(max_size=8),
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=6,
    ),
    max_size=5,
)


def revision(kind: RevisionKind, **more: object) -> Revision:
    return Revision(ActivityId(1), RevisionNumber(1), kind, Seconds(1_790_000_000), Millis(0), **more)  # type: ignore[arg-type]


def test_a_state_goes_out_byte_for_byte() -> None:
    raw = b'{"a":0.50,"b":1,"c":1.0,"d":1e3,"e":"\\u00e9"}'
    assert raw in payload.body(revision(RevisionKind.UPDATE, state=raw), Seconds(7))


def test_a_start_has_what_apple_asks_for() -> None:
    start = revision(
        RevisionKind.START,
        state=b'{"p":1}',
        attributes=b'{"id":"x"}',
        attributes_type="OrderAttributes",
        alert=payload.alert_of("Order", "on its way"),
    )
    aps = json.loads(payload.body(start, Seconds(9), input_push_token=True))["aps"]
    assert aps == {
        "timestamp": 9,
        "event": "start",
        "attributes-type": "OrderAttributes",
        "attributes": {"id": "x"},
        "input-push-token": 1,
        "content-state": {"p": 1},
        "alert": {"title": "Order", "body": "on its way"},
    }


def test_an_end_carries_its_dismissal_date() -> None:
    aps = json.loads(payload.body(revision(RevisionKind.END, dismissal_date=Seconds(5)), Seconds(9)))["aps"]
    assert aps == {"timestamp": 9, "event": "end", "dismissal-date": 5}


@given(JSON_OBJECTS, st.text(max_size=10))
def test_an_injected_member_changes_nothing_else(value: dict[str, object], group: str) -> None:
    value.pop("netmeraGroupId", None)
    raw = json.dumps(value).encode()
    assert json.loads(payload.with_member(raw, "netmeraGroupId", group)) == value | {"netmeraGroupId": group}


@given(JSON_OBJECTS, JSON_OBJECTS)
def test_a_merge_replaces_members_at_the_top(base: dict[str, object], over: dict[str, object]) -> None:
    merged = payload.merged(json.dumps(base).encode(), json.dumps(over).encode())
    assert merged is not None
    assert json.loads(merged) == base | over


def test_only_strings_count_as_text_members() -> None:
    assert payload.text_members(b'{"a":"x","b":1,"c":{"d":"y"}}') == {"a": "x"}


@pytest.mark.parametrize("raw", [b"[]", b"1", b"{", b""])
def test_what_is_not_an_object_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        payload.members(raw)
