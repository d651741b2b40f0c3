"""`/v1/schedule`: changes at a later time, read, put on the schedule, shown and cancelled."""

from datetime import datetime
from typing import Any, Literal, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from skerry.api.intake import Intake
from skerry.api.ports import Schedule
from skerry.api.problems import ProblemError
from skerry.api.v1 import activities as forms
from skerry.api.v1.activities import EndBody, PutBody
from skerry.api.v1.audiences import write_audience
from skerry.api.v1.headers import idempotency
from skerry.api.v1.query import Query, whole_number
from skerry.api.v1.reading import moment, not_found, read, refused, text
from skerry.api.v1.refusals import refusal
from skerry.domain.desired import Priority
from skerry.domain.errors import RefusedError
from skerry.domain.ids import GroupId, Millis
from skerry.domain.schedule import (
    ChangeState,
    Ending,
    HasRunError,
    LocalTime,
    Said,
    ScheduledChange,
    ScheduleId,
    TooManyChangesError,
)

T = TypeVar("T")

MOST_PER_PAGE = 1_000
MOST_ZONE = 64
_STATES = {state.name.lower(): state for state in ChangeState}


class _ActionOnly(msgspec.Struct):
    """Which body it is."""

    action: Literal["put", "end"] = "put"


class ScheduledPut(PutBody):
    """The body of a PUT, and when it is to be."""

    at: Any = None
    time_zone: str | None = None
    action: Literal["put"] = "put"


class ScheduledEnd(EndBody):
    """The body of a DELETE, and when it is to be."""

    at: Any = None
    time_zone: str | None = None
    action: Literal["end"] = "end"


class ScheduleHandlers:
    """The handlers of the schedule."""

    def __init__(self, intake: Intake, schedule: Schedule) -> None:
        self._intake = intake
        self._schedule = schedule

    async def add(self, request: Request) -> Response:
        """Put a change on the schedule."""
        app_id = (await self._intake.principal(request)).app.app_id
        group_id = forms.activity_id(request.path_params["id"])
        body = await self._intake.body(request)
        change, when = read_change(body, group_id)
        try:
            added = await self._schedule.add(
                app_id, group_id, change, when, idempotency=idempotency(request, body)
            )  # fmt: skip
        except TooManyChangesError as error:
            fix = "cancel some, or send phases"
            raise ProblemError(409, "Too many scheduled", f"{error}: {fix}", code="too_many_scheduled") from error
        except RefusedError as error:
            raise refusal(error) from error
        return _json(shown(added), 201)

    async def of_activity(self, request: Request) -> Response:
        """Changes of one activity, page by page."""
        return await self._page(request, forms.activity_id(request.path_params["id"]))

    async def all(self, request: Request) -> Response:
        """Changes of the app, page by page."""
        return await self._page(request, None)

    async def get(self, request: Request) -> Response:
        """One change, with all that it says."""
        app_id = (await self._intake.principal(request)).app.app_id
        found, said = _there(await self._schedule.get(app_id, _number(request)))
        return _json(shown(found) | {"change": shown_change(said)})

    async def cancel(self, request: Request) -> Response:
        """Take a change off the schedule."""
        app_id = (await self._intake.principal(request)).app.app_id
        try:
            found = await self._schedule.cancel(app_id, _number(request), idempotency=idempotency(request))
        except HasRunError as error:
            detail = f"{error}: there is nothing to cancel; change the activity itself"
            raise ProblemError(409, "Has run", detail, code="has_run") from error
        except RefusedError as error:
            raise refusal(error) from error
        return _json(shown(_there(found)))

    async def _page(self, request: Request, group_id: GroupId | None) -> Response:
        app_id = (await self._intake.principal(request)).app.app_id
        query = Query(request, ("state", "after", "limit"))
        limit, after = query.number("limit", 100, low=1, high=MOST_PER_PAGE), query.number("after", 0)
        word = query.text("state", most=16) or "waiting"
        if word not in _STATES:
            raise refused("state", "is not a state of a scheduled change", f"use one of {', '.join(_STATES)}")
        found = await self._schedule.page(
            app_id, group_id, _STATES[word], after=ScheduleId(after), maximum=limit
        )  # fmt: skip
        following = found.items[-1].schedule_id if found.more else None
        return _json({"changes": [shown(one) for one in found.items], "next_after": following})


def read_change(body: bytes, group_id: GroupId) -> tuple[Said, Millis | LocalTime]:
    """The change, and when it is to be.

    Raises:
        ProblemError: 400 where the body is not JSON, 422 naming the field otherwise.
    """
    if read(body, _ActionOnly).action == "end":
        end = read(body, ScheduledEnd)
        return Ending(forms.ending(end), forms.version(end.version)), _when(end.at, end.time_zone)
    put = read(body, ScheduledPut)
    # Whether `ends_at` comes late enough is for the service to say, which knows when it begins.
    return forms.desired(put, group_id, Millis(0)), _when(put.at, put.time_zone)


def _when(at: Any, zone: str | None) -> Millis | LocalTime:
    """A moment, or, where `at` says no offset and there is a zone, what clocks show there."""
    zone = text(zone, "time_zone", MOST_ZONE)
    found = moment(at, "at")
    if found is None:
        raise refused("at", "is missing", "send the time at which it is to be")
    if zone is not None and isinstance(at, str):
        local = datetime.fromisoformat(at.strip())
        if local.tzinfo is None:
            return LocalTime(local, zone)
    return found


def shown(change: ScheduledChange) -> dict[str, Any]:
    """A change as lists show it."""
    return {
        "id": change.schedule_id,
        "activity": change.group_id,
        "action": change.action.name.lower(),
        "at": change.at,
        "state": change.state.name.lower(),
        "made_at": change.made_at,
        "settled_at": change.settled_at,
        "revision": change.revision,
        "problem": change.problem and {"code": change.problem.code, "detail": change.problem.detail},
    }


def shown_change(change: Said) -> dict[str, Any]:
    """What it says, in the words of the request. Policies that were left out are not told."""
    said: dict[str, Any] = {}
    if isinstance(change, Ending):
        command = change.command
        said |= {
            "state": forms.raw_of(command.state),
            "alert": forms.raw_of(command.alert),
            "dismiss_at": _millis(command.dismissal_date),
        }
    else:
        said |= {
            "state": forms.raw_of(change.state),
            "type": change.attributes_type,
            "attributes": forms.raw_of(change.attributes),
            "alert": forms.raw_of(change.alert),
            "audience": None if change.audience is None else write_audience(change.audience),
            "priority": _priority(change.priority),
            "important": change.important or None,
            "relevance": change.relevance,
            "stale_at": _millis(change.stale_at),
            "ends_at": _millis(change.ends_at),
            "phases": len(change.phases) or None,
        }
    said["version"] = change.version
    return {name: value for name, value in said.items() if value is not None}


def _there(found: T | None) -> T:
    if found is None:
        raise not_found("there is no such scheduled change", "GET /v1/schedule lists those that wait")
    return found


def _number(request: Request) -> ScheduleId:
    return ScheduleId(whole_number(request.path_params["id"], "id"))


def _priority(priority: Priority) -> int | str:
    return priority.value if priority is Priority.AUTO else int(priority.value)


def _millis(moment_s: int | None) -> int | None:
    return None if moment_s is None else moment_s * 1000


def _json(document: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(document), status, media_type="application/json")
