"""The target grammar (netmera.md 5.2), each form against the audience it means."""

from typing import Any

import pytest

from skerry.domain.audience import (
    Audience,
    ProfileCondition,
    ProfileGroup,
    Quantifier,
    Segment,
    SegmentCondition,
    TagCondition,
)
from skerry.domain.location import Circle
from skerry.domain.segment import UnknownSegmentError

ANY, ALL, NONE = Quantifier.ANY, Quantifier.ALL, Quantifier.NONE
TOKEN = "AB" * 32


def tags(quantifier: Quantifier, *names: str) -> Audience:
    return Audience(tags=TagCondition(quantifier, names))


def segments(quantifier: Quantifier, *names: str) -> Audience:
    return Audience(segments=SegmentCondition(quantifier, tuple(map(Segment, names))))


def profile(*conditions: ProfileCondition | ProfileGroup) -> Audience:
    return Audience(profile=ProfileGroup(ALL, (ProfileGroup(ALL, conditions),)))


def is_(attribute: str, *values: Any) -> ProfileCondition:
    return ProfileCondition(attribute, values)


async def ask(api: Any, target: Any, **root: Any) -> Any:
    return await api.post("sendNotification", {"notificationKey": "1", "target": target, **root})


@pytest.mark.parametrize(
    ("target", "audience"),
    [
        ({"sendToAll": True}, Audience(everyone=True)),
        ({"extId": "u"}, Audience(ext_ids=("u",))),
        ({"extId": ["u", "v", "u"]}, Audience(ext_ids=("u", "v"))),
        ({"deviceToken": TOKEN}, Audience(device_tokens=(TOKEN.lower(),))),
        ({"deviceToken": [TOKEN, TOKEN.lower()]}, Audience(device_tokens=(TOKEN.lower(),))),
        ({"extId": "u", "lastActiveDevice": True}, Audience(ext_ids=("u",), last_active_device=True)),
        ({"extId": "u", "lastActiveDevice": False}, Audience(ext_ids=("u",))),
        ({"sendToAll": False, "extId": "u"}, Audience(ext_ids=("u",))),
        ({"tag": "a"}, tags(ANY, "a")),
        ({"tag": ["a", "b"]}, tags(ANY, "a", "b")),
        ({"tag": {"$or": ["a", "b"]}}, tags(ANY, "a", "b")),
        ({"tag": {"$and": ["a", "b"]}}, tags(ALL, "a", "b")),
        ({"tag": {"$not": ["a", "b"]}}, tags(NONE, "a", "b")),
        ({"tag": "a", "extId": "u"}, Audience(ext_ids=("u",), tags=TagCondition(ANY, ("a",)))),
        ({"profile": {"age": 30}}, profile(is_("age", 30))),
        ({"profile": {"age": 30.5, "vip": True}}, profile(is_("age", 30.5), is_("vip", True))),
        ({"profile": {"city": ["Rome", "Oslo"]}}, profile(is_("city", "Rome", "Oslo"))),
        ({"profile": {"city": {"$exists": True}}}, profile(ProfileCondition("city", exists=True))),
        ({"profile": {"city": {"$exists": False}}}, profile(ProfileCondition("city", exists=False))),
        ({"profile": {"city": {"$not": ["Rome"]}}}, profile(ProfileCondition("city", ("Rome",), negated=True))),
        (
            {"profile": {"$or": {"city": ["Rome"], "age": [1, 2]}}},
            profile(ProfileGroup(ANY, (is_("city", "Rome"), is_("age", 1, 2)))),
        ),
        (
            {"profile": {"vip": True, "$not": {"city": "Rome"}}},
            profile(is_("vip", True), ProfileGroup(NONE, (is_("city", "Rome"),))),
        ),
        (
            {"profile": {"$or": {"a": 1, "$and": {"b": 2, "c": 3}}}},
            profile(ProfileGroup(ANY, (is_("a", 1), ProfileGroup(ALL, (is_("b", 2), is_("c", 3)))))),
        ),
        (
            {"profile": {"$or": [{"a": 1, "b": 2}, {"a": 3}]}},
            profile(
                ProfileGroup(ANY, (ProfileGroup(ALL, (is_("a", 1), is_("b", 2))), ProfileGroup(ALL, (is_("a", 3),))))
            ),
        ),
        ({"pa": {"a": "x"}}, profile(is_("a", "x"))),
        ({"segment": "a"}, segments(ANY, "a")),
        ({"segment": ["a", "b"]}, segments(ANY, "a", "b")),
        ({"segment": {"$and": ["a", "b"]}}, segments(ALL, "a", "b")),
        ({"segment": {"$not": "a"}}, segments(NONE, "a")),
        (
            {"location": {"latitude": 41.037, "longitude": 28, "radius": 2.5}},
            Audience(location=Circle(41.037, 28.0, 2.5)),
        ),
        ({"pa": {"a": ["x", "y"]}}, profile(is_("a", "x", "y"))),
    ],
)
async def test_a_target_and_the_audience_it_means(api, target, audience):
    answer = await ask(api, target)
    assert answer.status_code == 200, answer.text
    [(_, (_, [send], _), _)] = api.activities.calls
    assert send.audience == audience


async def test_profile_and_pa_must_both_hold(api):
    await ask(api, {"profile": {"a": 1}, "pa": {"b": 2}})
    [(_, (_, [send], _), _)] = api.activities.calls
    assert send.audience.profile == ProfileGroup(
        ALL, (ProfileGroup(ALL, (is_("a", 1),)), ProfileGroup(ALL, (is_("b", 2),)))
    )


async def test_the_last_active_device_may_be_asked_for_beside_the_target(api):
    await ask(api, {"extId": "u"}, lastActiveDevice=True)
    [(_, (_, [send], _), _)] = api.activities.calls
    assert send.audience.last_active_device


async def test_a_token_that_cannot_be_one_matches_nobody_as_an_unknown_user_does(api):
    answer = await ask(api, {"deviceToken": ["not-a-token"]})
    assert answer.status_code == 200
    [(_, (_, [send], _), _)] = api.activities.calls
    assert send.audience.device_tokens == ("",)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ({"sendToAll": "yes"}, "target.sendToAll"),
        ({"tag": 1}, "target.tag"),
        ({"tag": []}, "target.tag"),
        ({"tag": [1]}, "target.tag"),
        ({"tag": {}}, "target.tag"),
        ({"tag": {"$xor": ["a"]}}, "target.tag"),
        ({"tag": {"$or": ["a"], "$and": ["b"]}}, "target.tag"),
        ({"tag": {"$or": {}}}, "target.tag.$or"),
        ({"profile": {}}, "target.profile"),
        ({"profile": []}, "target.profile"),
        ({"profile": {"a": None}}, "target.profile.a"),
        ({"profile": {"a": []}}, "target.profile.a"),
        ({"profile": {"a": [[1]]}}, "target.profile.a"),
        ({"profile": {"a": {"$exists": 1}}}, "target.profile.a"),
        ({"profile": {"a": {"$gt": 1}}}, "target.profile.a"),
        ({"profile": {"$nor": {"a": 1}}}, "target.profile.$nor"),
        ({"profile": {"$or": 1}}, "target.profile.$or"),
        ({"profile": {"$or": {}}}, "target.profile.$or"),
        ({"segment": 1}, "target.segment"),
        ({"segment": {"$xor": ["a"]}}, "target.segment"),
        ({"location": 1}, "target.location"),
        ({"location": {"latitude": 1, "longitude": 2}}, "target.location.radius"),
        ({"location": {"latitude": 91, "longitude": 2, "radius": 3}}, "target.location.latitude"),
        ({"location": {"latitude": 1, "longitude": "2", "radius": 3}}, "target.location.longitude"),
        ({"location": {"latitude": 1, "longitude": 2, "radius": 0}}, "target.location.radius"),
        ({"location": {"latitude": 1, "longitude": 2, "radius": 30_000}}, "target.location.radius"),
        ({"email": "a@b.c"}, "target.email"),
        ({"msisdn": "+90"}, "target.msisdn"),
        ({"extId": [""]}, "target.extId"),
        ({"extId": []}, "target.extId"),
    ],
)
async def test_a_malformed_target_is_named(api, target, path):
    answer = await ask(api, target)
    assert answer.status_code == 400
    assert answer.json()["code"] in (2004, 2020)
    assert path in answer.json()["error"]
    assert not api.calls


async def test_a_segment_that_there_is_not(api):
    api.activities.answers["send"] = UnknownSegmentError("vip")
    answer = await ask(api, {"segment": "vip"})
    assert (answer.status_code, answer.json()) == (400, {"code": 5042, "error": "Segment not found"})


@pytest.mark.parametrize("shape", ["wide", "deep"])
async def test_a_condition_beyond_what_a_database_can_take_is_refused(api, shape):
    """SQLite takes expressions up to a depth of 1000; a condition that large is a mistake anyway."""
    if shape == "wide":
        target: Any = {"profile": {f"a{number}": number for number in range(2000)}}
    else:
        target = {"a": 1}
        for _ in range(40):
            target = {"$not": target}
        target = {"profile": target}
    answer = await ask(api, target)
    assert (answer.status_code, answer.json()["code"]) == (400, 2004)
    assert "target.profile" in answer.json()["error"]
    assert not api.calls
