"""One test per verdict: what a phone does with a push, and what it says about it."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from skerry.simulator.carrier import TokenKind
from skerry.simulator.phone.card import CardStatus
from skerry.simulator.phone.verdict import Verdict


def test_a_good_start_puts_a_card_on_the_lock_screen(desk: Any) -> None:
    record = desk.start()
    assert record.verdict is Verdict.STARTED
    assert record.group_id == "upload-456" == desk.card.group_id
    assert record.event == "start"
    assert desk.card.status is CardStatus.LIVE
    assert desk.card.alert == {"title": "Upload", "body": "It has begun"}
    assert record.notes == ()


def test_an_update_replaces_the_state_and_merges_nothing(desk: Any) -> None:
    desk.start(content_state={"title": "A", "subtitle": "B", "progress": 0, "count": 3})
    assert desk.update(content_state={"title": "C", "subtitle": "D", "progress": 1}).verdict is Verdict.SHOWN
    assert json.loads(desk.card.content_state) == {"title": "C", "subtitle": "D", "progress": 1}


def test_the_state_is_kept_byte_for_byte(desk: Any) -> None:
    desk.start()
    state = b'{ "title":"\\u00e9", "subtitle":"",\n"progress": 1.0, "count": 1 }'
    body = b'{"aps":{"event":"update","timestamp":%d,"content-state":%s}}' % (desk.next_stamp(), state)
    assert desk.send(desk.card.update_token, body).verdict is Verdict.SHOWN
    assert desk.card.content_state == state


def test_an_end_without_state_keeps_the_last_one(desk: Any) -> None:
    desk.start()
    before = desk.card.content_state
    assert desk.end().verdict is Verdict.ENDED
    assert desk.card.status is CardStatus.ENDED
    assert desk.card.content_state == before


def test_an_end_with_a_state_shows_it(desk: Any) -> None:
    desk.start()
    desk.end(content_state={"title": "Done", "subtitle": "", "progress": 1})
    assert json.loads(desk.card.content_state)["title"] == "Done"


@pytest.mark.parametrize(
    ("alert", "why"),
    [
        (..., "aps.alert is missing"),
        ("Hello", "must be an object"),
        ({"sound": "default"}, "neither title nor body"),
        ({"title": 7}, "aps.alert.title must be a string"),
    ],
)
def test_a_start_without_an_alert_is_dropped(desk: Any, alert: object, why: str) -> None:
    record = desk.start(alert=alert)
    assert record.verdict is Verdict.NO_ALERT
    assert why in record.why
    assert desk.phone.cards == []


@pytest.mark.parametrize("alert", [{"title": "", "body": ""}, {"title": {"loc-key": "k", "loc-args": []}}])
def test_silent_and_localised_alerts_count(desk: Any, alert: object) -> None:
    assert desk.start(alert=alert).verdict is Verdict.STARTED


@pytest.mark.parametrize(
    ("changes", "verdict", "why"),
    [
        ({"attributes_type": ...}, Verdict.UNKNOWN_ATTRIBUTES_TYPE, "aps.attributes-type is missing"),
        ({"attributes_type": "Other"}, Verdict.UNKNOWN_ATTRIBUTES_TYPE, "it has: LiveActivityAttributes"),
        ({"attributes": ...}, Verdict.UNDECODABLE_ATTRIBUTES, "missing"),
        ({"attributes": {"category": "x"}}, Verdict.UNDECODABLE_ATTRIBUTES, "keyNotFound"),
        ({"attributes": {"referenceId": 7}}, Verdict.UNDECODABLE_ATTRIBUTES, "at referenceId: typeMismatch"),
        ({"content_state": ...}, Verdict.UNDECODABLE_CONTENT_STATE, "missing"),
        ({"content_state": {"title": "a", "subtitle": "b"}}, Verdict.UNDECODABLE_CONTENT_STATE, "progress"),
        ({"content_state": None}, Verdict.UNDECODABLE_CONTENT_STATE, "valueNotFound"),
        ({"timestamp": ...}, Verdict.MISSING_TIMESTAMP, "aps.timestamp is missing"),
        ({"timestamp": "1790000000"}, Verdict.MALFORMED_PAYLOAD, "aps.timestamp"),
        ({"timestamp": True}, Verdict.MALFORMED_PAYLOAD, "aps.timestamp"),
        ({"event": "START"}, Verdict.UNKNOWN_EVENT, "lower case"),
        ({"event": 1}, Verdict.UNKNOWN_EVENT, "'start', 'update' or 'end'"),
        ({"event": ...}, Verdict.UNKNOWN_EVENT, "None"),
        ({"stale_date": "soon"}, Verdict.MALFORMED_PAYLOAD, "aps.stale-date"),
        ({"event": "update"}, Verdict.WRONG_TOKEN_KIND, "it needs the update token"),
        ({"attributes": {"referenceId": "x" * 4096}}, Verdict.TOO_LARGE, "ActivityKit allows 4096"),
    ],
)
def test_a_start_that_ios_does_not_take_is_dropped_and_says_why(
    desk: Any, changes: dict[str, Any], verdict: Verdict, why: str
) -> None:
    record = desk.start(**changes)
    assert record.verdict is verdict
    assert why in record.why
    assert record.verdict.is_dropped
    assert desk.phone.cards == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"{}", b'{"aps": 7}', b'{"aps": {"event": "start"', b"\xff\xfe"])
def test_a_payload_that_is_no_aps_object_is_malformed(desk: Any, body: bytes) -> None:
    assert desk.send(desk.phone.start_token, body).verdict is Verdict.MALFORMED_PAYLOAD


def test_a_start_with_an_update_token_is_dropped(desk: Any) -> None:
    desk.start()
    record = desk.send(desk.card.update_token, desk.aps("start"))
    assert record.verdict is Verdict.WRONG_TOKEN_KIND
    assert "push-to-start" in record.why


def test_an_update_that_does_not_decode_leaves_the_card_as_it_was(desk: Any) -> None:
    desk.start()
    before = (desk.card.content_state, desk.card.timestamp)
    assert desk.update(content_state={"title": "x"}).verdict is Verdict.UNDECODABLE_CONTENT_STATE
    assert desk.end(content_state=[]).verdict is Verdict.UNDECODABLE_CONTENT_STATE
    assert (desk.card.content_state, desk.card.timestamp) == before
    assert desk.card.status is CardStatus.LIVE


def test_attributes_and_state_share_the_4_kilobytes(desk: Any) -> None:
    desk.start(attributes={"referenceId": "x" * 2500})
    record = desk.update(content_state={"title": "y" * 2000, "subtitle": "", "progress": 0})
    assert record.verdict is Verdict.TOO_LARGE


def test_an_older_timestamp_is_never_shown(desk: Any) -> None:
    desk.start()
    desk.update()
    shown = desk.card.content_state
    record = desk.update(timestamp=desk.stamp - 2, content_state={"title": "old", "subtitle": "", "progress": 0})
    assert record.verdict is Verdict.OLDER_TIMESTAMP
    assert desk.end(timestamp=desk.stamp - 10).verdict is Verdict.OLDER_TIMESTAMP
    assert desk.card.content_state == shown


def test_an_equal_timestamp_is_dropped_unless_the_rules_forgive_it(desk: Any, new_desk: Callable[..., Any]) -> None:
    desk.start()
    assert desk.update(timestamp=desk.stamp).verdict is Verdict.EQUAL_TIMESTAMP
    lenient = new_desk(show_equal_timestamps=True)
    lenient.start()
    assert lenient.update(timestamp=lenient.stamp).verdict is Verdict.SHOWN


def test_milliseconds_are_shown_noted_and_block_everything_after(desk: Any) -> None:
    desk.start()
    record = desk.update(timestamp=desk.stamp * 1000)
    assert record.verdict is Verdict.SHOWN
    assert "looks like milliseconds" in record.notes[0]
    assert desk.update().verdict is Verdict.OLDER_TIMESTAMP


def test_a_timestamp_long_past_is_ignored_where_the_rules_say_so(new_desk: Callable[..., Any]) -> None:
    strict = new_desk(max_timestamp_age_s=60)
    assert strict.start(timestamp=int(strict.now) - 61).verdict is Verdict.TIMESTAMP_IN_THE_PAST
    assert strict.start(timestamp=int(strict.now) - 59).verdict is Verdict.STARTED


def test_unix_seconds_in_a_swift_date_are_shown_and_noted(desk: Any) -> None:
    eta = int(desk.now) + 600
    record = desk.start(content_state={"title": "", "subtitle": "", "progress": 0, "eta": eta})
    assert record.verdict is Verdict.STARTED
    assert record.notes == (
        "eta decodes to a date more than 20 years ahead; a Swift Date counts seconds from 2001: subtract 978307200",
    )


def test_after_the_end_and_after_a_swipe_pushes_are_ignored(desk: Any) -> None:
    desk.start()
    token = desk.card.update_token
    desk.end()
    assert desk.update().verdict is Verdict.ACTIVITY_ENDED
    desk.phone.dismiss("upload-456", desk.now)
    record = desk.end()
    assert record.verdict is Verdict.ACTIVITY_ENDED
    assert "was dismissed" in record.why
    standing = desk.phone.standing(token, desk.now)
    assert standing is not None
    assert standing.gone is None  # APNs knows nothing of it


def test_old_tokens_after_rotation_are_dropped(desk: Any) -> None:
    old_start = desk.phone.start_token
    new_start = desk.phone.rotate_start_token(desk.now)
    assert desk.send(old_start, desk.aps("start")).verdict is Verdict.ROTATED_TOKEN
    assert desk.send(new_start, desk.aps("start")).verdict is Verdict.STARTED
    old_update = desk.card.update_token
    new_update = desk.phone.rotate_update_token("upload-456", desk.now)
    assert desk.send(old_update, desk.aps("update")).verdict is Verdict.ROTATED_TOKEN
    assert desk.send(new_update, desk.aps("update")).verdict is Verdict.SHOWN


def test_an_unknown_token_and_an_ordinary_notification_are_dropped(desk: Any) -> None:
    assert desk.send("ab" * 80, desk.aps("start")).verdict is Verdict.UNKNOWN_TOKEN
    body = {"alert": {"title": "news"}}
    assert desk.send(desk.phone.start_token, body, push_type="alert").verdict is Verdict.NOT_LIVE_ACTIVITY
    kinds = {desk.phone.standing(token, desk.now).kind for token in desk.phone.take_issued_tokens()}
    assert TokenKind.DEVICE in kinds


def test_the_start_budget_recovers_with_time(desk: Any) -> None:
    verdicts = [desk.start().verdict for _ in range(11)]
    assert verdicts == [Verdict.STARTED] * 10 + [Verdict.START_BUDGET]
    desk.wait(3600)
    assert desk.start().verdict is Verdict.STARTED


def test_priority_5_is_outside_the_priority_10_budget(new_desk: Callable[..., Any]) -> None:
    desk = new_desk(priority10_budget=2)
    desk.start()
    assert [desk.update().verdict for _ in range(3)] == [Verdict.SHOWN, Verdict.SHOWN, Verdict.PRIORITY_BUDGET]
    assert desk.send(desk.card.update_token, desk.aps("update"), priority=5).verdict is Verdict.SHOWN
    desk.wait(3600)
    assert desk.update().verdict is Verdict.SHOWN


def test_switched_off_live_activities_refuse_starts_and_clear_the_screen(desk: Any) -> None:
    desk.start()
    desk.phone.set_activities_enabled(enabled=False, now=desk.now)
    assert desk.card.status is CardStatus.DISMISSED
    assert desk.start().verdict is Verdict.ACTIVITIES_DISABLED
    desk.phone.set_activities_enabled(enabled=True, now=desk.now)
    assert desk.start().verdict is Verdict.STARTED


def test_ios_17_1_has_no_start_token_and_17_2_no_channels(new_desk: Callable[..., Any]) -> None:
    assert new_desk("17.1").phone.start_token is None
    desk = new_desk("17.2")
    assert desk.start(input_push_channel="AAAA").verdict is Verdict.OS_TOO_OLD
    assert desk.start(input_push_token=...).verdict is Verdict.STARTED
    assert desk.card.update_token is not None


def test_a_channel_start_has_no_update_token(desk: Any) -> None:
    assert desk.start(input_push_channel="AAAA", input_push_token=...).verdict is Verdict.STARTED
    assert (desk.card.channel, desk.card.update_token) == ("AAAA", None)


def test_without_input_push_token_the_rules_decide_about_the_token(new_desk: Callable[..., Any]) -> None:
    lenient, strict = new_desk(), new_desk(token_needs_input_push_token=True)
    for desk in (lenient, strict):
        assert "input-push-token" in desk.start(input_push_token=...).notes[0]
    assert lenient.card.update_token is not None
    assert strict.card.update_token is None


def test_an_expired_push_is_dropped(desk: Any) -> None:
    record = desk.send(desk.phone.start_token, desk.aps("start"), expiration=int(desk.now) - 1)
    assert record.verdict is Verdict.EXPIRED


def test_a_phone_without_declared_types_takes_any_object_and_says_so(new_desk: Callable[..., Any]) -> None:
    desk = new_desk(typed=False)
    record = desk.start(attributes_type="Anything", attributes={"netmeraGroupId": "g"}, content_state={"x": None})
    assert record.verdict is Verdict.STARTED
    assert "nothing was checked" in record.why
    assert record.group_id == "g"
    assert desk.start(content_state=[1]).verdict is Verdict.UNDECODABLE_CONTENT_STATE


@pytest.mark.parametrize(
    ("attributes", "group"),
    [
        ({"referenceId": "r", "netmeraGroupId": "n"}, "n"),
        ({"referenceId": "r", "netmeraGroupId": ""}, "r"),
        ({"referenceId": "r"}, "r"),
    ],
)
def test_the_group_id_is_the_one_the_app_would_report(desk: Any, attributes: dict[str, str], group: str) -> None:
    assert desk.start(attributes=attributes).group_id == group


def test_without_any_id_in_the_attributes_the_activity_id_is_the_group(desk: Any) -> None:
    record = desk.start(attributes={"referenceId": ""})
    assert record.group_id == desk.card.id


def test_starting_twice_makes_two_cards(desk: Any) -> None:
    desk.start()
    desk.start()
    assert [card.group_id for card in desk.phone.visible_cards] == ["upload-456", "upload-456"]
    assert desk.phone.cards[0].update_token != desk.phone.cards[1].update_token


def test_every_push_has_one_record_and_the_oldest_make_room(new_desk: Callable[..., Any]) -> None:
    desk = new_desk(pushes_kept=3)
    desk.start()
    for _ in range(5):
        desk.update()
    assert [record.number for record in desk.phone.log.records] == [4, 5, 6]
    assert dict(desk.phone.log.counts) == {Verdict.STARTED: 1, Verdict.SHOWN: 5}
