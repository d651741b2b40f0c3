"""What goes in and comes out of `/v1/stream` and `/v1/webhooks`, as JSON Schema."""

from skerry.api.schemas import BOOLEAN, GROUP_ID, KIND_LISTS, KINDS, MOMENT, OBJECT, Schema, either, fields, items, text
from skerry.api.v1.schemas import COUNT, NULL

STREAM = fields(("data",), id=text(20), event=text(64), data=text(100_000)) | {
    "description": "Each message: `event` is the kind, `data` the JSON that webhooks get, `id` for `Last-Event-ID`."
}
_KINDS = items({"type": "string", "enum": KIND_LISTS}, 0, 50) | {"description": "Empty or left out: all."}
WISH = fields(
    ("url",),
    url={"type": "string", "maxLength": 2048, "pattern": "^https://[a-z0-9.-]+(:[1-9][0-9]{0,3})?/[!-~]*$"}
    | {"description": "Where events go: a public address, by https unless the operator allows more."},
    kinds=_KINDS,
    activity=GROUP_ID | {"description": "The only activity that it is told of; it may come later."},
    enabled=BOOLEAN | {"default": True, "description": "Switched on again, it is told what happened meanwhile."},
) | {"additionalProperties": False}
_SECRET: Schema = {"type": "string", "description": "whsec_…: shown here and never again."}
_WEBHOOK: dict[str, Schema] = {
    "name": text(64),
    "url": text(2048),
    "kinds": items({"type": "string", "enum": KINDS}),
    "activity": either(GROUP_ID, NULL),
    "enabled": BOOLEAN,
    "created_at": MOMENT,
    "failing_since": either(MOMENT, NULL) | {"description": "When the first attempt was that failed since a success."},
    "disabled_reason": either(text(256), NULL) | {"description": "Why Skerry switched it off."},
    "pending": COUNT | {"description": "Events that it is still to be told of."},
    "dead": COUNT | {"description": "Events that were given up."},
}
WEBHOOK = fields(tuple(_WEBHOOK), **_WEBHOOK, secret=_SECRET)
WEBHOOKS = fields(("webhooks",), webhooks=items(WEBHOOK))
SECRET = fields(("secret",), secret=_SECRET)
ATTEMPTS = fields(
    ("attempts", "next_before"),
    attempts=items(
        fields(
            ("number", "event_id", "attempt", "at", "took_ms", "outcome", "status", "error"),
            number=COUNT,
            event_id=COUNT,
            attempt=COUNT | {"description": "Of those at this event, from 1."},
            at=MOMENT,
            took_ms=COUNT,
            outcome={"enum": ["delivered", "refused", "failed"]},
            status=either(COUNT, NULL) | {"description": "The receiver's; null where it gave none."},
            error=either(text(1024), NULL) | {"description": "Why there was no answer."},
        )
    ),
    next_before=either(COUNT, NULL),
)
EVENT = fields(
    ("id", "type", "timestamp", "data"), id=COUNT, type={"enum": KINDS}, timestamp=text(32), data=OBJECT
)  # fmt: skip
DEAD_LETTERS = fields(
    ("dead_letters", "next_after"),
    dead_letters=items(fields(("event", "given_up_at", "attempts"), event=EVENT, given_up_at=MOMENT, attempts=COUNT)),
    next_after=either(COUNT, NULL),
)
REPLAYED = fields(("replayed",), replayed=COUNT)
