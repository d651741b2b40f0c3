"""What goes in and comes out, as JSON Schema: precise enough to make good requests from.

Where a request has several spellings (netmera.md section 4 and 7) the schema has the one to use; unknown members are
ignored, and null counts as not there.
"""

from typing import Any

Schema = dict[str, Any]

_NO_NUL = "^[^\\x00]*$"
_LATEST = 253_402_300_799_000
_LARGEST = 2**62


def text(most: int, least: int = 1) -> Schema:
    """A text of so many characters, none of them U+0000."""
    return {"type": "string", "minLength": least, "maxLength": most, "pattern": _NO_NUL}


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
TARGET: Schema = fields(
    sendToAll={"const": True},
    extId=NAMES,
    deviceToken=NAMES,
    tag=either(NAMES, _TAG_OPERATORS),
    profile=PROFILE_REF,
    pa=PROFILE_REF,
    lastActiveDevice=BOOLEAN,
) | {"anyOf": [{"required": [name]} for name in ("sendToAll", "extId", "deviceToken", "tag", "profile", "pa")]}

CONTENT: dict[str, Schema] = {
    "platforms": {"type": "array", "items": {"type": "string"}, "contains": {"const": "IOS"}},
    "contentState": OBJECT | {"description": "Reaches the phone byte for byte."},
    "liveActAttr": OBJECT | {"description": "Reaches the phone byte for byte."},
    "liveActAttrType": GROUP_ID | {"description": "Name of the app's ActivityAttributes type."},
    "groupId": GROUP_ID,
    "liveActEndDate": DATE,
    "priority": PRIORITY,
    "params": {"type": "object", "additionalProperties": SCALAR, "description": "Values of @{name} placeholders."},
    "ios": fields(title=text(4096, 0)),
}
_LIVE = ("platforms", "contentState", "liveActAttr", "liveActAttrType")
_MESSAGE = fields(("title", "text", *_LIVE), title=TEXT, text=TEXT, **CONTENT)
_KIND: Schema = {"const": "LIVE_ACTIVITY"}
BULK = fields(
    ("message", "target"),
    type=_KIND,
    message=_MESSAGE,
    target=TARGET,
    schedule=fields(startTime=DATE, localTimezone=BOOLEAN),
    speed=fields(
        ("intervalMins", "packageSize"),
        intervalMins={"type": "integer", "minimum": 1, "maximum": 1440},
        packageSize={"type": "integer", "minimum": 1, "maximum": 10_000_000},
    ),
    extRef=GROUP_ID | {"description": "Your name for this request; a repeat of it starts nothing again."},
)
DEFINITION = either(
    fields(("title", "message", *_LIVE), title=TEXT, message=TEXT, type=_KIND, **CONTENT),
    fields(("message",), message=_MESSAGE, type=_KIND),
)
_SEND = fields(
    ("notificationKey", "target"),
    notificationKey=either(
        {"type": "string", "pattern": "^[0-9]{1,18}$"}, {"type": "integer", "minimum": 0, "maximum": _LARGEST}
    ),
    message=fields((), title=text(4096, 0), text=text(4096, 0), **CONTENT),
    target=TARGET,
    lastActiveDevice=BOOLEAN,
)
SEND = either(_SEND, items(_SEND, 1, 100))
_ALERT = fields(("title", "body"), title=TEXT, body=TEXT)
REVISION = either(
    fields(
        ("groupId", "action", "contentState"),
        groupId=GROUP_ID,
        action={"const": "UPDATE"},
        contentState=OBJECT | {"description": "The whole new state, byte for byte."},
        priority=PRIORITY,
        staleDate=DATE,
        alert=_ALERT,
    ),
    fields(
        ("groupId", "action"),
        groupId=GROUP_ID,
        action={"const": "END"},
        contentState=OBJECT,
        priority=PRIORITY,
        dismissalDate=DATE,
        alert=_ALERT,
    ),
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
                name={"enum": list(names)},
                token=TOKEN,
                groupId=GROUP_ID,
                attributesType=GROUP_ID,
                time=DATE,
                **members,
            )
            for needed, names in _EVENTS
        )
    )


FIRED = items(_event(("extId",), extId=NAME, installationId=text(128), deviceToken=TOKEN))
REPORT = fields(
    ("installationId", "events"),
    installationId=text(128),
    installationSecret=text(256) | {"description": "The first one binds the installation; later ones must equal it."},
    extId=text(512, 0) | {"description": "The user; the empty text signs out."},
    userToken=text(2048)
    | {"description": "Proves the user: a JWT of your backend with sub and exp (HS256). Where the app asks for it."},
    environment={"type": "string", "enum": ["production", "sandbox"]},
    platform=text(32),
    osVersion=text(32),
    appVersion=text(64),
    deviceModel=text(64),
    deviceToken=TOKEN,
    events=items(_event(), 1, 100),
)
OUTCOMES = fields(
    ("outcomes",),
    outcomes=items({"type": "string", "description": "accepted, repeated, stale or refused: …"}, 1, 100),
)

_ATTRIBUTES: Schema = {
    "type": "object",
    "propertyNames": {"maxLength": 512, "pattern": _NO_NUL},
    "additionalProperties": either(SCALAR, {"type": "null"}, items(SCALAR)),
}
USERS = items(
    fields(
        ("extId",),
        extId=NAME,
        platform=text(32),
        deviceToken=text(1024),
        email=NAME,
        msisdn=text(32),
        tags=items(NAME),
        profile=_ATTRIBUTES,
    )
    | {"anyOf": [{"required": ["platform"]}, {"required": ["msisdn"]}]}
)
EXT_IDS = fields(("extIds",), extIds=items(NAME, 1))
TAGS = fields(("tag", "extIds"), tag=NAMES, extIds=items(NAME, 1))
WHO = fields(extId=TEXT, deviceToken=TEXT) | {"anyOf": [{"required": ["extId"]}, {"required": ["deviceToken"]}]}
PROFILES = items(fields(("extId", "profile"), extId=NAME, profile=_ATTRIBUTES))
UNSET = items(fields(("extId", "profile"), extId=NAME, profile=items(NAME, 1)))
ATTRIBUTE_NAMES = items(fields(("profile",), profile=items(NAME, 1)))
ATTRIBUTE_VALUES = items(fields(("key", "value"), key=NAME, value=SCALAR))

PARAMETERS: dict[str, Schema] = {
    "extId": NAME,
    "token": text(1024),
    "pushPermitted": BOOLEAN,
    "max": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 10},
    "offset": {"type": "integer", "minimum": 0, "maximum": _LARGEST, "default": 0},
    "notificationKey": {"type": "integer", "minimum": 0, "maximum": _LARGEST},
    "start": MOMENT,
    "end": MOMENT,
}
"""What each query parameter may be, on whichever operation."""


def _nullable(kind: str) -> Schema:
    return {"type": [kind, "null"]}


_STRING: Schema = {"type": "string"}
KEY = fields(("notificationKey",), notificationKey={"type": "integer"})
USER_PROFILE = fields(("extId", "profile"), extId=_STRING, profile=OBJECT)
DEVICES = fields(
    ("extId", "devices"),
    extId=_STRING,
    devices={
        "type": "array",
        "items": fields(
            ("platform", "token", "deviceModel", "pushPermitted"),
            platform=_STRING,
            token=_nullable("string"),
            deviceModel=_nullable("string"),
            pushPermitted=BOOLEAN,
        ),
    },
)
TOKENS = fields(
    ("nextPage", "total", "devices"),
    nextPage=_nullable("string"),
    total={"type": "integer"},
    devices={"type": "array", "items": _STRING},
)
_STATS = fields(
    ("notificationKey", "status", "startDate", "endDate", "stats"),
    notificationKey={"type": "integer"},
    status=_STRING,
    startDate=_nullable("integer"),
    endDate=_nullable("integer"),
    stats={"type": "array", "items": OBJECT},
)
STATS = either(_STATS, fields(("messages",), messages={"type": "array", "items": _STATS}))
RESULTS = fields(("nextPage", "list"), nextPage=_nullable("string"), list={"type": "array", "items": OBJECT})
LIVENESS = fields(("status",), status=_STRING)
READINESS = fields(
    ("status", "checks"), status=_STRING, checks={"type": "object", "additionalProperties": _STRING}
)  # fmt: skip
EXPOSITION: Schema = {"type": "string"}
