"""One handler per route of `/v1/activities`."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from skerry.api.intake import Intake
from skerry.api.ports import Services
from skerry.api.problems import ProblemError
from skerry.api.v1 import activities as forms
from skerry.api.v1.headers import expected_revision, idempotency
from skerry.api.v1.query import Query
from skerry.api.v1.reading import not_found, read, refused
from skerry.api.v1.stream import read_kinds
from skerry.domain.activity import Activity
from skerry.domain.desired import Outcome
from skerry.domain.errors import (
    ChangedMeanwhileError,
    FixedAttributesError,
    NothingToStartError,
    OutdatedError,
    PayloadTooLargeError,
    PersonalOnChannelError,
)
from skerry.domain.event import EventId
from skerry.domain.ids import AppId, CardNumber, Millis, RevisionNumber
from skerry.domain.receipt import ActivityReceipt, RevisionReceipt

LONGEST_WAIT = 30.0
"""Seconds that a request may wait for settlement."""
MOST_PER_PAGE = 1_000
_LOOKS = (0.005, 0.01, 0.02, 0.05, 0.1)
"""Seconds between two looks at what has settled; the last one repeats."""
_MOST_DIGITS = 15
MOST_INSTALLATION = 128
"""Characters of an installation's id."""


class ActivityHandlers:
    """Activities by the caller's own ids."""

    def __init__(self, intake: Intake, services: Services, clock: Callable[[], Millis]) -> None:
        self._intake = intake
        self._services = services
        self._clock = clock

    async def put(self, request: Request) -> Response:
        """Make an activity so."""
        app_id = (await self._intake.principal(request)).app.app_id
        group_id = forms.activity_id(request.path_params["id"])
        body = await self._intake.body(request)
        wait = _wait(request)
        desired = forms.desired(read(body, forms.PutBody), group_id, self._clock())
        try:
            outcome = await self._services.desired.put(
                app_id, desired, expected=expected_revision(request), idempotency=idempotency(request, body)
            )
        except Exception as error:
            raise _refusal(error) from error
        return await self._answer(app_id, outcome, wait, status=201 if outcome.created else 200)

    async def end(self, request: Request) -> Response:
        """End an activity."""
        app_id = (await self._intake.principal(request)).app.app_id
        group_id = forms.activity_id(request.path_params["id"])
        sent = await self._intake.body(request)
        body = read(sent, forms.EndBody) if sent.strip() else forms.EndBody()
        wait = _wait(request)
        try:
            outcome = await self._services.desired.end(
                app_id,
                group_id,
                forms.ending(body),
                version=forms.version(body.version),
                expected=expected_revision(request),
                idempotency=idempotency(request, sent),
            )
        except Exception as error:
            raise _refusal(error) from error
        if outcome is None:
            raise _unknown(group_id)
        return await self._answer(app_id, outcome, wait)

    async def get(self, request: Request) -> Response:
        """What an activity shows, and on how many phones."""
        receipt = await self._found(request)
        standing = await self._services.receipts.standing(receipt.activity)
        extra: dict[str, Any] = {"version": None, "late_joiners": False, "dismissal": None, "high_priority_left": None}
        if standing is not None:
            extra = {
                "version": standing.version,
                "late_joiners": standing.audience is not None and standing.policies.late_joiners,
                "dismissal": standing.policies.swipe.value,
                "high_priority_left": self._services.desired.high_priority_left(standing),
            }
        return _json(forms.shown(receipt, extra), receipt.activity)

    async def revision(self, request: Request) -> Response:
        """One revision with what became of it."""
        receipt = await self._found(request)
        number = _number(request.path_params["n"], "n")
        found = await self._services.receipts.revision(receipt.activity, RevisionNumber(number))
        if found is None:
            raise ProblemError(404, "Not found", f"the activity has no revision {number}, or it is past its retention")
        return _json(forms.shown_revision(found))

    async def cards(self, request: Request) -> Response:
        """Cards, page by page."""
        receipt = await self._found(request)
        after = _number(request.query_params.get("after", "0"), "after")
        limit = _number(request.query_params.get("limit", "100"), "limit")
        if not 1 <= limit <= MOST_PER_PAGE:
            raise refused("limit", "is out of bounds", f"send a number from 1 to {MOST_PER_PAGE}")
        page = await self._services.receipts.cards(receipt.activity, after=CardNumber(after), maximum=limit)
        following = page.items[-1].number if page.more else None
        return _json({"cards": [forms.shown_card(one) for one in page.items], "next_after": following})

    async def timeline(self, request: Request) -> Response:
        """What happened, page by page; seen from one phone where it is asked for."""
        receipt = await self._found(request)
        query = Query(request, ("after", "limit", "kinds", "installation"))
        installation = query.text("installation", most=MOST_INSTALLATION)
        found = await self._services.receipts.timeline(
            receipt.activity,
            after=EventId(query.number("after", 0)),
            maximum=query.number("limit", 100, low=1, high=MOST_PER_PAGE),
            kinds=read_kinds(query.text("kinds", most=2_000)),
            installation_id=installation,
        )
        if found is None:
            raise not_found(f"there is no installation {installation!r}", "it has never reported, or has been erased")
        return _json(forms.shown_timeline(found))

    async def _found(self, request: Request) -> ActivityReceipt:
        app_id = (await self._intake.principal(request)).app.app_id
        group_id = forms.activity_id(request.path_params["id"])
        receipt = await self._services.receipts.activity(app_id, group_id)
        if receipt is None:
            raise _unknown(group_id)
        return receipt

    async def _answer(self, app_id: AppId, outcome: Outcome, wait: float, *, status: int = 200) -> Response:
        receipts = await self._settled(outcome, wait)
        found = await self._services.receipts.activity(app_id, f"#{outcome.activity.activity_id}")
        running = 0 if found is None else sum(count for card, count in found.cards.items() if not card.is_over)
        document = {
            "id": found.names[0] if found is not None and found.names else None,
            "revision": outcome.activity.newest,
            "phase": outcome.activity.phase.name.lower(),
            "result": "noop" if not outcome.revisions else "created" if outcome.created else "changed",
            "priority": outcome.priority,
            "settled": forms.is_settled(receipts),
            "counts": forms.counts(receipts, running),
        }
        return _json(document, outcome.activity, status=status)

    async def _settled(self, outcome: Outcome, wait: float) -> list[RevisionReceipt]:
        """The revisions of an outcome: as they are now, or once they have settled, if that is soon enough."""
        until = time.monotonic() + wait
        looks = iter(_LOOKS)
        while True:
            found = [await self._services.receipts.revision(outcome.activity, one) for one in outcome.revisions]
            receipts = [one for one in found if one is not None]
            if forms.is_settled(receipts) or time.monotonic() >= until:
                return receipts
            await asyncio.sleep(next(looks, _LOOKS[-1]))


def _json(document: Any, activity: Activity | None = None, *, status: int = 200) -> Response:
    headers = {"etag": f'"{activity.newest}"'} if activity is not None else None
    return Response(msgspec.json.encode(document), status, headers, "application/json")


def _unknown(group_id: str) -> ProblemError:
    return ProblemError(404, "Not found", f"there is no activity {group_id}: PUT it first")


def _refusal(error: Exception) -> Exception:
    if isinstance(error, NothingToStartError):
        return refused(error.field, "is missing", "a start needs it: send it with the audience")
    for kind, status, title, fix in _REFUSALS:
        if isinstance(error, kind):
            return ProblemError(status, title, f"{error}: {fix}")
    return error


_REFUSALS: tuple[tuple[type[Exception], int, str, str], ...] = (
    (OutdatedError, 409, "Outdated", "read the activity and send a higher version"),
    (ChangedMeanwhileError, 412, "Changed meanwhile", "read the activity, and send its ETag in If-Match"),
    (
        PersonalOnChannelError,
        409,
        "Same for everybody",
        'leave placeholders and languages out (loc-key stays), or start it with "routing": "tokens"',
    ),
    (FixedAttributesError, 409, "Attributes are fixed", "end it first, or leave them out"),
    (PayloadTooLargeError, 413, "Payload too large", "send less state, attributes or alert"),
)


def _wait(request: Request) -> float:
    """`?wait=` in seconds."""
    sent = request.query_params.get("wait", "0").removesuffix("s")
    try:
        wait = float(sent)
    except ValueError:
        wait = -1.0
    if not 0 <= wait <= LONGEST_WAIT:
        raise refused("wait", "is not a time to wait", f"send seconds from 0 to {LONGEST_WAIT:g}")
    return wait


def _number(sent: str, field: str) -> int:
    if not sent.isascii() or not sent.isdigit() or len(sent) > _MOST_DIGITS:
        raise refused(field, "is not a number", "send a whole number")
    return int(sent)
