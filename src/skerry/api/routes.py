"""The route table: from it come both the routes and their description, so that the two cannot differ."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from skerry.api.handlers import Handlers

Handler = Callable[[Request], Awaitable[Response]]
Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
TEXTS: Schema = {"oneOf": [TEXT, {"type": "array", "items": TEXT, "maxItems": 1000}]}
OBJECT: Schema = {"type": "object"}
DATE: Schema = {"oneOf": [{"type": "string", "format": "date-time"}, {"type": "integer"}]}
PRIORITY: Schema = {"type": "integer", "enum": [5, 10]}


def _object(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    return (
        {"type": "object", "required": list(required), "properties": properties}
        if required
        else {
            "type": "object",
            "properties": properties,
        }
    )


def _list(item: Schema) -> Schema:
    return {"type": "array", "items": item, "maxItems": 1000}


TARGET = _object(
    sendToAll={"type": "boolean"},
    extId=TEXTS,
    deviceToken=TEXTS,
    tag={"oneOf": [TEXT, {"type": "array", "items": TEXT}, OBJECT]},
    profile=OBJECT,
    pa=OBJECT,
    lastActiveDevice={"type": "boolean"},
)
CONTENT: dict[str, Schema] = {
    "platforms": {"type": "array", "items": {"type": "string"}, "contains": {"const": "IOS"}},
    "contentState": OBJECT,
    "liveActAttr": OBJECT,
    "liveActAttrType": TEXT,
    "groupId": TEXT,
    "liveActEndDate": DATE,
    "priority": PRIORITY,
    "params": OBJECT,
    "ios": _object(title=TEXT),
}
LIVE = ("platforms", "contentState", "liveActAttr", "liveActAttrType")
BULK = _object(
    ("message", "target"),
    type={"const": "LIVE_ACTIVITY"},
    message=_object(("title", "text", *LIVE), title=TEXT, text=TEXT, **CONTENT),
    target=TARGET,
    schedule=_object(startTime=TEXT, localTimezone={"type": "boolean"}),
    speed=_object(intervalMins={"type": "integer"}, packageSize={"type": "integer"}),
    extRef=TEXT,
)
DEFINITION = _object(("title", "message", *LIVE), title=TEXT, message={"oneOf": [TEXT, OBJECT]}, type=TEXT, **CONTENT)
SEND = _object(
    ("notificationKey", "target"),
    notificationKey={"oneOf": [TEXT, {"type": "integer"}]},
    message=_object((), **CONTENT),
    target=TARGET,
    lastActiveDevice={"type": "boolean"},
)
REVISION = _object(
    ("groupId", "action"),
    groupId=TEXT,
    action={"type": "string", "enum": ["UPDATE", "END"]},
    contentState=OBJECT,
    priority=PRIORITY,
    staleDate=DATE,
    dismissalDate=DATE,
    alert=_object(("title", "body"), title=TEXT, body=TEXT),
)
EVENT = _object(("name",), name=TEXT, token=TEXT, groupId=TEXT, attributesType=TEXT, time=DATE)
REPORT = _object(
    ("installationId", "events"),
    installationId=TEXT,
    installationSecret=TEXT,
    extId=TEXT,
    environment={"type": "string", "enum": ["production", "sandbox"]},
    platform=TEXT,
    osVersion=TEXT,
    appVersion=TEXT,
    deviceModel=TEXT,
    deviceToken=TEXT,
    events={"type": "array", "items": EVENT, "minItems": 1, "maxItems": 100},
)
EXT_IDS = _object(("extIds",), extIds=TEXTS)
TAGS = _object(("tag", "extIds"), tag=TEXTS, extIds=TEXTS)
WHO = _object(extId=TEXT, deviceToken=TEXT)
PROFILES = _list(_object(("extId", "profile"), extId=TEXT, profile=OBJECT))
KEY = _object(("notificationKey",), notificationKey={"type": "integer"})


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


def table(handlers: Handlers) -> list[Route]:
    """Every operation of the API."""
    rest = "/rest/3.0/"

    def post(name: str, summary: str, handler: Handler, body: Schema, answer: Schema | None = None) -> Route:
        return Route("POST", rest + name, name, summary, handler, body, answer)

    def get(name: str, summary: str, handler: Handler, answer: Schema, **query: bool) -> Route:
        return Route("GET", rest + name, name, summary, handler, None, answer, query)

    window = {"start": False, "end": False}
    pages = {"max": False, "offset": False}
    return [
        post("sendBulkNotification", "Start a Live Activity for many", handlers.send_bulk, BULK, KEY),
        post("createNotificationDefinition", "Keep a definition to send later", handlers.define, DEFINITION, KEY),
        post(
            "sendNotification",
            "Start a Live Activity from a definition",
            handlers.send,
            {"oneOf": [SEND, _list(SEND)]},
            OBJECT,
        ),
        post("update-live-activity", "Update or end a Live Activity", handlers.update, REVISION, OBJECT),
        post(
            "fireEvents",
            "Report device events through a backend",
            handlers.fire_events,
            _list(_object(("extId", "name"), extId=TEXT, installationId=TEXT, **EVENT["properties"])),
        ),
        post(
            "registerUsers",
            "Register users and their devices",
            handlers.register_users,
            _list(_object(("extId",), extId=TEXT, platform=TEXT, deviceToken=TEXT, tags=TEXTS, profile=OBJECT)),
        ),
        post("deleteUsers", "Remove users from audiences", handlers.delete_users, EXT_IDS),
        post("deleteUsersPermanently", "Erase everything about users", handlers.erase_users, EXT_IDS),
        post("enablePush", "Permit ordinary notifications", handlers.enable_push, WHO),
        post("disablePush", "Forbid ordinary notifications", handlers.disable_push, WHO),
        post("tagUsers", "Tag users", handlers.tag_users, TAGS),
        post("untagUsers", "Take tags from users", handlers.untag_users, TAGS),
        post("setProfileAttributes", "Set profile attributes", handlers.set_profile, PROFILES),
        post(
            "unsetProfileAttributes",
            "Remove profile attributes",
            handlers.unset_profile,
            _list(_object(("extId", "profile"), extId=TEXT, profile=TEXTS)),
        ),
        post("pushProfileAttributes", "Add to array attributes", handlers.push_profile, PROFILES),
        post("pullProfileAttributes", "Take from array attributes", handlers.pull_profile, PROFILES),
        post(
            "deleteProfileAttributes",
            "Remove attributes from all users",
            handlers.delete_profile_attributes,
            _list(_object(("profile",), profile=TEXTS)),
        ),
        post(
            "deleteProfileAttributeValue",
            "Remove a value from an attribute of all users",
            handlers.delete_profile_value,
            _list(_object(("key", "value"), key=TEXT, value=TEXT)),
        ),
        get("getProfileAttributes", "A user's attributes", handlers.get_profile, OBJECT, extId=True),
        get("getDevices", "A user's devices", handlers.get_devices, OBJECT, extId=True, pushPermitted=False),
        get("getDeviceTokens", "All ordinary device tokens", handlers.get_device_tokens, OBJECT, **pages),
        get(
            "getPushStats", "How starts went, counted", handlers.get_push_stats, OBJECT, notificationKey=False, **window
        ),
        get(
            "getPushResult",
            "How starts went, one by one",
            handlers.get_push_result,
            OBJECT,
            notificationKey=False,
            extId=False,
            token=False,
            **window,
            **pages,
        ),
        Route(
            "POST",
            "/v1/events",
            "reportEvents",
            "What an installation of the app reports of itself",
            handlers.report_events,
            REPORT,
            _object(("outcomes",), outcomes={"type": "array", "items": TEXT}),
        ),
        Route("GET", "/healthz", "healthz", "Whether the process is alive", handlers.healthz, public=True),
        Route("GET", "/readyz", "readyz", "Whether the service can do its work", handlers.readyz, public=True),
    ]
