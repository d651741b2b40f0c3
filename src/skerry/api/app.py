"""The API as an ASGI application: routes, and one place where errors become answers."""

import math
from collections.abc import Awaitable, Callable

import structlog
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as StarletteRoute

from skerry.api.handlers import Handlers
from skerry.api.openapi import describe
from skerry.api.ports import ApiSettings, Services
from skerry.api.problems import ProblemError, problem
from skerry.api.rest3.errors import (
    INTERNAL,
    OVERLOADED,
    TOO_LARGE,
    UNKNOWN_MESSAGE,
    ErrorKind,
    Rest3Error,
    invalid,
)
from skerry.api.routes import Route, table
from skerry.domain.errors import (
    IdempotencyConflictError,
    OverloadedError,
    PayloadTooLargeError,
    RefusedError,
    UnknownNotificationError,
)
from skerry.domain.ids import Millis

log = structlog.get_logger()


def build_api(
    services: Services, settings: ApiSettings, registry: CollectorRegistry, *, clock: Callable[[], Millis]
) -> Starlette:
    """The whole API over its services; `registry` is what `/metrics` shows."""
    requests = Counter(
        "skerry_http_requests",
        "Requests answered, by operation and status.",
        ["operation", "status"],
        registry=registry,
    )
    routes = table(Handlers(services, settings, clock))
    document = describe(routes, settings.version)

    async def openapi(_: Request) -> Response:
        return JSONResponse(document)

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return Starlette(
        routes=[
            *(
                StarletteRoute(route.path, _guarded(route, requests), methods=[route.method], name=route.name)
                for route in routes
            ),
            StarletteRoute("/openapi.json", openapi, methods=["GET"]),
            StarletteRoute("/metrics", metrics, methods=["GET"]),
        ],
        exception_handlers={HTTPException: _http_problem},  # type: ignore[dict-item]
    )


def _guarded(route: Route, requests: Counter) -> Callable[[Request], Awaitable[Response]]:
    rest3 = route.path.startswith("/rest/")

    async def endpoint(request: Request) -> Response:
        try:
            response = await route.handler(request)
        except ClientDisconnect:
            response = Response(status_code=499)
        except Exception as error:  # noqa: BLE001 - the last net: nothing a caller sends may end in a traceback
            response = _rest3_answer(error) if rest3 else _problem_answer(error, request)
        requests.labels(route.name, str(response.status_code)).inc()
        return response

    return endpoint


def _rest3_answer(error: Exception) -> Response:
    found = _rest3_error(error)
    return _rest3_response(found.kind, found.retry_after)


def _rest3_error(error: Exception) -> Rest3Error:  # noqa: PLR0911 - one return per kind of error
    match error:
        case Rest3Error():
            return error
        case PayloadTooLargeError():
            return Rest3Error(TOO_LARGE)
        case UnknownNotificationError():
            return Rest3Error(UNKNOWN_MESSAGE)
        case OverloadedError():
            return Rest3Error(OVERLOADED, retry_after=error.retry_after)
        case IdempotencyConflictError():
            return invalid("Header 'Idempotency-Key' should not be used again for another request")
        case RefusedError():
            return invalid(str(error))
        case _:
            log.error("request failed", exc_info=error)
            return Rest3Error(INTERNAL)


def _rest3_response(kind: ErrorKind, retry_after: float | None) -> Response:
    headers = {"retry-after": str(math.ceil(retry_after))} if retry_after is not None else None
    return JSONResponse({"code": kind.code, "error": kind.text}, kind.status, headers)


def _problem_answer(error: Exception, request: Request) -> Response:
    path = request.url.path
    match error:
        case ProblemError():
            answer = problem(error.status, error.title, error.detail, path, error.errors)
            retry_after = error.retry_after
        case Rest3Error():  # authentication speaks the contract's language; here it is a problem document
            answer, retry_after = problem(error.kind.status, "Refused", error.kind.text, path), None
        case OverloadedError():
            answer, retry_after = problem(429, "Overloaded", str(error), path), error.retry_after
        case RefusedError():
            answer, retry_after = problem(400, "Refused", str(error), path), None
        case _:
            log.error("request failed", exc_info=error)
            answer, retry_after = problem(500, "Internal server error", "the error has been logged", path), None
    if retry_after is not None:
        answer.headers["retry-after"] = str(math.ceil(retry_after))
    return answer


async def _http_problem(request: Request, error: HTTPException) -> Response:
    answer = problem(error.status_code, error.detail, _hint(error.status_code), request.url.path)
    if error.headers:
        answer.headers.update(error.headers)
    return answer


def _hint(status: int) -> str:
    if status == 404:  # noqa: PLR2004 - HTTP 404
        return "there is no such route; /openapi.json lists all of them"
    if status == 405:  # noqa: PLR2004 - HTTP 405
        return "the route does not know this method; the Allow header names those it does"
    return "the request was refused"
