"""The API as an ASGI application: routes, and one place where errors become answers."""

import math
import time
from collections.abc import Awaitable, Callable

import structlog
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as StarletteRoute
from starlette.types import ASGIApp

from skerry.api.deadline import Deadline
from skerry.api.dispatch import Dispatch
from skerry.api.handlers import EXT_REF, Handlers
from skerry.api.metrics import ApiMetrics
from skerry.api.openapi import describe
from skerry.api.ports import ApiSettings, Services
from skerry.api.problems import problem
from skerry.api.request_log import RequestLog
from skerry.api.rest3.errors import (
    INTERNAL,
    OVERLOADED,
    TOO_LARGE,
    UNKNOWN_MESSAGE,
    UNKNOWN_SEGMENT,
    ErrorKind,
    Rest3Error,
    invalid,
)
from skerry.api.routes import Route, table
from skerry.api.schemas import EXPOSITION, OBJECT
from skerry.api.v1.refusals import problem_of
from skerry.api.v1.segments import AudienceHandlers
from skerry.domain.errors import (
    IdempotencyConflictError,
    OverloadedError,
    PayloadTooLargeError,
    RefusedError,
    SurveyTooLongError,
    UnknownNotificationError,
)
from skerry.domain.ids import Millis
from skerry.domain.segment import UnknownSegmentError

log = structlog.get_logger()


async def _as_it_is() -> None:
    """The registry needs no preparation."""


def build_api(
    services: Services,
    settings: ApiSettings,
    registry: CollectorRegistry,
    *,
    clock: Callable[[], Millis],
    refresh: Callable[[], Awaitable[None]] = _as_it_is,
) -> ASGIApp:
    """The whole API over its services; `registry` is what `/metrics` shows, after `refresh`."""
    metrics = ApiMetrics(registry)

    async def openapi(_: Request) -> Response:
        return JSONResponse(document)

    async def exposition(_: Request) -> Response:
        await refresh()
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    handlers = Handlers(services, settings, metrics, clock)
    routes = [
        *table(handlers, AudienceHandlers(services.audiences, services.segments, handlers)),
        Route("GET", "/openapi.json", "openapi", "This description", openapi, answer=OBJECT, public=True),
        Route(
            "GET",
            "/metrics",
            "metrics",
            "Counters and gauges, for Prometheus",
            exposition,
            answer=EXPOSITION,
            public=True,
            media_type="text/plain",
        ),
    ]
    document = describe(routes, settings.version)
    endpoints = [(route, _guarded(route, metrics, settings.answer_timeout)) for route in routes]
    application = Starlette(
        routes=[
            StarletteRoute(route.path, endpoint, methods=[route.method], name=route.name)
            for route, endpoint in endpoints
        ],
        exception_handlers={HTTPException: _http_problem},  # type: ignore[dict-item]
    )
    # A redirect loses the body of a POST in many clients; an unknown path is better told.
    application.router.redirect_slashes = False
    direct = {(route.method, route.path): endpoint for route, endpoint in endpoints if "{" not in route.path}
    return RequestLog(Dispatch(direct, application))


def _guarded(route: Route, metrics: ApiMetrics, timeout: float) -> Callable[[Request], Awaitable[Response]]:
    rest3 = route.path.startswith("/rest/")
    seconds = metrics.seconds.labels(route.name)
    counts: dict[int, Counter] = {}

    async def endpoint(request: Request) -> Response:
        began = time.perf_counter()
        try:
            with Deadline(timeout):
                response = await route.handler(request)
        except ClientDisconnect:
            response = Response(status_code=499)
        except Exception as error:  # noqa: BLE001 - the last net: nothing a caller sends may end in a traceback
            response = _rest3_answer(error) if rest3 else _problem_answer(error, request)
        status = response.status_code
        count = counts.get(status) or counts.setdefault(status, metrics.requests.labels(route.name, str(status)))
        count.inc()
        seconds.observe(time.perf_counter() - began)
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
        case UnknownSegmentError():
            return Rest3Error(UNKNOWN_SEGMENT)
        case OverloadedError():
            return Rest3Error(OVERLOADED, retry_after=error.retry_after)
        case SurveyTooLongError():
            return Rest3Error(OVERLOADED, retry_after=error.limit)
        case IdempotencyConflictError():
            where = "Field 'extRef'" if error.key.startswith(EXT_REF) else "Header 'Idempotency-Key'"
            return invalid(f"{where} should not be used again for another request")
        case RefusedError():
            return invalid(str(error))
        case _:
            log.error("request failed", exc_info=error)
            return Rest3Error(INTERNAL)


def _rest3_response(kind: ErrorKind, retry_after: float | None) -> Response:
    headers = {"retry-after": str(math.ceil(retry_after))} if retry_after is not None else None
    return JSONResponse({"code": kind.code, "error": kind.text}, kind.status, headers)


def _problem_answer(error: Exception, request: Request) -> Response:
    found = problem_of(error)
    answer = problem(found.status, found.title, found.detail, request.url.path, found.errors, code=found.code)
    if found.retry_after is not None:
        answer.headers["retry-after"] = str(math.ceil(found.retry_after))
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
