"""Segments and previews, of our own API and of the drop-in one: read, ask a service, answer."""

from typing import Any, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from skerry.api.ports import Audiences, Segments
from skerry.api.problems import ProblemError
from skerry.api.rest3 import queries
from skerry.api.rest3.errors import UNKNOWN_SEGMENT, Rest3Error, invalid, missing
from skerry.api.rest3.fields import NUL
from skerry.api.v1.activities import ABSENT, alert_of
from skerry.api.v1.audiences import read_audience, write_audience
from skerry.api.v1.headers import idempotency
from skerry.api.v1.reading import Body, not_found, read, read_params, refused, template_bytes, text
from skerry.domain import personal
from skerry.domain.ids import AppId, GroupId
from skerry.domain.preview import Count, Missing, Preview
from skerry.domain.segment import SegmentInUseError, StoredSegment, TooManySegmentsError

MOST_NAME = 128
MOST_TYPE = 256
MOST_USERS = 10_000
"""That one answer of `getSegmentUsers` has."""


class PreviewBody(Body):
    """`POST /v1/audiences:preview`."""

    audience: Any
    attributes_type: str
    activity: str | None = None
    attributes: msgspec.Raw = ABSENT
    state: msgspec.Raw = ABSENT
    alert: msgspec.Raw = ABSENT
    params: dict[str, Any] | None = None


class SegmentBody(Body):
    """`PUT /v1/segments/{name}`."""

    audience: Any


class Requests(Protocol):
    """Who is calling with a REST key, and what they send."""

    async def app_of(self, request: Request) -> AppId:
        """Whose key it is."""

    async def app_and_body(self, request: Request) -> tuple[AppId, bytes]:
        """The same, and the body."""

    def following(self, request: Request, maximum: int, offset: int) -> str:
        """The address of the next page."""


class AudienceHandlers:
    """The handlers of whatever has to do with audiences by themselves."""

    def __init__(self, audiences: Audiences, segments: Segments, requests: Requests) -> None:
        self._audiences = audiences
        self._segments = segments
        self._requests = requests

    async def preview(self, request: Request) -> Response:
        """What a start would find."""
        app_id, body = await self._requests.app_and_body(request)
        sent = read(body, PreviewBody)
        audience = read_audience(sent.audience, "audience")
        attributes_type = text(sent.attributes_type, "attributes_type", MOST_TYPE) or ""
        activity = text(sent.activity, "activity", MOST_TYPE)
        params = read_params(sent.params)
        gaps = personal.gaps(
            template_bytes(sent.attributes, "attributes", params),
            template_bytes(sent.state, "state", params),
            alert_of(sent.alert, params),
        )
        found = await self._audiences.preview(
            app_id, audience, attributes_type, None if activity is None else GroupId(activity), gaps
        )
        return JSONResponse(_preview(found))

    async def put_segment(self, request: Request) -> Response:
        """Store a segment."""
        app_id, body = await self._requests.app_and_body(request)
        name = _segment_name(request)
        audience = read_audience(read(body, SegmentBody).audience, "audience")
        try:
            stored = await self._segments.save(app_id, name, audience, idempotency=idempotency(request, body))
        except TooManySegmentsError as error:
            raise ProblemError(409, "Too many segments", str(error), code="too_many_segments") from error
        return JSONResponse(_segment(stored))

    async def get_segment(self, request: Request) -> Response:
        """One segment."""
        app_id = await self._requests.app_of(request)
        return JSONResponse(_segment(_known(await self._segments.find(app_id, _segment_name(request)))))

    async def delete_segment(self, request: Request) -> Response:
        """Forget a segment; answers with what it was."""
        app_id = await self._requests.app_of(request)
        try:
            return JSONResponse(
                _segment(
                    _known(
                        await self._segments.remove(app_id, _segment_name(request), idempotency=idempotency(request))
                    )
                )
            )
        except SegmentInUseError as error:
            raise ProblemError(409, "Segment in use", str(error), code="segment_in_use") from error

    async def list_segments(self, request: Request) -> Response:
        """All segments by name, without what they are made of."""
        app_id = await self._requests.app_of(request)
        return JSONResponse(
            {
                "segments": [
                    {"name": one.name, "id": one.segment_id, "updated_at": one.updated_at}
                    for one in await self._segments.all(app_id)
                ]
            }
        )

    # The drop-in API

    async def get_segments(self, request: Request) -> Response:
        """`getSegments`: all of them, each with how many users it has on the platform of the header."""
        app_id = await self._requests.app_of(request)
        found = await self._segments.sizes(app_id, _platform(request))
        shown = [{"id": one.segment_id, "name": one.name, "userCount": one.users, "type": "DYNAMIC"} for one in found]
        return JSONResponse({"list": shown})

    async def get_segment_users(self, request: Request) -> Response:
        """`getSegmentUsers`: the users of one segment, page by page where there are very many."""
        app_id = await self._requests.app_of(request)
        platform = _platform(request)
        segment_id = queries.segment_id(request)
        maximum, offset = queries.page(request, most=MOST_USERS, default=MOST_USERS)
        found = await self._segments.users(app_id, segment_id, platform, maximum, offset)
        if found is None:
            raise Rest3Error(UNKNOWN_SEGMENT)
        shown = [{"externalId": one.ext_id, "msisdn": one.msisdn, "email": one.email} for one in found.users]
        following = self._requests.following(request, maximum, offset) if found.more else None
        return JSONResponse({"name": found.name, "list": shown, "nextPage": following})


def _segment_name(request: Request) -> str:
    name = str(request.path_params["name"])
    if not name.strip(".") or len(name) > MOST_NAME or NUL in name:
        raise refused("name", "is not a segment's name", f"send 1 to {MOST_NAME} characters, not only dots, no U+0000")
    return name


def _known(stored: StoredSegment | None) -> StoredSegment:
    if stored is None:
        raise not_found("no segment has this name", "GET /v1/segments lists those there are")
    return stored


def _platform(request: Request) -> str:
    value = request.headers.get("x-netmera-os", "").strip().upper()
    if not value:
        raise missing("X-netmera-os")
    if value not in ("IOS", "ANDROID"):
        raise invalid("Header 'X-netmera-os' should be IOS or ANDROID")
    return value


def _segment(stored: StoredSegment) -> dict[str, Any]:
    return {
        "name": stored.name,
        "id": stored.segment_id,
        "audience": write_audience(stored.audience),
        "created_at": stored.created_at,
        "updated_at": stored.updated_at,
    }


def _preview(found: Preview) -> dict[str, Any]:
    return {
        "matched": found.matched,
        "startable": found.startable,
        "not_startable": {reason.value: _count(count) for reason, count in found.not_startable.items()},
        "doubts": {doubt.value: _count(count) for doubt, count in found.doubts.items()},
        "users_without_device": _missing(found.users_without_device),
        "unknown_devices": _missing(found.unknown_devices),
    }


def _count(one: Count) -> dict[str, Any]:
    samples = [{"installation_id": sample.installation_id, "user": sample.ext_id} for sample in one.samples]
    return {"count": one.count, "samples": samples}


def _missing(one: Missing) -> dict[str, Any]:
    return {"count": one.count, "samples": list(one.samples)}
