"""The five steps of the guide: every documented body works as it stands, and content passes byte for byte."""

import hashlib
import json
from typing import Any

import pytest

from skerry.api.ports import ApiSettings
from skerry.domain.activity import End, Update
from skerry.domain.audience import Audience
from skerry.domain.commands import BulkStart, Idempotency, Pace, Send, Template, Wording

FORMER_BULK = b"""{
  "message": {
    "title": "Live Activity Update",
    "text": "Your process is ongoing",
    "platforms": ["IOS"],
    "contentState": {"title": "Uploading File", "subtitle": "50% completed", "progress": 0.5},
    "liveActAttr": {"referenceId": "upload-12345", "category": "upload"},
    "liveActAttrType": "LiveActivityAttributes"
  },
  "type": "LIVE_ACTIVITY",
  "target": {"sendToAll": true}
}"""
CURRENT_BULK = b"""{
  "message": {
    "title": "Live Activity Start",
    "text": "Here your live activity",
    "platforms": ["IOS"],
    "contentState": {"homeTeamScore": 0, "awayTeamScore": 0, "matchStatus": "1st Half"},
    "liveActAttr": {"leagueName": "Premier League", "homeTeamName": "Arsenal",
                    "awayTeamName": "Liverpool", "matchStartTime": "18.30"},
    "liveActAttrType": "MatchLiveScoreWidgetAttributes",
    "groupId": "ars-liv-2025",
    "liveActEndDate": "2026-01-28T15:35:37Z"
  },
  "type": "LIVE_ACTIVITY",
  "target": {"sendToAll": true}
}"""
DEFINITION = b"""{
  "title": "Live Activity Started",
  "message": "Tracking your process in real-time",
  "platforms": ["IOS"],
  "contentState": {"title": "Uploading File", "subtitle": "Almost there...", "progress": 0.7},
  "liveActAttr": {"referenceId": "upload-456", "category": "upload"},
  "liveActAttrType": "LiveActivityAttributes"
}"""
SEND = b"""{"notificationKey": "9401",
 "message": {"groupId": "aw-ch-2025"},
 "target": {"extId": "your_external_id"}}"""
UPDATE = b"""{"groupId": "ars-liv-2025",
 "action": "UPDATE",
 "contentState": {"homeTeamScore": 1, "awayTeamScore": 0, "matchStatus": "2nd Half"},
 "staleDate": "2026-01-11T09:21:37Z",
 "priority": 10}"""
END = b"""{"groupId": "ars-liv-2025",
 "action": "END",
 "dismissalDate": "2026-01-11T09:21:37Z",
 "priority": 10}"""
STALE = 1768123297
"""2026-01-11T09:21:37Z"""


def content(**more: Any) -> dict[str, Any]:
    """The members of a start that are always needed, and more."""
    return {
        "title": "Title",
        "text": "Text",
        "platforms": ["IOS"],
        "contentState": {"score": 1},
        "liveActAttr": {"name": "x"},
        "liveActAttrType": "Match",
        **more,
    }


def bulk(**more: Any) -> dict[str, Any]:
    return {"message": content(**more), "type": "LIVE_ACTIVITY", "target": {"sendToAll": True}}


def started(api: Any) -> BulkStart:
    [(name, (app_id, command), _)] = api.activities.calls
    assert (name, app_id) == ("start_bulk", 7)
    return command


async def test_the_former_guides_bulk_start(api):
    answer = await api.post("sendBulkNotification", FORMER_BULK)
    assert (answer.status_code, answer.json()) == (200, {"notificationKey": 1000})
    assert started(api) == BulkStart(
        Template(
            title="Live Activity Update",
            text="Your process is ongoing",
            attributes_type="LiveActivityAttributes",
            attributes=b'{"referenceId": "upload-12345", "category": "upload"}',
            state=b'{"title": "Uploading File", "subtitle": "50% completed", "progress": 0.5}',
        ),
        Audience(everyone=True),
        Pace(),
    )


async def test_the_current_guides_bulk_start(api):
    answer = await api.post("sendBulkNotification", CURRENT_BULK)
    assert answer.json() == {"notificationKey": 1000}
    template = started(api).template
    assert template.group_id == "ars-liv-2025"
    assert template.ends_at == 1769614537
    assert template.attributes == (
        b'{"leagueName": "Premier League", "homeTeamName": "Arsenal",\n'
        b'                    "awayTeamName": "Liverpool", "matchStartTime": "18.30"}'
    )


async def test_the_guides_definition(api):
    answer = await api.post("createNotificationDefinition", DEFINITION)
    assert (answer.status_code, answer.json()) == (200, {"notificationKey": 96})
    [(_, (_, template), _)] = api.activities.calls
    assert (template.title, template.text) == ("Live Activity Started", "Tracking your process in real-time")
    assert template.state == b'{"title": "Uploading File", "subtitle": "Almost there...", "progress": 0.7}'


async def test_a_definition_may_nest_its_fields_under_message(api):
    answer = await api.post("createNotificationDefinition", {"message": content(groupId="g")})
    assert answer.status_code == 200
    [(_, (_, template), _)] = api.activities.calls
    assert (template.title, template.text, template.group_id) == ("Title", "Text", "g")


async def test_the_guides_send(api):
    answer = await api.post("sendNotification", SEND)
    assert (answer.status_code, answer.json()) == (200, {})
    [(_, (_, sends, idempotency), _)] = api.activities.calls
    assert list(sends) == [Send(9401, Audience(ext_ids=("your_external_id",)), group_id="aw-ch-2025")]
    assert idempotency is None


async def test_a_send_without_a_message(api):
    answer = await api.post("sendNotification", {"notificationKey": "9401", "target": {"extId": "u"}})
    assert answer.json() == {}


async def test_a_send_of_several_entries(api):
    entries = [{"notificationKey": str(key), "target": {"extId": [f"u{key}"]}} for key in (1, 2)]
    assert (await api.post("sendNotification", entries)).status_code == 200
    [(_, (_, sends, _), _)] = api.activities.calls
    assert [(one.notification_key, one.audience.ext_ids) for one in sends] == [(1, ("u1",)), (2, ("u2",))]


async def test_a_send_overrides_content_and_fills_in_parameters(api):
    message = {
        "contentState": {"a": 0.50},
        "liveActAttr": {"b": 1},
        "liveActEndDate": 1769614537,
        "params": {"name": "Ada", "count": 3},
        "priority": 5,
        "ttl": "15d",
    }
    answer = await api.post("sendNotification", {"notificationKey": 1, "message": message, "target": {"extId": "u"}})
    assert answer.status_code == 200
    [(_, (_, [send], _), _)] = api.activities.calls
    assert send.attributes == b'{"b":1}'
    assert (send.ends_at, send.priority, send.params) == (1769614537, 5, {"name": "Ada", "count": "3"})


async def test_a_bulk_start_in_several_languages(api):
    languages = {
        "tr": {"title": "Kampanya", "text": "Merhaba"},
        "de-AT": {"ios": {"title": "Servus"}, "title": "Kampagne"},
        "fr": {},
    }
    answer = await api.post("sendBulkNotification", json.loads(CURRENT_BULK) | {"languages": languages})
    assert answer.status_code == 200
    [(_, (_, start), _)] = api.activities.calls
    assert start.template.languages == {
        "tr": Wording("Kampanya", "Merhaba"), "de-AT": Wording("Servus", None), "fr": Wording()
    }  # fmt: skip


async def test_an_integer_key_is_refused_where_the_operator_wants_strictness(make_api):
    api = make_api(ApiSettings(strict_notification_key=True))
    answer = await api.post("sendNotification", {"notificationKey": 96, "target": {"extId": "u"}})
    assert answer.status_code == 400
    assert answer.json() == {"code": 2004, "error": "Field 'notificationKey' should be a text"}
    assert not api.calls


async def test_a_whole_number_is_an_integer_key_however_it_is_written(api):
    await api.post("sendNotification", b'{"notificationKey": 96.0, "target": {"extId": "u"}}')
    [(_, (_, [send], _), _)] = api.activities.calls
    assert send.notification_key == 96


async def test_the_guides_update(api):
    answer = await api.post("update-live-activity", UPDATE)
    assert (answer.status_code, answer.json()) == (200, {})
    [(name, (app_id, group_id, command), _)] = api.activities.calls
    assert (name, app_id, group_id) == ("update", 7, "ars-liv-2025")
    assert command == Update(b'{"homeTeamScore": 1, "awayTeamScore": 0, "matchStatus": "2nd Half"}', 10, STALE)


async def test_the_guides_end(api):
    answer = await api.post("update-live-activity", END)
    assert (answer.status_code, answer.json()) == (200, {})
    [(name, (_, group_id, command), _)] = api.activities.calls
    assert (name, group_id, command) == ("end", "ars-liv-2025", End(None, 10, STALE))


async def test_a_guide_example_still_works_after_its_dates_have_passed(api):
    """The guide's `staleDate` is in the past by now; only `liveActEndDate` must lie in the future (netmera.md Q8)."""
    body = UPDATE.replace(b"2026-01-11", b"2020-01-11")
    assert (await api.post("update-live-activity", body)).status_code == 200
    body = END.replace(b"2026-01-11", b"2020-01-11")
    assert (await api.post("update-live-activity", body)).status_code == 200
    [update, end] = [call[1][2] for call in api.activities.calls]
    assert update.stale_date == end.dismissal_date == 1578734497


@pytest.mark.parametrize("action", ["UPDATE", "update", "Update"])
async def test_the_action_may_be_in_any_case(api, action):
    answer = await api.post("update-live-activity", {"groupId": "g", "action": action, "contentState": {}})
    assert answer.status_code == 200
    assert api.activities.calls[0][0] == "update"


async def test_dates_that_do_not_belong_to_the_action_are_ignored(api):
    await api.post(
        "update-live-activity", {"groupId": "g", "action": "UPDATE", "contentState": {}, "dismissalDate": "nonsense"}
    )
    await api.post("update-live-activity", {"groupId": "g", "action": "END", "staleDate": "nonsense"})
    await api.post("sendBulkNotification", bulk(staleDate="nonsense", dismissalDate=True))
    assert [call[0] for call in api.activities.calls] == ["update", "end", "start_bulk"]


async def test_an_unknown_group_is_fine_unless_the_app_is_strict(api):
    api.activities.answers["update"] = False
    body = {"groupId": "g", "action": "UPDATE", "contentState": {}}
    assert (await api.post("update-live-activity", body)).json() == {}
    answer = await api.post("update-live-activity", body, headers={"x-netmera-api-key": "strict-key"})
    assert answer.status_code == 400
    assert answer.json() == {"code": 5003, "error": "Live activity group could not be found"}


async def test_an_update_may_alert(api):
    body = b'{"groupId":"g","action":"UPDATE","contentState":{},"alert":{"title" : "Goal!", "body":"1:0"}}'
    await api.post("update-live-activity", body)
    assert api.activities.calls[0][1][2].alert == b'{"title" : "Goal!", "body":"1:0"}'


@pytest.mark.parametrize(
    "state",
    [
        b'{"a": 0.5, "b": 1, "c": 1.0, "d": 1e2, "e": -0.0}',
        b'{ "spaced" :\t[ 1 , 2 ]\n}',
        b'{"escaped": "\\u00e9\\/\\n", "plain": "\xc3\xa9\xf0\x9f\x8f\x9f"}',
        b'{"big": 123456789012345678901234567890, "precise": 0.1000000000000000055511151231257827}',
        b'{"z": 1, "a": {"z": null, "a": []}}',
        b"{}",
    ],
)
async def test_content_passes_byte_for_byte(api, state):
    for operation, body in (
        ("sendBulkNotification", FORMER_BULK),
        ("createNotificationDefinition", DEFINITION),
        ("update-live-activity", UPDATE),
    ):
        start = body.index(b"{", body.index(b"contentState"))
        end = body.index(b"}", start) + 1
        answer = await api.post(operation, body[:start] + state + body[end:])
        assert answer.status_code == 200, answer.text
    assert [_state(call) for call in api.activities.calls] == [state] * 3


def _state(call: Any) -> bytes:
    name, positional, _ = call
    return {
        "start_bulk": lambda: positional[1].template.state,
        "define": lambda: positional[1].state,
        "update": lambda: positional[2].state,
    }[name]()


@pytest.mark.parametrize(
    ("root", "message", "expected"),
    [
        (None, "m", "m"),
        ("r", None, "r"),
        ("r", "m", "m"),
        (None, None, None),
        (None, "", None),
    ],
)
async def test_a_bulk_starts_group_id_may_stand_in_the_message_or_at_the_root(api, root, message, expected):
    body = bulk(groupId=message) | {"groupId": root}
    assert (await api.post("sendBulkNotification", body)).status_code == 200
    assert started(api).template.group_id == expected


async def test_a_definition_and_a_send_may_have_the_group_id_at_the_root(api):
    await api.post("createNotificationDefinition", DEFINITION.replace(b"{", b'{"groupId":"r",', 1))
    await api.post("sendNotification", {"notificationKey": "1", "groupId": "r", "target": {"extId": "u"}})
    [(_, (_, template), _), (_, (_, [send], _), _)] = api.activities.calls
    assert (template.group_id, send.group_id) == ("r", "r")


async def test_the_phone_shows_the_ios_title_where_there_is_one(api):
    await api.post("sendBulkNotification", bulk(ios={"title": "On the phone", "sound": "default"}))
    template = started(api).template
    assert (template.title, template.alert_title) == ("Title", "On the phone")


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        ("2026-01-28T15:35:37Z", 1769614537),
        ("2026-01-28T15:35:37", 1769614537),
        ("2026-01-28T18:35:37+03:00", 1769614537),
        ("2026-01-28T15:35:37.999Z", 1769614537),
        (1769614537, 1769614537),
        (1769614537000, 1769614537),
    ],
)
async def test_forms_of_a_date(api, date, seconds):
    assert (await api.post("sendBulkNotification", bulk(liveActEndDate=date))).status_code == 200
    assert started(api).template.ends_at == seconds


async def test_platforms_other_than_ios_are_ignored(api):
    assert (await api.post("sendBulkNotification", bulk(platforms=["ANDROID", "IOS"]))).status_code == 200


async def test_unknown_fields_are_ignored(api):
    body = bulk(inbox={"expireIn": 3}, labels=["a"]) | {"reportTo": 1}
    assert (await api.post("sendBulkNotification", body)).status_code == 200


async def test_a_type_is_not_needed_where_an_attributes_type_is_given(api):
    body = bulk()
    del body["type"]
    assert (await api.post("sendBulkNotification", body)).status_code == 200


@pytest.mark.parametrize(
    ("schedule", "timezone", "begins"),
    [
        ({"startTime": "2026-02-01T15:30:00", "localTimezone": False}, "UTC", 1769959800000),
        ({"startTime": "2026-02-01T15:30:00"}, "Europe/Istanbul", 1769949000000),
        ({"startTime": "2026-02-01T15:30:00Z"}, "Europe/Istanbul", 1769959800000),
        ({"startTime": "2025-02-01T15:30:00"}, "UTC", None),
        # Clocks skip 02:30, and show it twice.
        ({"startTime": "2026-03-29T02:30:00"}, "Europe/Berlin", 1774747800000),
        ({"startTime": "2026-10-25T02:30:00"}, "Europe/Berlin", 1792888200000),
    ],
)
async def test_a_schedule_is_read_in_the_configured_zone(make_api, schedule, timezone, begins):
    api = make_api(ApiSettings(timezone=timezone))
    assert (await api.post("sendBulkNotification", bulk() | {"schedule": schedule})).status_code == 200
    assert started(api).pace == Pace(begins)


async def test_speed_paces_a_bulk_start(api):
    await api.post("sendBulkNotification", bulk() | {"speed": {"intervalMins": 5, "packageSize": 10000}})
    assert started(api).pace == Pace(None, 10000, 300_000)


async def test_an_idempotency_key_comes_with_a_digest_of_the_request(api):
    await api.post("sendBulkNotification", FORMER_BULK, headers={"Idempotency-Key": "k-1"})
    digest = hashlib.sha256(b"/rest/3.0/sendBulkNotification\n" + FORMER_BULK).digest()
    assert started(api).idempotency == Idempotency("k-1", digest)


async def test_ext_ref_is_a_natural_idempotency_key(api):
    await api.post("sendBulkNotification", bulk() | {"extRef": "mine-1"})
    assert "mine-1" in started(api).idempotency.key


async def test_a_send_takes_an_idempotency_key(api):
    await api.post("sendNotification", SEND, headers={"Idempotency-Key": "k-2"})
    assert api.activities.calls[0][1][2].key == "k-2"


async def test_a_send_may_have_an_ios_title_of_its_own(api):
    message = {"ios": {"title": "For you"}, "staleDate": "whenever", "dismissalDate": 5}
    assert (
        await api.post("sendNotification", {"notificationKey": "1", "target": {"extId": "u"}, "message": message})
    ).status_code == 200
    [(_, (_, (send,), _), _)] = api.activities.calls
    assert send.alert_title == "For you"
