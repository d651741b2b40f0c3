"""What phones are told, as JSON Schema: a state, an alert, and what fills them in."""

from skerry.api.schemas import LANGUAGE_TAG, OBJECT, SCALAR, Schema, either, fields, items, text
from skerry.domain.languages import MOST_LANGUAGES

_TEXT_OR_KEY = either(
    text(1024, 0),
    fields(("loc-key",), **{"loc-key": text(256), "loc-args": items(text(256, 0), 0, 10)}),
    fields(("default",), default=text(1024, 0))
    | {
        "propertyNames": either({"const": "default"}, {"pattern": LANGUAGE_TAG}),
        "additionalProperties": text(1024, 0),
        "maxProperties": MOST_LANGUAGES,
        "description": "Texts by language tag: each phone gets its own language's, or the default.",
    },
)
ALERT = fields(("title", "body"), title=_TEXT_OR_KEY, body=_TEXT_OR_KEY, sound=text(128)) | {
    "description": "Apple's alert. The phones light up; a start has one in any case, an empty one where you send none."
}
STATE = OBJECT | {
    "description": "The whole state. Reaches the phone byte for byte, but for `@{name}` in its texts, which becomes "
    "what the user's profile says."
}
PARAMS: Schema = {
    "type": "object",
    "additionalProperties": SCALAR,
    "description": "Values for `@{name}` in state, attributes and alert that are the same for everybody.",
}
