"""`audience` of our own API, segments and previews, and the drop-in operations about segments."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry.api.problems import ProblemError
from skerry.api.v1.audiences import read_audience, write_audience
from skerry.domain.audience import (
    Audience,
    ProfileCondition,
    ProfileGroup,
    Quantifier,
    Segment,
    SegmentCondition,
    TagCondition,
)
from skerry.domain.errors import OverloadedError, SurveyTooLongError
from skerry.domain.location import Circle
from skerry.domain.personal import Blank, Kind
from skerry.domain.rollout import Rollout
from skerry.domain.segment import (
    AudienceTooComplexError,
    SegmentCycleError,
    SegmentInUseError,
    TooManySegmentsError,
    UnknownSegmentError,
)

ANY, ALL, NONE = Quantifier.ANY, Quantifier.ALL, Quantifier.NONE
CIRCLE = {"latitude": 41, "longitude": 29.5, "radius": 10}


def segments(quantifier: Quantifier, *names: str) -> SegmentCondition:
    return SegmentCondition(quantifier, tuple(map(Segment, names)))


# The grammar


@pytest.mark.parametrize(
    ("value", "audience"),
    [
        ({"all": True}, Audience(everyone=True)),
        ({"all": True, "users": None}, Audience(everyone=True)),
        ({"users": ["u", "v", "u"]}, Audience(ext_ids=("u", "v"))),
        ({"users": "u"}, Audience(ext_ids=("u",))),
        ({"devices": ["i-1"]}, Audience(installation_ids=("i-1",))),
        ({"tags": "a"}, Audience(tags=TagCondition(ANY, ("a",)))),
        ({"tags": {"$not": ["a", "b"]}}, Audience(tags=TagCondition(NONE, ("a", "b")))),
        ({"segment": ["a", "b"]}, Audience(segments=segments(ANY, "a", "b"))),
        ({"segment": {"$and": ["a", "b"]}}, Audience(segments=segments(ALL, "a", "b"))),
        (
            {"profile": {"city": ["Rome"], "vip": True}},
            Audience(
                profile=ProfileGroup(ALL, (ProfileCondition("city", ("Rome",)), ProfileCondition("vip", (True,))))
            ),
        ),
        ({"location": CIRCLE}, Audience(location=Circle(41.0, 29.5, 10.0))),
        (
            {"all": True, "exclude": {"segment": "staff", "tags": "beta"}},
            Audience(
                everyone=True, exclude=Audience(segments=segments(ANY, "staff"), tags=TagCondition(ANY, ("beta",)))
            ),
        ),
        ({"all": True, "percent": 12.5}, Audience(everyone=True, rollout=Rollout(1250))),
        ({"all": True, "percent": 0.01}, Audience(everyone=True, rollout=Rollout(1))),
        ({"all": True, "percent": 33.33, "salt": "spring"}, Audience(everyone=True, rollout=Rollout(3333, "spring"))),
        ({"all": True, "percent": 0}, Audience(everyone=True, rollout=Rollout(0))),
    ],
)
def test_an_audience_and_what_it_means(value, audience):
    assert read_audience(value, "audience") == audience


@pytest.mark.parametrize(
    ("value", "field", "fix"),
    [
        (None, "audience", "at least one of all, users"),
        ([], "audience", "at least one of all, users"),
        ({}, "audience", "at least one of all, users"),
        ({"percent": 10}, "audience", "at least one of all, users"),
        ({"exclude": {"tags": "a"}}, "audience", "at least one of all, users"),
        ({"all": False}, "audience.all", "be true"),
        ({"everyone": True}, "audience.everyone", "all, users, devices"),
        ({"all": True, "Percent": 5}, "audience.Percent", "percent"),
        ({"users": []}, "audience.users", "list of texts"),
        ({"users": [1]}, "audience.users", "list of texts"),
        ({"users": ["a\0"]}, "audience.users", "U+0000"),
        ({"users": ["a" * 513]}, "audience.users", "at most 512 characters"),
        ({"users": [str(number) for number in range(1001)]}, "audience.users", "at most 1000"),
        ({"tags": {"any": ["a"]}}, "audience.tags", "$or, $and, $not"),
        ({"segment": {"$not": []}}, "audience.segment.$not", "list of texts"),
        ({"profile": {"a": {"$gt": 1}}}, "audience.profile.a", "$exists"),
        ({"profile": {f"a{number}": 1 for number in range(201)}}, "audience.profile", "at most 200"),
        ({"location": {"latitude": 1, "longitude": 1}}, "audience.location.radius", "all required"),
        ({"location": CIRCLE | {"unit": "mi"}}, "audience.location.unit", "latitude, longitude, radius"),
        ({"location": CIRCLE | {"latitude": 90.1}}, "audience.location.latitude", "between -90 and 90"),
        ({"location": CIRCLE | {"longitude": -181}}, "audience.location.longitude", "between -180 and 180"),
        ({"location": CIRCLE | {"radius": True}}, "audience.location.radius", "a number"),
        ({"all": True, "exclude": {}}, "audience.exclude", "at least one of"),
        ({"all": True, "exclude": {"all": True, "percent": 5}}, "audience.exclude.percent", "not be there"),
        ({"all": True, "exclude": {"all": True, "exclude": {"all": True}}}, "audience.exclude.exclude", "not be there"),
        ({"all": True, "percent": 101}, "audience.percent", "between 0 and 100"),
        ({"all": True, "percent": "10"}, "audience.percent", "a number"),
        ({"all": True, "percent": 1.005}, "audience.percent", "two decimals"),
        ({"all": True, "salt": "x"}, "audience.salt", "without percent"),
        ({"all": True, "percent": 1, "salt": ""}, "audience.salt", "not empty"),
    ],
)
def test_a_malformed_audience_names_the_field_and_the_fix(value, field, fix):
    with pytest.raises(ProblemError) as refused:
        read_audience(value, "audience")
    (error,) = refused.value.errors
    assert (refused.value.status, error.field) == (422, field)
    assert fix in error.fix


scalars = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=3) | st.booleans()
scalars |= st.integers(-5, 5) | st.floats(-5, 5)
names = st.sampled_from(["a", "b", "c"])
texts = names | st.lists(names, min_size=1, max_size=3)
quantified = texts | st.dictionaries(st.sampled_from(["$or", "$and", "$not"]), texts, min_size=1, max_size=1)
values = (
    scalars
    | st.lists(scalars, min_size=1, max_size=2)
    | st.fixed_dictionaries({"$exists": st.booleans()})
    | st.fixed_dictionaries({"$not": st.lists(scalars, min_size=1, max_size=2)})
)
profiles = st.recursive(
    st.dictionaries(names, values, min_size=1, max_size=2),
    lambda inner: st.dictionaries(
        st.sampled_from(["$or", "$and", "$not"]),
        inner | st.lists(inner, min_size=1, max_size=2),
        min_size=1,
        max_size=2,
    ),
    max_leaves=4,
)
selections = {
    "all": st.just(True),
    "users": texts,
    "devices": texts,
    "tags": quantified,
    "segment": quantified,
    "profile": profiles,
    "location": st.fixed_dictionaries(
        {"latitude": st.floats(-90, 90), "longitude": st.floats(-180, 180), "radius": st.floats(0.01, 20_000)}
    ),
}


@st.composite
def written(draw: st.DrawFn) -> dict[str, Any]:
    def selection() -> dict[str, Any]:
        chosen = draw(st.lists(st.sampled_from(sorted(selections)), min_size=1, max_size=3, unique=True))
        return {name: draw(selections[name]) for name in chosen}

    found = selection()
    if draw(st.booleans()):
        found["exclude"] = selection()
    if draw(st.booleans()):
        found["percent"] = draw(st.integers(0, 10_000)) / 100
        if draw(st.booleans()):
            found["salt"] = draw(names)
    return found


@settings(max_examples=300, deadline=None)
@given(written())
def test_what_is_written_of_an_audience_is_read_as_the_same_audience(value):
    audience = read_audience(value, "audience")
    again = json.loads(json.dumps(write_audience(audience)))
    assert read_audience(again, "audience") == audience


# Segments


async def put(api: Any, name: str, body: Any) -> Any:
    return await api.client.put(f"/v1/segments/{name}", json=body)


async def test_a_segment_is_stored_and_told_as_it_was_said(api):
    answer = await put(api, "vip", {"audience": {"tags": ["vip"]}})
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "name": "vip",
            "id": 3,
            "audience": {"tags": ["vip"]},
            "created_at": 1_767_225_600_000,
            "updated_at": 1_767_225_600_000,
        },
    )
    vip = Audience(tags=TagCondition(ANY, ("vip",)))
    assert api.segments.calls == [("save", (7, "vip", vip), {"idempotency": None})]
    assert (await api.client.get("/v1/segments/vip")).json() == answer.json()
    assert (await api.client.delete("/v1/segments/vip")).json() == answer.json()
    listed = (await api.client.get("/v1/segments")).json()
    assert listed == {"segments": [{"name": "vip", "id": 3, "updated_at": 1_767_225_600_000}]}


async def test_names_may_have_what_a_path_can_say(api):
    assert (await put(api, "Müşteri%20%231", {"audience": {"all": True}})).status_code == 200
    [(_, (_, name, _), _)] = api.segments.calls
    assert name == "Müşteri #1"


@pytest.mark.parametrize("name", ["a" * 129, "%00", "a%00b", "..."])
async def test_names_that_cannot_be(api, name):
    answer = await put(api, name, {"audience": {"all": True}})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "name")
    assert not api.calls


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ([], 422, "body"),
        ({}, 422, "audience"),
        ({"audience": None}, 422, "audience"),
        ({"audience": {"all": True}, "name": "x"}, 422, "name"),
        ({"audience": {"all": True, "foo": 1}}, 422, "audience.foo"),
    ],
)
async def test_a_malformed_segment(api, body, status, field):
    answer = await put(api, "vip", body)
    assert (answer.status_code, answer.json()["code"]) == (status, "invalid_field")
    assert answer.json()["errors"][0]["field"] == field
    assert not api.calls


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (UnknownSegmentError("staff"), 422, "segment_not_found"),
        (SegmentCycleError(("a", "b", "a")), 422, "segment_cycle"),
        (AudienceTooComplexError("too complex"), 422, "audience_too_complex"),
        (TooManySegmentsError(), 409, "too_many_segments"),
    ],
)
async def test_a_segment_that_cannot_be(api, error, status, code):
    api.segments.answers["save"] = error
    answer = await put(api, "vip", {"audience": {"segment": "staff"}})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["detail"] == str(error)


async def test_a_segment_that_others_use_is_not_deleted(api):
    api.segments.answers["remove"] = SegmentInUseError("staff", ("guests",))
    answer = await api.client.delete("/v1/segments/staff")
    assert (answer.status_code, answer.json()["code"]) == (409, "segment_in_use")
    assert "'guests'" in answer.json()["detail"]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_a_segment_that_is_not_there(api, method):
    api.segments.answers |= {"find": None, "remove": None}
    answer = await api.client.request(method, "/v1/segments/nothing")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/segments"), ("PUT", "/v1/segments/a"), ("POST", "/v1/audiences:preview")]
)
async def test_an_sdk_key_knows_nothing_of_audiences(api, method, path):
    answer = await api.client.request(method, path, json={}, headers={"X-netmera-api-key": "sdk-key"})
    assert answer.status_code == 403
    assert not api.calls


# Previews


async def preview(api: Any, **body: Any) -> Any:
    return await api.client.post("/v1/audiences:preview", json=body)


async def test_a_preview_counts_and_says_why(api):
    answer = await preview(api, audience={"all": True}, attributes_type="Match", activity="ars-liv")
    assert answer.status_code == 200
    assert answer.json() == {
        "matched": 12,
        "startable": 10,
        "not_startable": {
            "no_start_token": {
                "count": 2,
                "samples": [{"installation_id": "i-1", "user": "u-1"}, {"installation_id": "i-2", "user": None}],
            }
        },
        "doubts": {"push_off": {"count": 1, "samples": [{"installation_id": "i-3", "user": None}]}},
        "users_without_device": {"count": 1, "samples": ["u-9"]},
        "unknown_devices": {"count": 0, "samples": []},
    }
    assert api.audiences.calls == [("preview", (7, Audience(everyone=True), "Match", "ars-liv", []), {})]


async def test_a_preview_asks_for_what_its_texts_cannot_do_without(api):
    texts = {
        "attributes": {"seat": "@{seat:number}", "club": "@{club|-}"},
        "state": {"greeting": "Hi @{name}, @{ name }, @{shop}"},
        "alert": {"title": {"default": "@{name}!", "tr": "@{ad}!"}, "body": ""},
        "params": {"shop": "S"},
    }
    answer = await preview(api, audience={"all": True}, attributes_type="Match", **texts)
    assert answer.status_code == 200
    asked = [Blank("seat", Kind.NUMBER, None), Blank("name", Kind.TEXT, None), Blank("ad", Kind.TEXT, None)]
    assert api.audiences.calls == [("preview", (7, Audience(everyone=True), "Match", None, asked), {})]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"audience": {"all": True}}, "attributes_type"),
        ({"attributes_type": "Match"}, "audience"),
        ({"audience": {"all": True}, "attributes_type": ""}, "attributes_type"),
        ({"audience": {"all": True}, "attributes_type": 5}, "attributes_type"),
        ({"audience": {"all": True}, "attributes_type": "M", "activity": "a\0"}, "activity"),
        ({"audience": {"all": True}, "attributes_type": "M", "group": "a"}, "group"),
        ({"audience": {"all": True}, "attributes_type": "M", "state": []}, "state"),
        ({"audience": {"all": True}, "attributes_type": "M", "state": {"a": "@{}"}}, "state"),
        ({"audience": {"all": True}, "attributes_type": "M", "attributes": "x"}, "attributes"),
        ({"audience": {"all": True}, "attributes_type": "M", "alert": {"body": 5}}, "alert.body"),
        ({"audience": {"all": True}, "attributes_type": "M", "params": {"a": []}}, "params.a"),
    ],
)
async def test_a_malformed_preview(api, body, field):
    answer = await preview(api, **body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    assert not api.calls


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (UnknownSegmentError("x"), 422, "segment_not_found"),
        (AudienceTooComplexError("x"), 422, "audience_too_complex"),
        (SurveyTooLongError(10), 503, "survey_too_long"),
    ],
)
async def test_a_preview_that_cannot_be(api, error, status, code):
    api.audiences.answers["preview"] = error
    answer = await preview(api, audience={"all": True}, attributes_type="Match")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert ("retry-after" in answer.headers) is (status == 503)


async def test_too_many_previews_at_once(api):
    api.audiences.answers["preview"] = OverloadedError("the queue", 1.0)
    answer = await preview(api, audience={"all": True}, attributes_type="Match")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")


# The drop-in API


async def get(api: Any, operation: str, os: str | None = "IOS", **query: Any) -> Any:
    headers = {} if os is None else {"X-netmera-os": os}
    return await api.client.get(f"/rest/3.0/{operation}", params=query, headers=headers)


async def test_get_segments(api):
    answer = await get(api, "getSegments", "ios")
    assert answer.json() == {"list": [{"id": 3, "name": "vip", "userCount": 1200, "type": "DYNAMIC"}]}
    assert api.segments.calls == [("sizes", (7, "IOS"), {})]


async def test_get_segment_users(api):
    answer = await get(api, "getSegmentUsers", "ANDROID", id=3)
    assert answer.json() == {
        "name": "vip",
        "list": [{"externalId": "u-1", "msisdn": "+90", "email": None}],
        "nextPage": None,
    }
    assert api.segments.calls == [("users", (7, 3, "ANDROID", 10_000, 0), {})]


async def test_get_segment_users_page_by_page(api):
    found = api.segments.answers["users"]
    api.segments.answers["users"] = type(found)(found.name, found.users, more=True)
    answer = await get(api, "getSegmentUsers", id=3, max=1, offset=4)
    assert answer.json()["nextPage"] == "http://skerry.test/rest/3.0/getSegmentUsers?id=3&max=1&offset=5"


async def test_get_segment_users_of_a_segment_that_there_is_not(api):
    api.segments.answers["users"] = None
    answer = await get(api, "getSegmentUsers", id=9)
    assert (answer.status_code, answer.json()) == (400, {"code": 5042, "error": "Segment not found"})


@pytest.mark.parametrize(
    ("operation", "os", "query", "code", "text"),
    [
        ("getSegments", None, {}, 2020, "X-netmera-os is required"),
        ("getSegments", "WINDOWS", {}, 2004, "IOS or ANDROID"),
        ("getSegmentUsers", None, {"id": 3}, 2020, "X-netmera-os is required"),
        ("getSegmentUsers", "IOS", {}, 2020, "id is required"),
        ("getSegmentUsers", "IOS", {"id": "x"}, 2004, "'id'"),
        ("getSegmentUsers", "IOS", {"id": 3, "max": 10_001}, 2004, "'max'"),
    ],
)
async def test_get_segments_asked_wrongly(api, operation, os, query, code, text):
    answer = await get(api, operation, os, **query)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert text in answer.json()["error"]
    assert not api.calls


async def test_counting_segments_that_takes_too_long_is_to_be_tried_again(api):
    api.segments.answers["sizes"] = SurveyTooLongError(10)
    answer = await get(api, "getSegments")
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (429, 5022, "10")
