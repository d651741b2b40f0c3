"""The HTTP API, from its own description."""

import json
from collections.abc import Iterator
from typing import Any

from reference import markdown
from skerry.api.examples import ANSWERS

Schema = dict[str, Any]

GROUPS = {
    "Live Activities": (
        "sendBulkNotification",
        "createNotificationDefinition",
        "sendNotification",
        "update-live-activity",
    ),
    "What devices report": ("reportEvents", "fireEvents"),
}
"""What the page begins with; all other operations follow under a heading of their own."""
OTHERS = "Users, statistics and health"
FAR = 10**8
"""A bound above this only says that numbers are finite."""

INTRODUCTION = """
Every call under `/rest/` and `/v1/` carries its key in the header `X-netmera-api-key`. A REST key belongs on your
server and may do everything; an SDK key may sit in the app and may only report events. An answer comes when the change
is on disk, and a refused call has changed nothing.

Unknown fields are ignored, and null counts as left out. Bodies are JSON of up to 1 MiB. [Errors](errors.md) has every
code; [Moving from Netmera](../moving-from-netmera.md) says what differs from the original. For machines: `GET
/openapi.json`.

The examples are those of one day of an app: `scripts/record-answers` asks a service with simulated phones, in an order
that makes sense, and `tests/acceptance/test_examples.py` asks again and compares.
"""


def page(api: dict[str, Any]) -> str:
    """The page."""
    operations = {
        operation["operationId"]: (method.upper(), path, operation)
        for path, methods in api["paths"].items()
        for method, operation in methods.items()
    }
    grouped = [name for names in GROUPS.values() for name in names]
    groups = {**GROUPS, OTHERS: tuple(name for name in operations if name not in grouped)}
    parts = [INTRODUCTION]
    for title, names in groups.items():
        parts.append(f"## {title}")
        for name in names:
            parts += _operation(*operations[name])
    parts += _condition(api["components"]["schemas"]["ProfileCondition"])
    return markdown.page("HTTP API", *parts)


def _operation(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"### `{method} {path}`"
    yield f"{operation['summary']}. {_key(operation)}."
    if "description" in operation:
        yield operation["description"]
    if parameters := operation.get("parameters"):
        rows = [
            [f"`{one['name']}`", "yes" if one["required"] else "", _form(one["schema"]), _meaning(one["schema"])]
            for one in parameters
        ]
        yield markdown.table(["query", "required", "form", "meaning"], rows)
    if "requestBody" in operation:
        yield from _body(next(iter(operation["requestBody"]["content"].values())))
    yield from _answers(operation["responses"])
    yield from _told(operation["operationId"])


def _told(operation: str) -> Iterator[str]:
    """The answer that a service gave to the example, or to a request without a body."""
    told = ANSWERS.get(operation, {})
    if told.get("answer"):
        yield f"`{told['request']}` was answered with `{told['status']}` and"
        yield markdown.block(json.dumps(told["answer"], indent=2, ensure_ascii=False), "json")


def _key(operation: dict[str, Any]) -> str:
    kinds = [{"restKey": "REST", "sdkKey": "SDK"}[name] for one in operation.get("security", []) for name in one]
    return f"Key: {' or '.join(kinds)}" if kinds else "Needs no key"


def _body(content: dict[str, Any]) -> Iterator[str]:
    forms = list(_forms(content["schema"]))
    for form in forms:
        if "title" in form:
            yield f"{form['title']}:"
        rows = list(_inner(form["items"], "") if form.get("type") == "array" else _fields(form))
        if rows:
            yield _sort(content["schema"])
            yield markdown.table(["field", "required", "form", "meaning"], rows)
    if "example" in content:
        yield markdown.block(json.dumps(content["example"], indent=2, ensure_ascii=False), "json")


def _sort(body: Schema) -> str:
    """Of what sort the body is, where that is not one object."""
    lists = [one for one in body.get("anyOf", [body]) if one.get("type") == "array"]
    if not lists:
        return ""
    return f"The body is {'one object, or ' if 'anyOf' in body else ''}a list of up to {lists[0]['maxItems']} objects:"


def _forms(schema: Schema) -> list[Schema]:
    """The objects of an `anyOf`, or a list of them where there is nothing else."""
    if "properties" in schema or "anyOf" not in schema:
        return [schema]
    return [one for one in schema["anyOf"] if one.get("type") == "object"]


def _answers(responses: dict[str, Any]) -> Iterator[str]:
    statuses = ", ".join(f"`{status}`" for status in responses if status != "200")
    refused = f" Refused: {statuses}." if statuses else ""
    content = responses["200"].get("content", {})
    schema = next(iter(content.values()))["schema"] if content else {}
    forms = [form for form in _forms(schema) if form.get("properties")]
    if not forms:
        what = {"object": " with an object", "string": " with text"}.get(schema.get("type", ""), ", no body")
        yield f"Answer: `200`{what}.{refused}"
        return
    yield f"Answer: `200`.{refused}"
    for form in forms:
        if "title" in form:
            yield f"{form['title']}:"
        rows = [[name, kind, meaning] for name, _, kind, meaning in _fields(form)]
        yield markdown.table(["field", "form", "meaning"], rows)


def _fields(schema: Schema, prefix: str = "") -> Iterator[list[str]]:
    required = schema.get("required", [])
    for name, field in schema.get("properties", {}).items():
        path = f"{prefix}{name}"
        yield [f"`{path}`", "yes" if name in required else "", _form(field), _meaning(field)]
        if field.get("type") == "object":
            yield from _fields(field, f"{path}.")
        elif field.get("type") == "array":
            yield from _inner(field["items"], f"{path}[].")


def _inner(items: Schema, prefix: str) -> Iterator[list[str]]:
    """The fields of a list's members; what several of their forms have is said once, required where all require it."""
    rows: dict[str, list[list[str]]] = {}
    forms = _forms(items)
    for form in forms:
        for row in _fields(form, prefix):
            rows.setdefault(row[0], []).append(row)
    for name, found in rows.items():
        always = len(found) == len(forms) and all(row[1] for row in found)
        needed = "yes" if always else "by event" if any(row[1] for row in found) else ""
        yield [name, needed, " or ".join(dict.fromkeys(row[2] for row in found)), found[0][3]]


def _condition(schema: Schema) -> Iterator[str]:
    yield "## Conditions on the profile"
    yield schema["description"]
    yield "Where an attribute is a list, it matches when the value is one of its members. Numbers compare by value."
    rows = [
        ['`{"team": "Arsenal"}`', "the attribute has this value"],
        ['`{"team": ["Arsenal", "Liverpool"]}`', "it has one of these"],
        ['`{"team": {"$not": "Arsenal"}}`', "it does not have this value, or is not there"],
        ['`{"age": {"$exists": true}}`', "it is there"],
        ['`{"$or": {"team": "Arsenal", "age": 30}}`', "one of these holds; `$and`: all; `$not`: none"],
        ['`{"$or": [{"team": "Arsenal"}, {"age": 30, "city": "Izmir"}]}`', "the same with conditions that are AND-ed"],
    ]
    yield markdown.table(["condition", "holds where"], rows)


def _meaning(schema: Schema) -> str:
    if "description" in schema:
        return str(schema["description"])
    said = dict.fromkeys(_meaning(one) for one in schema.get("anyOf", []))
    return " ".join(filter(None, said))


def _form(schema: Schema) -> str:  # noqa: PLR0911 - one return per form
    if "$ref" in schema:
        return "[condition](#conditions-on-the-profile)"
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return " or ".join(f"`{json.dumps(one)}`" for one in schema["enum"])
    if "anyOf" in schema and "type" not in schema:
        return " or ".join(dict.fromkeys(_form(one) for one in schema["anyOf"]))
    kind = schema.get("type", "anything")
    if isinstance(kind, list):
        return " or ".join(_scalar(one, schema) for one in kind)
    if kind == "array":
        bounds = f" ({schema['minItems']} to {schema['maxItems']})" if "maxItems" in schema else ""
        return f"list{bounds} of {_form(schema['items'])}" if "anyOf" not in schema["items"] else f"list{bounds}"
    return _scalar(kind, schema)


def _scalar(kind: str, schema: Schema) -> str:
    if kind == "string" and "maxLength" in schema:
        return f"text (up to {schema['maxLength']})"
    if kind == "string":
        return "date" if schema.get("format") == "date-time" else "text"
    if kind in {"integer", "number"} and abs(schema.get("maximum", FAR)) < FAR:
        return f"{schema.get('minimum', 0)} to {schema['maximum']}"
    return {"integer": "whole number", "boolean": "true or false"}.get(kind, kind)
