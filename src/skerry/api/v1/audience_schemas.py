"""Audiences, segments and previews as JSON Schema."""

from skerry.api.schemas import (
    GROUP_ID,
    LOCATION,
    MOMENT,
    NAMES,
    OBJECT,
    PROFILE_REF,
    STRING,
    TAG,
    Schema,
    between,
    fields,
    items,
    nullable,
    one_of,
    said,
)
from skerry.api.v1.content_schemas import ALERT, PARAMS
from skerry.domain.preview import Doubt, NotStartable

_SELECTION: dict[str, Schema] = {
    "all": {"const": True, "description": "Every device."},
    "users": said(NAMES, "Devices of these users, by extId."),
    "devices": said(NAMES, "These installations."),
    "tags": said(TAG, "Users with one of these tags; `$and`: with all of them; `$not`: with none of them."),
    "profile": said(PROFILE_REF, "Users by what their profile says."),
    "segment": said(TAG, "Devices in one of these segments; `$and`, `$not` as with tags."),
    "location": said(LOCATION, "Devices that last said they were in this circle."),
}
AUDIENCE: Schema = {
    **fields(
        (),
        **_SELECTION,
        exclude={
            **fields((), **_SELECTION),
            **one_of(tuple(_SELECTION)),
            "additionalProperties": False,
            "description": "Whoever belongs to this audience is left out.",
        },
        percent=between(0, 100)
        | {"multipleOf": 0.01, "description": "A share of those who are left; a larger one only adds devices."},
        salt=said(GROUP_ID, "Draws the share; where it is left out, the activity's id or the segment's name does."),
    ),
    **one_of(tuple(_SELECTION)),
    "additionalProperties": False,
    "dependentRequired": {"salt": ["percent"]},
    "description": "Whom it is for. Members are AND-ed.",
}

_COUNT: Schema = {"type": "integer", "minimum": 0}
_SAMPLES = fields(
    ("count", "samples"),
    count=_COUNT,
    samples=items(fields(("installation_id", "user"), installation_id=STRING, user=nullable("string")), 0, 10),
)
_NAMES_MISSING = fields(("count", "samples"), count=_COUNT, samples=items(STRING, 0, 10))
PREVIEW_REQUEST = fields(
    ("audience", "attributes_type"),
    audience=AUDIENCE,
    attributes_type=GROUP_ID,
    activity=said(GROUP_ID, "The activity that would be started, where it is known: it may run on some already."),
    attributes=OBJECT | {"description": "As they would be put; here only its placeholders count."},
    state=OBJECT | {"description": "The same."},
    alert=ALERT,
    params=PARAMS,
) | {"additionalProperties": False}
PREVIEW = fields(
    ("matched", "startable", "not_startable", "doubts", "users_without_device", "unknown_devices"),
    matched=_COUNT,
    startable=_COUNT,
    not_startable=fields((), **{reason.value: _SAMPLES for reason in NotStartable}),
    doubts=fields((), **{doubt.value: _SAMPLES for doubt in Doubt}),
    users_without_device=_NAMES_MISSING,
    unknown_devices=_NAMES_MISSING,
)
SEGMENT_REQUEST = fields(("audience",), audience=AUDIENCE) | {"additionalProperties": False}
SEGMENT = fields(
    ("name", "id", "audience", "created_at", "updated_at"),
    name=STRING,
    id={"type": "integer"},
    audience=OBJECT,
    created_at=MOMENT,
    updated_at=MOMENT,
)
SEGMENTS = fields(
    ("segments",),
    segments=items(
        fields(("name", "id", "updated_at"), name=STRING, id={"type": "integer"}, updated_at=MOMENT), 0, 1000
    ),
)
SEGMENT_SIZES = fields(
    ("list",),
    list=items(
        fields(("id", "name", "userCount", "type"), id={"type": "integer"}, name=STRING, userCount=_COUNT, type=STRING)
    ),
)
SEGMENT_USERS = fields(
    ("name", "list", "nextPage"),
    name=STRING,
    nextPage=nullable("string"),
    list=items(
        fields(
            ("externalId", "msisdn", "email"),
            externalId=STRING,
            msisdn=nullable("string"),
            email=nullable("string"),
        ),
        0,
        10_000,
    ),
)
