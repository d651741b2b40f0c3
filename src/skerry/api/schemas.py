"""What goes in and comes out, as JSON Schema: precise enough to make good requests from.

Where a request has several spellings (netmera.md section 4 and 7) the schema has the one to use; unknown members are
ignored, and null counts as not there.
"""

from typing import Any

from skerry.domain.event import EventKind
from skerry.domain.languages import MOST_LANGUAGES

Schema = dict[str, Any]

_NO_NUL = "^[^\\x00]*$"
_LATEST = 253_402_300_799_000
_LARGEST = 2**62


def text(most: int, least: int = 1) -> Schema:
    """A text of so many characters, none of them U+0000."""
    return {"type": "string", "minLength": least, "maxLength": most, "pattern": _NO_NUL}


def said(schema: Schema, description: str) -> Schema:
    """A schema with what its value means."""
    return schema | {"description": description}


def fields(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    """An object with these members."""
    found: Schema = {"type": "object", "properties": properties}
    return found | {"required": list(required)} if required else found


def items(item: Schema, least: int = 0, most: int = 1000) -> Schema:
    """A list."""
    return {"type": "array", "items": item, "minItems": least, "maxItems": most}


def either(*choices: Schema) -> Schema:
    """One of several forms."""
    return {"anyOf": list(choices)}


def one_or_more(item: Schema) -> Schema:
    """A value, or a list of such values."""
    return either(item, items(item, 1))


OBJECT: Schema = {"type": "object"}
BOOLEAN: Schema = {"type": "boolean"}
NAME = text(512)
TEXT = text(4096)
GROUP_ID = text(256)
NAMES = one_or_more(NAME)
TOKEN: Schema = {"type": "string", "pattern": "^([0-9a-fA-F]{2}){8,256}$", "description": "As APNs gives it, in hex."}
MOMENT: Schema = {"type": "integer", "minimum": 0, "maximum": _LATEST, "description": "Milliseconds since 1970."}
DATE = either(
    {
        "type": "string",
        "format": "date-time",
        "pattern": "^(19[7-9][0-9]|[2-9][0-9]{3})-",
        "description": "UTC where it says no offset.",
    },
    {"type": "integer", "minimum": 1, "maximum": _LATEST, "description": "Seconds or milliseconds since 1970."},
)
LANGUAGE_TAG = "^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,2}$"
"""BCP 47, as far as anybody goes: language, script and region."""

SCALAR = either(
    text(4096, 0), BOOLEAN, {"type": "number", "minimum": -(2**63), "maximum": 2**63 - 1025}
)  # fmt: skip
PRIORITY: Schema = {"type": "integer", "enum": [5, 10], "default": 10}

PROFILE_REF: Schema = {"$ref": "#/components/schemas/ProfileCondition"}
PROFILE: Schema = {
    "type": "object",
    "minProperties": 1,
    "maxProperties": 20,
    "description": "Attributes are AND-ed, the values of one attribute OR-ed; at most 200 conditions on 8 levels.",
    "properties": {name: either(PROFILE_REF, items(PROFILE_REF, 1, 20)) for name in ("$or", "$and", "$not")},
    "propertyNames": either({"enum": ["$or", "$and", "$not"]}, {"pattern": "^[^$\\x00][^\\x00]{0,511}$"}),
    "additionalProperties": either(
        SCALAR,
        items(SCALAR, 1),
        fields(("$exists",), **{"$exists": BOOLEAN}) | {"additionalProperties": False},
        fields(("$not",), **{"$not": one_or_more(SCALAR)}) | {"additionalProperties": False},
    ),
}
_TAG_OPERATORS: Schema = {
    "type": "object",
    "minProperties": 1,
    "maxProperties": 1,
    "properties": {"$or": NAMES, "$and": NAMES, "$not": NAMES},
    "additionalProperties": False,
}
TAG = either(NAMES, _TAG_OPERATORS)


def between(low: float, high: float) -> Schema:
    """A number within bounds."""
    return {"type": "number", "minimum": low, "maximum": high}


LOCATION = fields(
    ("latitude", "longitude", "radius"),
    latitude=between(-90, 90),
    longitude=between(-180, 180),
    radius=between(0.001, 20_100) | {"description": "Kilometres."},
) | {"additionalProperties": False}


def one_of(names: tuple[str, ...]) -> Schema:
    """At least one of these members."""
    return {"anyOf": [{"required": [name]} for name in names]}


TARGET: Schema = fields(
    sendToAll={"const": True, "description": "Every device of the app that can be started."},
    extId=said(NAMES, "Users. Who is unknown, or has no device, is skipped and shows in getPushResult."),
    deviceToken=said(NAMES, "Devices, by an ordinary token, a start token or the update token of a card."),
    tag=said(TAG, "Users with one of these tags; `$and`: with all of them; `$not`: with none of them."),
    segment=said(TAG, "Devices in one of these segments (PUT /v1/segments/{name}); `$and`, `$not` as with tags."),
    profile=said(PROFILE_REF, "Users by what their profile says."),
    pa=said(PROFILE_REF, "The same as profile; where both are given, both must hold."),
    location=said(LOCATION, "Devices that last said they were in this circle."),
    lastActiveDevice=said(BOOLEAN, "Of each user, only the device that was active last."),
) | {
    "description": "Whom it is for. Members are AND-ed.",
    **one_of(("sendToAll", "extId", "deviceToken", "tag", "segment", "profile", "pa", "location")),
}

_STATE = said(OBJECT, "What the card shows, as the app's ContentState decodes it. Reaches the phone byte for byte.")
_ATTRIBUTES_FIELD = said(OBJECT, "What never changes on the card, as the app's struct decodes it. Byte for byte.")
_GROUP = said(
    GROUP_ID, "The activity's name: updates and ends go by it. It is put into the attributes as netmeraGroupId."
)
_ENDS = said(DATE, "When the activity ends by itself; in the future.")
_PRIORITY_FIELD = said(PRIORITY, "APNs' priority: 10 at once, 5 as the phone sees fit.")
_PARAMS: Schema = {
    "type": "object",
    "additionalProperties": SCALAR,
    "description": "Values of the `@{name}` placeholders in contentState, liveActAttr, title and text; the rest is "
    "filled from each user's profile.",
}
CONTENT: dict[str, Schema] = {
    "platforms": {
        "type": "array",
        "items": text(512, 0),
        "contains": {"const": "IOS"},
        "description": "Must contain IOS; others are ignored.",
    },
    "contentState": _STATE,
    "liveActAttr": _ATTRIBUTES_FIELD,
    "liveActAttrType": said(GROUP_ID, "Name of the app's ActivityAttributes type."),
    "groupId": _GROUP,
    "liveActEndDate": _ENDS,
    "priority": _PRIORITY_FIELD,
    "params": _PARAMS,
    "ios": fields(title=said(text(4096, 0), "Title of the alert, where it differs from the campaign's.")),
}
_TITLE = said(TEXT, "The campaign's name, and the alert's title where `ios.title` does not say another.")
_TEXT = said(TEXT, "The alert's text: iOS starts no activity without an alert.")
LANGUAGES: Schema = {
    "type": "object",
    "propertyNames": {"pattern": LANGUAGE_TAG},
    "additionalProperties": fields(
        title=said(text(4096, 0), "In place of the message's."),
        text=said(text(4096, 0), "In place of the message's."),
        ios=fields(title=said(text(4096, 0), "In place of the message's.")),
    ),
    "maxProperties": MOST_LANGUAGES,
    "description": "The alert in other languages, by language tag: each phone gets its own, or else the message's.",
}
_LIVE = ("platforms", "contentState", "liveActAttr", "liveActAttrType")
_MESSAGE = fields(("title", "text", *_LIVE), title=_TITLE, text=_TEXT, **CONTENT)
_KIND: Schema = {"const": "LIVE_ACTIVITY", "description": "May be left out where liveActAttrType is given."}
BULK = fields(
    ("message", "target"),
    type=_KIND,
    message=_MESSAGE,
    target=TARGET,
    schedule=fields(
        startTime=said(DATE, "When it begins; without an offset in the zone of the setting rest3.timezone."),
        localTimezone=said(BOOLEAN, "Accepted and ignored: a start has one moment for all."),
    ),
    speed=fields(
        ("intervalMins", "packageSize"),
        intervalMins={"type": "integer", "minimum": 1, "maximum": 1440, "description": "Minutes between packages."},
        packageSize={"type": "integer", "minimum": 1, "maximum": 10_000_000, "description": "Devices of a package."},
    ),
    languages=LANGUAGES,
    extRef=said(GROUP_ID, "Your name for this request; a repeat of it starts nothing again."),
)
DEFINITION = either(
    fields(("title", "message", *_LIVE), title=_TITLE, message=_TEXT, type=_KIND, languages=LANGUAGES, **CONTENT)
    | {"title": "With the fields at the root"},
    fields(("message",), message=_MESSAGE, type=_KIND, languages=LANGUAGES)
    | {"title": "With the fields under `message`"},
)
_OVERRIDE = "In place of the definition's."
_MERGED = "Merged over the definition's, member by member at the top level."
_SEND = fields(
    ("notificationKey", "target"),
    notificationKey=said(
        either({"type": "string", "pattern": "^[0-9]{1,18}$"}, {"type": "integer", "minimum": 0, "maximum": _LARGEST}),
        "The definition, as createNotificationDefinition answered.",
    ),
    message=fields(
        (),
        groupId=_GROUP,
        contentState=said(OBJECT, _MERGED),
        liveActAttr=said(OBJECT, _MERGED),
        liveActEndDate=_ENDS,
        priority=_PRIORITY_FIELD,
        params=_PARAMS,
        title=said(text(4096, 0), _OVERRIDE),
        text=said(text(4096, 0), _OVERRIDE),
    ),
    target=TARGET,
    lastActiveDevice=said(BOOLEAN, "Of each user, only the device that was active last."),
)
SEND = either(_SEND, items(_SEND, 1, 1000))
_ALERT = said(fields(("title", "body"), title=TEXT, body=TEXT), "Ours: an alert with this revision.")
_NAMED = said(GROUP_ID, "The activity's name.")
REVISION = either(
    fields(
        ("groupId", "action", "contentState"),
        groupId=_NAMED,
        action={"const": "UPDATE"},
        contentState=said(OBJECT, "The whole new state, byte for byte."),
        priority=_PRIORITY_FIELD,
        staleDate=said(DATE, "From when the card counts as out of date, unless another update comes."),
        alert=_ALERT,
    )
    | {"title": "To update"},
    fields(
        ("groupId", "action"),
        groupId=_NAMED,
        action={"const": "END"},
        contentState=said(OBJECT, "The last state; the newest known one where it is left out."),
        priority=_PRIORITY_FIELD,
        dismissalDate=said(
            DATE, "When the card leaves the Lock Screen; in the past: at once. iOS keeps it 4 h at most."
        ),
        alert=_ALERT,
    )
    | {"title": "To end"},
)

_EVENTS: tuple[tuple[tuple[str, ...], tuple[str, str]], ...] = (
    (("token",), ("LiveActivityStartToken", "n:lst")),
    (("token", "groupId"), ("LiveActivityUpdateToken", "n:lut")),
    (("groupId",), ("LiveActivityClose", "n:lac")),
)


def _event(more: tuple[str, ...] = (), **members: Schema) -> Schema:
    """The three device events, by name or code."""
    return either(
        *(
            fields(
                ("name", *needed, *more),
                name={"enum": list(names), "description": "The event's name or its code."},
                token=said(TOKEN, "The start token, or the update token of the activity, in hexadecimal."),
                groupId=said(GROUP_ID, "The activity's name, as the app knows it."),
                attributesType=said(
                    GROUP_ID, "Of a start token: the type it is for, where the app keeps one for each."
                ),
                time=said(DATE, "When it happened on the device. The newest report wins; left out: now."),
                **members,
            )
            for needed, names in _EVENTS
        )
    )


FIRED = items(
    _event(
        ("extId",),
        extId=said(NAME, "The user it happened to; made where it is not known."),
        installationId=said(text(128), "The device, where you know it. Else it is found by its token."),
        deviceToken=said(TOKEN, "The device, by its ordinary notification token."),
    )
)
REPORT = fields(
    ("installationId", "events"),
    installationId=said(text(128), "An id that the app makes at its first start and keeps."),
    installationSecret=said(text(256), "The first one binds the installation; later ones must equal it."),
    extId=said(text(512, 0), "The user; the empty text signs out. Left out: as before."),
    userToken=said(
        text(2048), "Proves the user: a JWT of your backend with sub and exp (HS256). Where the app asks for it."
    ),
    environment={
        "type": "string",
        "enum": ["production", "sandbox"],
        "description": "Which APNs the tokens belong to. Left out, it is found out at the first push.",
    },
    platform=said(text(32), "IOS, which is also meant where it is left out."),
    osVersion=said(text(32), "From iOS 18 on, starts ask for an update token."),
    appVersion=text(64),
    deviceModel=text(64),
    deviceToken=said(TOKEN, "The ordinary notification token, in hexadecimal."),
    language=said(
        {"type": "string", "pattern": LANGUAGE_TAG},
        "What the person reads, such as zh-Hant-TW: alerts in several languages go by it.",
    ),
    location=said(
        either(
            fields(("latitude", "longitude"), latitude=between(-90, 90), longitude=between(-180, 180), time=DATE),
            {"const": False},
        ),
        "Where the device is, in degrees, for audiences by location; `false`: forget where it was.",
    ),
    events=said(items(_event(), 1, 100), "What happened, oldest first; may be left out where there is a location."),
)
OUTCOMES = fields(
    ("outcomes",),
    outcomes=items(
        {"type": "string", "description": "accepted; repeated or stale (nothing changed); or refused: and why."}, 0, 100
    )
    | {"description": "One for each event, in their order."},
)

_ATTRIBUTES: Schema = {
    "type": "object",
    "propertyNames": {"maxLength": 512, "pattern": _NO_NUL},
    "additionalProperties": either(SCALAR, {"type": "null"}, items(SCALAR)),
}
USERS = items(
    fields(
        ("extId",),
        extId=said(NAME, "The user, as your system knows it."),
        platform=said(text(32), "IOS. This or msisdn must be there."),
        deviceToken=said(text(1024), "An ordinary notification token of the user's."),
        email=NAME,
        msisdn=text(32),
        tags=said(items(NAME), "Added to those that the user has."),
        profile=said(_ATTRIBUTES, "Attributes to set; null removes one."),
    )
    | {"anyOf": [{"required": ["platform"]}, {"required": ["msisdn"]}]}
)
_USERS = said(items(NAME, 1), "Users; unknown ones are skipped.")
_USER = said(NAME, "The user; an unknown one is skipped.")
EXT_IDS = fields(("extIds",), extIds=_USERS)
TAGS = fields(("tag", "extIds"), tag=said(NAMES, "One tag, or several."), extIds=_USERS)
WHO = fields(
    extId=said(TEXT, "All devices of this user."), deviceToken=said(TEXT, "The device with this ordinary token.")
) | {"anyOf": [{"required": ["extId"]}, {"required": ["deviceToken"]}]}
PROFILES = items(fields(("extId", "profile"), extId=_USER, profile=said(_ATTRIBUTES, "Attributes and their values.")))
UNSET = items(
    fields(("extId", "profile"), extId=_USER, profile=said(items(NAME, 1), "Names of attributes that disappear."))
)
ATTRIBUTE_NAMES = items(fields(("profile",), profile=said(items(NAME, 1), "Names of attributes that disappear.")))
ATTRIBUTE_VALUES = items(
    fields(
        ("key", "value"),
        key=said(NAME, "Name of the attribute."),
        value=said(SCALAR, "The value that disappears: the attribute's own, or one in its list."),
    )
)

KINDS = [kind.value for kind in EventKind]
KIND_LISTS = [*KINDS, *sorted({name.partition(".")[0] + ".*" for name in KINDS})]

_SEGMENT_NAME = said(
    text(128) | {"pattern": "^[^/\\x00]*[^./\\x00][^/\\x00]*$"}, "The segment; not only dots, no slash."
)

PARAMETERS: dict[str, Schema] = {
    "extId": said(NAME, "The user."),
    "token": said(text(1024), "A token of the device: ordinary, start or update."),
    "pushPermitted": said(BOOLEAN, "Only devices that ordinary notifications are permitted on, or not."),
    "max": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 10, "description": "Entries of a page."},
    "offset": {
        "type": "integer",
        "minimum": 0,
        "maximum": _LARGEST,
        "default": 0,
        "description": "Entries to pass over.",
    },
    "notificationKey": {
        "type": "integer",
        "minimum": 0,
        "maximum": _LARGEST,
        "description": "Of a bulk start or a definition.",
    },
    "start": said(MOMENT, "Beginning of the window, in milliseconds since 1970; left out: two weeks before its end."),
    "end": said(MOMENT, "End of the window, in milliseconds since 1970; left out: now."),
    "id": text(256) | {"pattern": "^[^\\x00/]*$", "description": "Your own id of the activity."},
    "n": {"type": "integer", "minimum": 0, "maximum": 10**15 - 1, "description": "Number of a revision."},
    "wait": {
        "type": "number",
        "minimum": 0,
        "maximum": 30,
        "default": 0,
        "description": "Seconds to wait for the verdicts.",
    },
    "after": {
        "type": "integer",
        "minimum": 0,
        "maximum": 10**15 - 1,
        "default": 0,
        "description": "Only what is numbered above this: the next_after of the page before.",
    },
    "before": {
        "type": "integer",
        "minimum": 0,
        "maximum": 10**15 - 1,
        "description": "Only what is numbered below this: the next_before of the page before.",
    },
    "activity": said(GROUP_ID, "Your own id of the activity; #12 for one that has none."),
    "kinds": {
        "type": "string",
        "enum": KIND_LISTS,
        "description": "Kinds of events, separated by commas; card.* for all of cards.",
    },
    "name": {
        "type": "string",
        "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        "description": "Your own name of the webhook.",
    },
    "event_id": {"type": "integer", "minimum": 0, "maximum": 10**15 - 1, "description": "An event's id."},
    "installation": said(text(128), "Only what happened to this installation, and to the activity as a whole."),
    "limit": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100, "description": "Entries of a page."},
    **{
        f"{of}.id": {"type": "integer", "minimum": 0, "maximum": 10**15 - 1, "description": "Of the scheduled change."}
        for of in ("getScheduled", "cancelScheduled")
    },
    "state": said(
        {"enum": ["waiting", "done", "failed", "cancelled"], "default": "waiting"}, "Only those that are so."
    ),
    "getSegmentUsers.id": {"type": "integer", "minimum": 0, "maximum": _LARGEST, "description": "From getSegments."},
    "getSegmentUsers.max": {
        "type": "integer",
        "minimum": 1,
        "maximum": 10_000,
        "default": 10_000,
        "description": "Entries of a page.",
    },
    **{f"{of}.name": _SEGMENT_NAME for of in ("putSegment", "getSegment", "deleteSegment")},
    "Idempotency-Key": said(text(300), "Your own name of this request: a repeat gets the first answer, for a day."),
    "If-Match": {
        "type": "string",
        "pattern": '^"[0-9]{1,15}"$',
        "description": "The ETag that the activity was read with: refused with 412 where it has changed since.",
    },
    "X-netmera-os": said({"type": "string", "enum": ["IOS", "ANDROID"]}, "Whose users are meant."),
}
"""What each parameter may be, on whichever operation, or on the one that is named before it."""


def nullable(kind: str) -> Schema:
    """A value of this kind, or null."""
    return {"type": [kind, "null"]}


STRING: Schema = {"type": "string"}
_MILLIS: Schema = {"type": ["integer", "null"], "description": "Milliseconds since 1970."}
_NEXT_PAGE = said(nullable("string"), "Address of the next page; null: this was the last.")
KEY = fields(
    ("notificationKey",),
    notificationKey={"type": "integer", "description": "Names it in sendNotification and in the statistics."},
)
USER_PROFILE = fields(
    ("extId", "profile"), extId=STRING, profile=said(OBJECT, "Attributes and their values, as they were set.")
)
DEVICES = fields(
    ("extId", "devices"),
    extId=STRING,
    devices={
        "type": "array",
        "items": fields(
            ("platform", "token", "deviceModel", "pushPermitted"),
            platform=STRING,
            token=said(nullable("string"), "The ordinary notification token, where one is known."),
            deviceModel=nullable("string"),
            pushPermitted=said(BOOLEAN, "As enablePush and disablePush left it; Live Activities do not ask."),
        ),
    },
)
TOKENS = fields(
    ("nextPage", "total", "devices"),
    nextPage=_NEXT_PAGE,
    total={"type": "integer", "description": "Of all pages."},
    devices={"type": "array", "items": STRING, "description": "Ordinary notification tokens."},
)
_STATS = fields(
    ("notificationKey", "status", "startDate", "endDate", "stats"),
    notificationKey={"type": "integer"},
    status={
        "enum": ["STARTING", "SENDING", "FINISHED", "ACTIVE"],
        "description": "ACTIVE: a definition that was never sent.",
    },
    startDate=_MILLIS,
    endDate=said(_MILLIS, "Milliseconds since 1970; null while it goes on."),
    stats={
        "type": "array",
        "items": fields(
            ("platform", "sent", "failed", "clicked"),
            platform={"const": "IOS"},
            sent={"type": "integer", "description": "Starts that APNs accepted."},
            failed={"type": "integer", "description": "Refused, given up, or nobody to start."},
            clicked={"const": 0, "description": "Nobody clicks a Live Activity as they do a notification."},
        ),
    },
)
STATS = either(
    _STATS | {"title": "Of one key"},
    fields(("messages",), messages={"type": "array", "items": _STATS}) | {"title": "Of a window"},
)
RESULTS = fields(
    ("nextPage", "list"),
    nextPage=_NEXT_PAGE,
    list={
        "type": "array",
        "description": "Starts, the newest first; those that still wait are not there yet.",
        "items": fields(
            ("platform", "status", "errorCode", "errorMsg", "installationId", "extId", "timeStamp"),
            platform={"const": "IOS"},
            status={"enum": ["SUCCESS", "FAILED"]},
            errorCode=said(nullable("string"), "8: the token is dead; 1: anything else."),
            errorMsg=said(
                nullable("string"),
                "Apple's reason; or NO_DEVICE, NO_START_TOKEN, ALREADY_RUNNING, START_BUDGET, TOO_LATE, NO_ANSWER,"
                " NOT_PROCESSED, MissingValue: and the placeholder's name.",
            ),
            installationId=said(nullable("string"), "The device; null where the user has none."),
            extId=nullable("string"),
            timeStamp={"type": "integer", "description": "Milliseconds since 1970."},
            msgTitle=STRING,
            msgText=STRING,
        ),
    },
)
LIVENESS = fields(("status",), status={"enum": ["ok", "stopping"]})
READINESS = fields(
    ("status", "checks"),
    status={"enum": ["ok", "unavailable"]},
    checks={
        "type": "object",
        "additionalProperties": STRING,
        "description": "What was looked at, and `ok` or what is wrong with it.",
    },
)
EXPOSITION: Schema = {"type": "string"}
