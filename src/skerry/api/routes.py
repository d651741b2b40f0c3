"""The route table: from it come both the routes and their description, so that the two cannot differ."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from skerry.api import examples, schemas
from skerry.api.handlers import Handlers
from skerry.api.schemas import OBJECT, Schema
from skerry.api.v1 import audience_schemas
from skerry.api.v1 import event_schemas as told
from skerry.api.v1 import schedule_schemas as planned
from skerry.api.v1 import schemas as own
from skerry.api.v1.activity_handlers import ActivityHandlers
from skerry.api.v1.batch import NDJSON, BatchHandler
from skerry.api.v1.headers import IF_MATCH, ONCE
from skerry.api.v1.schedule import ScheduleHandlers
from skerry.api.v1.segments import AudienceHandlers

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation. `query` lists the parameters and which of them must be there."""

    method: str
    path: str
    name: str
    summary: str
    handler: Handler
    body: Schema | None = None
    answer: Schema | None = None
    query: dict[str, bool] = field(default_factory=dict)
    public: bool = False
    """Answers without a key."""
    media_type: str = "application/json"
    """Of the answer."""
    body_media_type: str = "application/json"
    example: Any = None
    """A body that works."""
    also: tuple[str, ...] = ()
    """Other statuses of success."""
    optional_body: bool = False
    """Whether the body may be left out."""
    headers: dict[str, bool] = field(default_factory=dict)
    """As `query`; the key's own header left out."""
    refusals: tuple[str, ...] = ()
    """Statuses of problems that only some operations have."""


def table(handlers: Handlers, audiences: AudienceHandlers) -> list[Route]:
    """Every operation of the API."""
    return [
        *_live_activities(handlers),
        *_users(handlers),
        *_readings(handlers),
        *_activities(handlers.activities),
        *_schedule(handlers.schedule),
        *_events(handlers),
        *_segment_readings(audiences),
        _batch(handlers.batches),
        *_own(handlers),
        *_audiences(audiences),
    ]


def _post(
    name: str, summary: str, handler: Handler, body: Schema, answer: Schema | None = None, *, example: Any = None
) -> Route:
    return Route("POST", "/rest/3.0/" + name, name, summary, handler, body, answer, example=example)


def _get(name: str, summary: str, handler: Handler, answer: Schema, **query: bool) -> Route:
    return Route("GET", "/rest/3.0/" + name, name, summary, handler, None, answer, query)


def _live_activities(handlers: Handlers) -> list[Route]:
    return [
        _post(
            "update-live-activity",
            "Update or end a Live Activity",
            handlers.update,
            schemas.REVISION,
            OBJECT,
            example=examples.REVISION,
        ),
        _post(
            "sendNotification",
            "Start a Live Activity from a definition",
            handlers.send,
            schemas.SEND,
            OBJECT,
            example=examples.SEND,
        ),
        _post(
            "sendBulkNotification",
            "Start a Live Activity for many",
            handlers.send_bulk,
            schemas.BULK,
            schemas.KEY,
            example=examples.BULK,
        ),
        _post(
            "createNotificationDefinition",
            "Keep a definition to send later",
            handlers.define,
            schemas.DEFINITION,
            schemas.KEY,
            example=examples.DEFINITION,
        ),
        _post(
            "fireEvents",
            "Report device events through a backend",
            handlers.fire_events,
            schemas.FIRED,
            example=examples.FIRED,
        ),
    ]


def _users(handlers: Handlers) -> list[Route]:
    return [
        _post(
            "registerUsers",
            "Register users and their devices",
            handlers.register_users,
            schemas.USERS,
            example=examples.REGISTRATIONS,
        ),
        _post(
            "deleteUsers",
            "Remove users from audiences",
            handlers.delete_users,
            schemas.EXT_IDS,
            example=examples.EXT_IDS,
        ),
        _post(
            "deleteUsersPermanently",
            "Erase everything about users",
            handlers.erase_users,
            schemas.EXT_IDS,
            example=examples.EXT_IDS,
        ),
        _post("enablePush", "Permit ordinary notifications", handlers.enable_push, schemas.WHO, example=examples.WHO),
        _post("disablePush", "Forbid ordinary notifications", handlers.disable_push, schemas.WHO, example=examples.WHO),
        _post("tagUsers", "Tag users", handlers.tag_users, schemas.TAGS, example=examples.TAGS),
        _post("untagUsers", "Take tags from users", handlers.untag_users, schemas.TAGS, example=examples.TAGS),
        _post(
            "setProfileAttributes",
            "Set profile attributes",
            handlers.set_profile,
            schemas.PROFILES,
            example=examples.PROFILES,
        ),
        _post(
            "unsetProfileAttributes",
            "Remove profile attributes",
            handlers.unset_profile,
            schemas.UNSET,
            example=examples.UNSET,
        ),
        _post(
            "pushProfileAttributes",
            "Add to array attributes",
            handlers.push_profile,
            schemas.PROFILES,
            example=examples.LISTS,
        ),
        _post(
            "pullProfileAttributes",
            "Take from array attributes",
            handlers.pull_profile,
            schemas.PROFILES,
            example=examples.LISTS,
        ),
        _post(
            "deleteProfileAttributes",
            "Remove attributes from all users",
            handlers.delete_profile_attributes,
            schemas.ATTRIBUTE_NAMES,
            example=examples.ATTRIBUTE_NAMES,
        ),
        _post(
            "deleteProfileAttributeValue",
            "Remove a value from an attribute of all users",
            handlers.delete_profile_value,
            schemas.ATTRIBUTE_VALUES,
            example=examples.ATTRIBUTE_VALUES,
        ),
    ]


def _readings(handlers: Handlers) -> list[Route]:
    window = {"start": False, "end": False}
    pages = {"max": False, "offset": False}
    return [
        _get("getProfileAttributes", "A user's attributes", handlers.get_profile, schemas.USER_PROFILE, extId=True),
        _get("getDevices", "A user's devices", handlers.get_devices, schemas.DEVICES, extId=True, pushPermitted=False),
        _get("getDeviceTokens", "All ordinary device tokens", handlers.get_device_tokens, schemas.TOKENS, **pages),
        _get(
            "getPushStats",
            "How starts went, counted",
            handlers.get_push_stats,
            schemas.STATS,
            notificationKey=False,
            **window,
        ),
        _get(
            "getPushResult",
            "How starts went, one by one",
            handlers.get_push_result,
            schemas.RESULTS,
            notificationKey=False,
            extId=False,
            token=False,
            **window,
            **pages,
        ),
    ]


def _activities(handlers: ActivityHandlers) -> list[Route]:
    one = "/v1/activities/{id}"
    return [
        Route(
            "PUT", one, "putActivity", "Say what an activity should show, and for whom", handlers.put,
            own.PUT, own.OUTCOME, {"wait": False}, example=examples.PUT, also=("201",), headers=ONCE | IF_MATCH,
        ),
        Route(
            "DELETE", one, "endActivity", "End an activity", handlers.end,
            own.END, own.OUTCOME, {"wait": False}, optional_body=True, headers=ONCE | IF_MATCH,
        ),
        Route("GET", one, "getActivity", "What an activity shows, and on how many phones", handlers.get,
              answer=own.ACTIVITY),
        Route("GET", one + "/revisions/{n}", "getRevision", "A revision, and what became of it", handlers.revision,
              answer=own.REVISION),
        Route("GET", one + "/cards", "getCards", "Each phone: whether it shows what it should, and if not, why",
              handlers.cards, answer=own.CARDS, query={"after": False, "limit": False}),
        Route("GET", one + "/timeline", "getTimeline", "What happened, in order; for all, or seen from one phone",
              handlers.timeline, answer=own.TIMELINE,
              query={"after": False, "limit": False, "kinds": False, "installation": False}),
    ]  # fmt: skip


def _schedule(handlers: ScheduleHandlers) -> list[Route]:
    one, of_activity = "/v1/schedule/{id}", "/v1/activities/{id}/schedule"
    page = {"state": False, "after": False, "limit": False}
    return [
        Route("POST", of_activity, "schedule", "Change an activity at a later time", handlers.add,
              planned.SCHEDULED, planned.CHANGE, example=examples.SCHEDULED, also=("201",), headers=ONCE),
        Route("GET", of_activity, "listScheduledOf", "What is scheduled for an activity", handlers.of_activity,
              answer=planned.CHANGES, query=page),
        Route("GET", "/v1/schedule", "listScheduled", "What is scheduled", handlers.all, answer=planned.CHANGES,
              query=page),
        Route("GET", one, "getScheduled", "A scheduled change, and what came of it", handlers.get,
              answer=planned.WHOLE_CHANGE),
        Route("DELETE", one, "cancelScheduled", "Cancel a scheduled change", handlers.cancel, answer=planned.CHANGE,
              headers=ONCE),
    ]  # fmt: skip


def _events(handlers: Handlers) -> list[Route]:
    one, hooks = "/v1/webhooks/{name}", handlers.webhooks
    page = {"before": False, "limit": False}
    return [
        Route("GET", "/v1/stream", "streamEvents", "What happens, as server-sent events", handlers.stream.stream,
              answer=told.STREAM, query={"activity": False, "kinds": False, "after": False},
              media_type="text/event-stream"),
        Route("GET", "/v1/webhooks", "listWebhooks", "All webhooks", hooks.list, answer=told.WEBHOOKS),
        Route("PUT", one, "putWebhook", "Make a webhook, or change it", hooks.put, told.WISH, told.WEBHOOK,
              example=examples.WEBHOOK, also=("201",), headers=ONCE),
        Route("GET", one, "getWebhook", "A webhook, and what waits for it", hooks.get, answer=told.WEBHOOK),
        Route("DELETE", one, "deleteWebhook", "Forget a webhook", hooks.delete, answer=OBJECT, headers=ONCE),
        Route("POST", one + ":rotate-secret", "rotateWebhookSecret", "Give a webhook a new secret", hooks.rotate,
              answer=told.SECRET, headers=ONCE),
        Route("GET", one + "/attempts", "listWebhookAttempts", "The log of attempts, the newest first", hooks.attempts,
              answer=told.ATTEMPTS, query=page),
        Route("GET", one + "/dead-letters", "listDeadLetters", "Events that were given up", hooks.dead_letters,
              answer=told.DEAD_LETTERS, query={"after": False, "limit": False}),
        Route("POST", one + "/dead-letters:replay", "replayDeadLetters", "Tell a webhook of all that was given up",
              hooks.replay, answer=told.REPLAYED, headers=ONCE),
        Route("POST", one + "/events/{event_id}:resend", "resendEvent", "Tell a webhook of one event, again if need be",
              hooks.resend, answer=OBJECT, headers=ONCE),
    ]  # fmt: skip


def _segment_readings(handlers: AudienceHandlers) -> list[Route]:
    platform = {"X-netmera-os": True}
    return [
        Route(
            "GET",
            "/rest/3.0/getSegments",
            "getSegments",
            "All segments, with how many users they have",
            handlers.get_segments,
            answer=audience_schemas.SEGMENT_SIZES,
            headers=platform,
        ),
        Route(
            "GET",
            "/rest/3.0/getSegmentUsers",
            "getSegmentUsers",
            "The users of a segment",
            handlers.get_segment_users,
            answer=audience_schemas.SEGMENT_USERS,
            query={"id": True, "max": False, "offset": False},
            headers=platform,
        ),
    ]


def _audiences(handlers: AudienceHandlers) -> list[Route]:
    one = "/v1/segments/{name}"
    return [
        Route(
            "POST",
            "/v1/audiences:preview",
            "previewAudience",
            "How many devices a start would reach, and why not the others",
            handlers.preview,
            audience_schemas.PREVIEW_REQUEST,
            audience_schemas.PREVIEW,
            example=examples.PREVIEW,
            refusals=("503",),
        ),
        Route(
            "GET",
            "/v1/segments",
            "listSegments",
            "All segments",
            handlers.list_segments,
            answer=audience_schemas.SEGMENTS,
        ),
        Route(
            "PUT",
            one,
            "putSegment",
            "Store an audience under a name",
            handlers.put_segment,
            audience_schemas.SEGMENT_REQUEST,
            audience_schemas.SEGMENT,
            example=examples.SEGMENT,
            headers=ONCE,
            refusals=("409",),
        ),
        Route(
            "GET",
            one,
            "getSegment",
            "One segment",
            handlers.get_segment,
            answer=audience_schemas.SEGMENT,
            refusals=("404",),
        ),
        Route(
            "DELETE",
            one,
            "deleteSegment",
            "Forget a segment; answers with what it was",
            handlers.delete_segment,
            answer=audience_schemas.SEGMENT,
            headers=ONCE,
            refusals=("404", "409"),
        ),
    ]


def _batch(handler: BatchHandler) -> Route:
    return Route(
        "POST", "/v1/activities:batch", "batchActivities", "New states of many activities, a line for each",
        handler.batch, own.LINE, own.LINE_RESULT, media_type=NDJSON, body_media_type=NDJSON, example=examples.LINE,
        headers=ONCE,
    )  # fmt: skip


def _own(handlers: Handlers) -> list[Route]:
    return [
        Route(
            "POST",
            "/v1/events",
            "reportEvents",
            "What an installation of the app reports of itself",
            handlers.report_events,
            schemas.REPORT,
            schemas.OUTCOMES,
            example=examples.REPORT,
        ),
        Route(
            "GET",
            "/healthz",
            "healthz",
            "Whether the process is alive",
            handlers.healthz,
            answer=schemas.LIVENESS,
            public=True,
        ),
        Route(
            "GET",
            "/readyz",
            "readyz",
            "Whether the service can do its work",
            handlers.readyz,
            answer=schemas.READINESS,
            public=True,
        ),
    ]
