"""OpenAPI 3.1 of every route, made from the route table."""

import re
from collections.abc import Sequence
from typing import Any

from skerry.api.examples import ANSWERS
from skerry.api.explanations import EXPLANATIONS
from skerry.api.routes import Route
from skerry.api.schemas import PARAMETERS, PROFILE, Schema

REST3_ERROR = {
    "type": "object",
    "description": "What was wrong; nothing was changed. The codes are Netmera's, and some mean two things.",
    "required": ["code", "error"],
    "properties": {"code": {"type": "integer"}, "error": {"type": "string"}},
    "examples": [{"code": 2020, "error": "groupId is required"}],
}
_IN_PATH = re.compile(r"\{(\w+)\}")
_OURS_ONLY = frozenset({"404", "409", "412", "413", "422"})
_BY_DEVICES = frozenset({"reportEvents"})
_CHECKS = frozenset({"healthz", "readyz"})
PROBLEM = {
    "type": "object",
    "description": "A problem document (RFC 9457). Nothing was changed.",
    "required": ["type", "title", "status", "detail", "instance"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "code": {"type": "string", "description": "The kind of problem, for machines."},
        "errors": {
            "type": "array",
            "description": "The fields that are wrong, and how to mend each.",
            "items": {
                "type": "object",
                "required": ["field", "problem", "fix"],
                "properties": {name: {"type": "string"} for name in ("field", "problem", "fix")},
            },
        },
    },
}
_KEYS = {
    "restKey": "A REST key: for your backend, may do everything. `Authorization: Bearer` takes it too.",
    "sdkKey": "An SDK key: may sit in the app, and may only report events. `Authorization: Bearer` takes it too.",
}
_REFUSALS = {
    "400": "The request is wrong; the answer says where",
    "403": "The key is not known, or may not be used from here or for this",
    "404": "There is nothing of this name",
    "408": "The body did not arrive in time",
    "409": "It contradicts what was accepted before; the answer says how",
    "412": "The activity has changed since it was read",
    "413": "The body is too large",
    "422": "A field is wrong; the answer names it",
    "429": "Too many requests or too much to write: try again after Retry-After seconds",
    "500": "It could not be done; the log has the reason under the answer's X-Request-Id",
    "503": "It took too long and was given up: try again after Retry-After seconds",
}
_RARE = frozenset({"503"})
"""Only where a route says so."""


def describe(routes: Sequence[Route], version: str) -> dict[str, Any]:
    """The document."""
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Skerry",
            "version": version,
            "description": "A self-hosted Live Activities server. `/rest/3.0/` is a drop-in for Netmera's REST API.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": {"Rest3Error": REST3_ERROR, "Problem": PROBLEM, "ProfileCondition": PROFILE},
            "securitySchemes": {
                name: {"type": "apiKey", "in": "header", "name": "X-netmera-api-key", "description": description}
                for name, description in _KEYS.items()
            },
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": "Done"}
    if route.answer is not None:
        told = ANSWERS.get(route.name, {}).get("answer")
        example = {} if told is None else {"example": told}
        answer["content"] = {route.media_type: {"schema": route.answer, **example}}
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "responses": {"200": answer, **dict.fromkeys(route.also, answer), **_errors(route)},
    }
    if route.name in EXPLANATIONS:
        operation["description"] = EXPLANATIONS[route.name].strip()
    if route.body is not None:
        content = {"schema": route.body} if route.example is None else {"schema": route.body, "example": route.example}
        operation["requestBody"] = {"required": not route.optional_body, "content": {route.body_media_type: content}}
    parameters = [
        *(("path", name, True) for name in _IN_PATH.findall(route.path)),
        *(("query", name, required) for name, required in route.query.items()),
        *(("header", name, required) for name, required in route.headers.items()),
    ]
    if parameters:
        operation["parameters"] = [
            {"name": name, "in": place, "required": required, "schema": _parameter(route, name)}
            for place, name, required in parameters
        ]
    if not route.public:
        operation["security"] = [{"sdkKey": []}, {"restKey": []}] if route.name in _BY_DEVICES else [{"restKey": []}]
    return operation


def _parameter(route: Route, name: str) -> Schema:
    return PARAMETERS.get(f"{route.name}.{name}") or PARAMETERS[name]


def _errors(route: Route) -> dict[str, Any]:
    if route.path.startswith("/rest/"):
        return {
            status: _error(status, "Rest3Error", "application/json")
            for status in _REFUSALS
            if status not in {*_OURS_ONLY, *_RARE}
        }
    if not route.public:
        statuses = [status for status in _REFUSALS if status not in _RARE or status in route.refusals]
        return {status: _error(status, "Problem", "application/problem+json") for status in statuses}
    if route.name in _CHECKS:
        return {"503": {"description": "Not now", "content": {"application/json": {"schema": route.answer}}}}
    return {}


def _error(status: str, schema: str, media_type: str) -> dict[str, Any]:
    content = {media_type: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": _REFUSALS[status], "content": content}
