"""What goes in and comes out of `/v1/activities`, as JSON Schema."""

from skerry.api.schemas import (
    BOOLEAN,
    DATE,
    GROUP_ID,
    KINDS,
    MOMENT,
    OBJECT,
    Schema,
    either,
    fields,
    items,
    said,
    text,
)
from skerry.api.v1.audience_schemas import AUDIENCE
from skerry.api.v1.content_schemas import ALERT, PARAMS, STATE

COUNT: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "integer", "minimum": 0, "maximum": 10**15 - 1}
NULL: Schema = {"type": "null"}
COUNTED: Schema = {"type": "object", "additionalProperties": COUNT}
DURATION: Schema = {
    "type": "string",
    "pattern": "^PT([1-9][0-9]?H|[1-9][0-9]{0,2}M|[1-9][0-9]{0,3}S)$",
    "description": "An ISO 8601 duration of at most 30 days, such as PT2H.",
}
_CLOSED = {"additionalProperties": False}
VERSION: Schema = {
    "type": "integer",
    "minimum": 0,
    "maximum": 2**53,
    "description": "Your own number: rises with each change; a lower one than the last is refused with 409.",
}
_PRIORITY: Schema = {"enum": [5, 10, "auto"], "default": "auto", "description": "auto: 10 while the budget lasts."}
_RELEVANCE: Schema = {"type": "number", "minimum": -1e9, "maximum": 1e9, "description": "Apple's relevance-score."}
_PHASE = {"state": STATE, "alert": ALERT, "priority": _PRIORITY, "relevance": _RELEVANCE, "stale_at": DATE}
PHASE_TO_COME = either(
    fields(("state", "at"), at=said(DATE, "When it begins."), **_PHASE) | _CLOSED,
    fields(("state", "after"), after=said(DURATION, "Since the phase before; of the first, since now."), **_PHASE)
    | _CLOSED,
)
PUT: Schema = (
    fields(
        ("state",),
        state=STATE,
        type=GROUP_ID | {"description": "Name of the app's ActivityAttributes type; needed for a start."},
        attributes=OBJECT
        | {"description": "Needed for a start, fixed while it runs. Reaches the phone byte for byte."},
        alert=ALERT,
        audience=AUDIENCE,
        priority=_PRIORITY,
        important=BOOLEAN | {"description": "With auto: a person must look now, spend the budget."},
        relevance=_RELEVANCE,
        stale_at=DATE,
        dismiss_at=DATE,
        dismiss_after=said(DURATION, "From its end to when cards leave the Lock Screen, where it ends by itself."),
        ends_at=DATE | {"description": "When it ends by itself; in the future."},
        phases=said(items(PHASE_TO_COME, 1, 100), "What it shows later, in the order of time: a script."),
        end_after=said(
            either(DURATION, {"const": "never"}),
            "From the last phase's beginning to the end; left out, that is the end.",
        ),
        version=VERSION,
        dismissal=either(
            {"enum": ["final", "until_next_alert", "ignore"]}, fields(("after",), after=DURATION) | _CLOSED
        )
        | {"default": "final", "description": "What a person's swipe means for later starts on that device."},
        stale_after=DURATION,
        silence_ttl=DURATION,
        routing={"enum": ["auto", "tokens", "channel"], "default": "auto"}
        | {"description": "How phones with iOS 18 and later are reached; auto: by channel where the audience is open."},
        frequent_updates=BOOLEAN | {"description": "The app has NSSupportsLiveActivitiesFrequentUpdates."},
        renew=BOOLEAN | {"description": "Go on in new cards shortly before Apple's eight hours are over."},
        late_joiners=BOOLEAN | {"description": "Start it on devices that come to match the audience later."},
        no_token={"enum": ["wait", "lost", "again"]}
        | {
            "description": "What becomes of a card whose device never reports its update token. The setting"
            " `activities.no_token` explains it, and holds where this is left out. `again` may show a second card."
        },
        no_token_after=DURATION,
        start_budget={"enum": ["hold", "refuse"]}
        | {
            "description": "What becomes of a start that its phone would drop, since it has had too many in a short"
            " time; left out: as the setting `activities.start_budget` says."
        },
        params=PARAMS,
    )
    | _CLOSED
    | {"dependentRequired": {"end_after": ["phases"]}}
)
END: Schema = fields(state=STATE, alert=ALERT, dismiss_at=DATE, version=VERSION, params=PARAMS) | _CLOSED
PHASE: Schema = {"enum": ["running", "ended"]}
_COUNTS = ("started", "updated", "ended", "on_channel", "held", "waiting", "superseded", "unknown", "noop", "renewed")
OUTCOME = fields(
    ("id", "revision", "phase", "result", "settled", "counts"),
    id=either(GROUP_ID, NULL),
    revision=COUNT,
    phase=PHASE,
    result={"enum": ["created", "changed", "noop"]},
    priority=either({"enum": [5, 10]}, NULL),
    settled=BOOLEAN | {"description": "Whether each push of this change has its verdict."},
    counts=fields((*_COUNTS, "refused"), **dict.fromkeys(_COUNTS, COUNT), refused=COUNTED),
)
SCRIPT = fields(
    ("phase", "of", "since", "next", "ends_at"),
    phase=said(COUNT, "The phase that is shown; 0: what was shown before the first."),
    of=COUNT,
    since=either(MOMENT, NULL),
    next=either(fields(("phase", "at"), phase=COUNT, at=MOMENT), NULL),
    ends_at=either(MOMENT, NULL) | {"description": "When the script ends the activity."},
) | {"description": "How far the activity's phases have come; null: it has none."}
ACTIVITY = fields(
    ("id", "phase", "revision", "cards"),
    id=text(300),
    phase=PHASE,
    revision=COUNT,
    type=either(GROUP_ID, NULL),
    attributes=either(OBJECT, NULL),
    state=either(OBJECT, NULL),
    cards=COUNTED,
    held_starts=COUNT
    | {"description": "Of the starting cards: whose start waits for room in the phone's start budget."},
    created_at=MOMENT,
    ends_at=either(MOMENT, NULL),
    ended_at=either(MOMENT, NULL),
    version=either(VERSION, NULL),
    late_joiners=BOOLEAN,
    dismissal=either(text(32), NULL),
    high_priority_left=either(COUNT, NULL),
    script=either(SCRIPT, NULL),
)
REVISION = fields(
    ("revision", "kind", "settled", "verdicts", "refused"),
    revision=COUNT,
    kind={"enum": ["start", "update", "end", "farewell"]},
    created_at=MOMENT,
    timestamp=COUNT,
    priority={"enum": [5, 10]},
    settled=BOOLEAN,
    broadcast=either(text(32), NULL) | {"description": "What became of it on the activity's broadcast channels."},
    verdicts=COUNTED,
    refused=COUNTED,
)
CARD = fields(
    ("number", "status", "revision"),
    number=COUNT,
    installation_id=either(text(128), NULL),
    user=either(text(512), NULL),
    status={"enum": ["starting", "live", "ended", "dismissed", "lost", "moved", "renewed"]},
    revision=COUNT,
    verdict=either(text(32), NULL),
    reason=either(text(256), NULL),
    starts_at=either(MOMENT, NULL) | {"description": "When its start goes out, where that has to wait."},
    high_priority_left=either(COUNT, NULL)
    | {"description": "Pushes at priority 10 that the phone is trusted to bear now; null where the card is over."},
)
CARDS = fields(("cards", "next_after"), cards=items(CARD), next_after=either(COUNT, NULL))
TIMELINE = fields(
    ("events", "next_after"),
    events=items(
        fields(
            ("id", "type", "timestamp", "data"),
            id=COUNT,
            type={"enum": KINDS},
            timestamp=text(32),
            data=OBJECT,
            on_phone=fields(
                ("card", "verdict", "reason"),
                card=either(COUNT, NULL),
                verdict=either(text(32), NULL),
                reason=either(text(256), NULL),
            )
            | {"description": "With installation: what has become of this revision on it, as of now."},
        )
    ),
    next_after=either(COUNT, NULL),
    phone=fields(
        ("installation_id", "card", "reason"),
        installation_id=text(128),
        card=either(CARD, NULL) | {"description": "Its newest card of the activity."},
        reason=either(text(256), NULL) | {"description": "Why it does not show what it should, where that is known."},
    )
    | {"description": "With installation: whether it is there."},
)

LINE: Schema = (
    fields(
        ("id",),
        id=GROUP_ID,
        action={"enum": ["update", "end"], "default": "update"},
        state=STATE | {"description": "The whole state; an update needs it. Reaches the phone byte for byte."},
        alert=ALERT,
        priority={"enum": [5, 10, "auto"], "default": "auto", "description": "auto: 10 while the budget lasts."},
        important=BOOLEAN | {"description": "With auto: a person must look now, spend the budget."},
        relevance={"type": "number", "minimum": -1e9, "maximum": 1e9, "description": "Apple's relevance-score."},
        stale_at=DATE,
        dismiss_at=DATE | {"description": "With an end: when the card leaves the Lock Screen."},
        version=VERSION,
        params=PARAMS,
    )
    | _CLOSED
    | {"description": "One line."}
)
LINE_RESULT = fields(
    ("line", "id", "revision", "result"),
    line=COUNT | {"description": "Which line of the request, from 1, blank ones counted too."},
    id=either(text(512), NULL),
    revision=either(COUNT, NULL),
    result={"enum": ["changed", "noop", "unknown", "refused"]},
    error=OBJECT
    | {"description": "Where refused or unknown: title, status, code, detail, and the fields that are wrong."},
) | {"description": "What became of one line."}
