"""What goes in and comes out of `/v1/schedule`, as JSON Schema."""

from skerry.api.schemas import DATE, GROUP_ID, MOMENT, OBJECT, Schema, either, fields, items, said, text
from skerry.api.v1.schemas import COUNT, END, NULL, PUT

_AT = said(DATE, "When; in the future. Without an offset it is read in time_zone, or else in UTC.")
_ZONE = said(text(64), "An IANA name such as Europe/Istanbul, for an `at` without an offset.")


def _scheduled(body: Schema, action: Schema, *required: str) -> Schema:
    """The same body, and when it is to be."""
    more = {"at": _AT, "time_zone": _ZONE, "action": action}
    return body | {
        "required": ["at", *required, *body.get("required", ())],
        "properties": {**more, **body["properties"]},
    }


SCHEDULED = either(
    _scheduled(PUT, {"const": "put", "default": "put"}) | {"title": "To start or update"},
    _scheduled(END, {"const": "end"}, "action") | {"title": "To end"},
)
STATES = ("waiting", "done", "failed", "cancelled")
_PROBLEM = fields(
    ("code", "detail"),
    code=said(text(64), "Why it could not be done, for machines."),
    detail=said(text(10_000, 0), "The same for people."),
)
_CHANGE: dict[str, Schema] = {
    "id": COUNT,
    "activity": GROUP_ID,
    "action": {"enum": ["put", "end"]},
    "at": MOMENT,
    "state": {"enum": list(STATES)},
    "made_at": MOMENT,
    "settled_at": either(MOMENT, NULL) | {"description": "When it was done, failed or was cancelled."},
    "revision": either(COUNT, NULL) | {"description": "The activity's newest one after it was done."},
    "problem": either(_PROBLEM, NULL) | {"description": "Why it failed."},
}
CHANGE = fields(tuple(_CHANGE), **_CHANGE)
WHOLE_CHANGE = fields(
    (*_CHANGE, "change"), **_CHANGE, change=said(OBJECT, "What it says; of phases, how many.")
)  # fmt: skip
CHANGES = fields(("changes", "next_after"), changes=items(CHANGE), next_after=either(COUNT, NULL))
