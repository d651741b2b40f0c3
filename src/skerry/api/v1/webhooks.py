"""`/v1/webhooks`: the caller's servers that are told what happens."""

import re
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from skerry.api.intake import Intake
from skerry.api.ports import Webhooks
from skerry.api.v1.headers import idempotency
from skerry.api.v1.query import LARGEST, Query, whole_number
from skerry.api.v1.reading import Body, not_found, read, refused, text
from skerry.api.v1.stream import matching_kinds
from skerry.domain.app import Principal
from skerry.domain.event import EventId
from skerry.domain.webhook import Attempt, DeadLetter, WebhookState, WebhookWish

MOST_NAME = 256
"""Characters of an activity's id."""

T = TypeVar("T")


class WebhookBody(Body):
    """`PUT /v1/webhooks/{name}`."""

    url: str
    kinds: list[str] | None = None
    activity: str | None = None
    enabled: bool = True


MOST_PER_PAGE = 1000
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class WebhookHandlers:
    """Reads requests about webhooks, asks the service, and shows what it says."""

    def __init__(self, intake: Intake, webhooks: Webhooks) -> None:
        self._webhooks = webhooks
        self._intake = intake

    async def put(self, request: Request) -> Response:
        """Make or change one."""
        principal, name = await self._named(request)
        body = await self._intake.body(request)
        wish, once = read_wish(body), idempotency(request, body)
        state, secret = await self._webhooks.put(principal.app.app_id, name, wish, idempotency=once)
        if secret is None:
            return JSONResponse(_shown(state))
        return JSONResponse(_shown(state) | {"secret": secret}, 201)

    async def get(self, request: Request) -> Response:
        """Show one."""
        principal, name = await self._named(request)
        found = await self._webhooks.get(principal.app.app_id, name)
        return JSONResponse(_shown(_there(found, name)))

    async def list(self, request: Request) -> Response:
        """Show all of the app."""
        principal = await self._intake.principal(request)
        Query(request, ())
        found = await self._webhooks.list(principal.app.app_id)
        return JSONResponse({"webhooks": [_shown(state) for state in found]})

    async def delete(self, request: Request) -> Response:
        """Forget one."""
        principal, name = await self._named(request)
        if not await self._webhooks.delete(principal.app.app_id, name, idempotency=idempotency(request)):
            _there(None, name)
        return JSONResponse({})

    async def rotate(self, request: Request) -> Response:
        """Give one a new secret."""
        principal, name = await self._named(request)
        secret = await self._webhooks.rotate(principal.app.app_id, name, idempotency=idempotency(request))
        return JSONResponse({"secret": _there(secret, name)})

    async def attempts(self, request: Request) -> Response:
        """The log of one, the newest first."""
        principal, name = await self._named(request, "before", "limit")
        query = Query(request, ("before", "limit"))
        limit, before = _limit(query), query.number("before", LARGEST)
        found = _there(await self._webhooks.attempts(principal.app.app_id, name, before=before, maximum=limit), name)
        following = found.items[-1][0] if found.more else None
        shown = [_attempt(number, attempt) for number, attempt in found.items]
        return JSONResponse({"attempts": shown, "next_before": following})

    async def dead_letters(self, request: Request) -> Response:
        """What one was not told of in the end."""
        principal, name = await self._named(request, "after", "limit")
        query = Query(request, ("after", "limit"))
        limit, after = _limit(query), EventId(query.number("after", 0))
        found = _there(await self._webhooks.dead_letters(principal.app.app_id, name, after=after, maximum=limit), name)
        following = found.items[-1].event.event_id if found.more else None
        return JSONResponse({"dead_letters": [_dead(one) for one in found.items], "next_after": following})

    async def replay(self, request: Request) -> Response:
        """Tell one of all that was given up."""
        principal, name = await self._named(request)
        count = await self._webhooks.replay(principal.app.app_id, name, idempotency=idempotency(request))
        return JSONResponse({"replayed": _there(count, name)})

    async def resend(self, request: Request) -> Response:
        """Tell one of one event."""
        principal, name = await self._named(request)
        event_id = whole_number(request.path_params["event_id"], "event_id")
        found = await self._webhooks.resend(
            principal.app.app_id, name, EventId(event_id), idempotency=idempotency(request)
        )
        known = _there(found, name)
        if not known:
            raise not_found(f"there is no event {event_id}", "it is past its retention, or another app's")
        return JSONResponse({})

    async def _named(self, request: Request, *parameters: str) -> tuple[Principal, str]:
        principal = await self._intake.principal(request)
        Query(request, parameters)
        name = request.path_params["name"]
        if not NAME.fullmatch(name):
            raise refused("name", "is not a name", "use 1 to 64 of A-Z a-z 0-9 . _ -, the first a letter or a digit")
        return principal, name


def read_wish(body: bytes) -> WebhookWish:
    """What the webhook is to be.

    Raises:
        ProblemError: 400 where the body is not JSON, 422 naming the field otherwise.
    """
    sent = read(body, WebhookBody)
    kinds = dict.fromkeys(kind for name in sent.kinds or () for kind in matching_kinds(name, "kinds"))
    return WebhookWish(sent.url, tuple(kinds), text(sent.activity, "activity", MOST_NAME), sent.enabled)


def _limit(query: Query) -> int:
    return query.number("limit", 100, low=1, high=MOST_PER_PAGE)


def _there(found: T | None, name: str) -> T:
    if found is None:
        raise not_found(f"there is no webhook {name!r}", "PUT makes one, GET /v1/webhooks lists those that are")
    return found


def _shown(state: WebhookState) -> dict[str, Any]:
    webhook = state.webhook
    return {
        "name": webhook.name,
        "url": webhook.url,
        "kinds": [kind.value for kind in webhook.kinds],
        "activity": webhook.activity,
        "enabled": webhook.enabled,
        "created_at": webhook.created_at,
        "failing_since": webhook.failing_since,
        "disabled_reason": webhook.disabled_reason,
        "pending": state.pending,
        "dead": state.dead,
    }


def _attempt(number: int, attempt: Attempt) -> dict[str, Any]:
    return {
        "number": number,
        "event_id": attempt.event_id,
        "attempt": attempt.number,
        "at": attempt.at,
        "took_ms": attempt.took_ms,
        "outcome": attempt.outcome.value,
        "status": attempt.status,
        "error": attempt.error,
    }


def _dead(letter: DeadLetter) -> dict[str, Any]:
    return {
        "event": letter.event.described(),
        "given_up_at": letter.given_up_at,
        "attempts": letter.attempts,
    }
