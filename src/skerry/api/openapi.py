"""OpenAPI 3.1 of every route, made from the route table."""

from collections.abc import Sequence
from typing import Any

from skerry.api.routes import Route
from skerry.api.schemas import PARAMETERS, PROFILE

REST3_ERROR = {
    "type": "object",
    "required": ["code", "error"],
    "properties": {"code": {"type": "integer"}, "error": {"type": "string"}},
}
_CHECKS = frozenset({"healthz", "readyz"})
PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "errors": {"type": "array", "items": {"type": "object"}},
    },
}


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
            "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-netmera-api-key"}},
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": "Done"}
    if route.answer is not None:
        answer["content"] = {route.media_type: {"schema": route.answer}}
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "responses": {"200": answer, **_errors(route)},
    }
    if route.body is not None:
        content = {"schema": route.body} if route.example is None else {"schema": route.body, "example": route.example}
        operation["requestBody"] = {"required": True, "content": {"application/json": content}}
    if route.query:
        operation["parameters"] = [
            {"name": name, "in": "query", "required": required, "schema": PARAMETERS[name]}
            for name, required in route.query.items()
        ]
    if not route.public:
        operation["security"] = [{"key": []}]
    return operation


def _errors(route: Route) -> dict[str, Any]:
    if route.path.startswith("/rest/"):
        return dict.fromkeys(("400", "403", "408", "429", "500"), _error("Rest3Error", "application/json"))
    if not route.public:
        statuses = ("400", "403", "408", "413", "422", "429", "500")
        return dict.fromkeys(statuses, _error("Problem", "application/problem+json"))
    if route.name in _CHECKS:
        return {"503": {"description": "Not now", "content": {"application/json": {"schema": {"type": "object"}}}}}
    return {}


def _error(schema: str, media_type: str) -> dict[str, Any]:
    content = {media_type: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": "Refused; nothing was changed", "content": content}
