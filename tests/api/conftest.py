"""The API over services that only write down what they are asked."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from typing import Any

import httpx2
import pytest
from prometheus_client import CollectorRegistry

from skerry.api.app import build_api
from skerry.api.ports import ApiSettings, Services
from skerry.domain.activity import Activity, End
from skerry.domain.app import Address, ApiKey, App, KeyKind, KeyProblem, Principal
from skerry.domain.audience import Audience, Quantifier, TagCondition
from skerry.domain.card import CardStatus
from skerry.domain.commands import Idempotency, ReportResult
from skerry.domain.desired import Outcome
from skerry.domain.event import EventFilter, EventId, EventKind, EventPage, RecordedEvent
from skerry.domain.ids import (
    ActivityId,
    AppId,
    CardNumber,
    GroupId,
    Millis,
    NotificationKey,
    RevisionNumber,
    Seconds,
)
from skerry.domain.line import Line, LineOutcome, LineResult
from skerry.domain.preview import Count, Doubt, Missing, NotStartable, Preview, Sample
from skerry.domain.receipt import ActivityReceipt, CardReceipt, PushResult, PushStats, RevisionReceipt, Slice
from skerry.domain.revision import RevisionKind
from skerry.domain.schedule import Action, Ending, ScheduledChange, ScheduleId
from skerry.domain.segment import SegmentSize, SegmentUsers, StoredSegment
from skerry.domain.user import DeviceInfo, Page, UserContact
from skerry.domain.verdict import Verdict
from skerry.domain.webhook import Attempt, DeadLetter, Webhook, WebhookId, WebhookState
from skerry.receipts.feed import Beginning

NOW = Millis(1_767_225_600_000)
"""2026-01-01T00:00:00Z: before every date of the guide."""
REST_KEY, SDK_KEY, OFFICE_KEY, STRICT_KEY = "rest-key", "sdk-key", "office-key", "strict-key"
APP = App(AppId(7), "Matches", "com.example.matches", NOW)
TOKEN = "ab" * 32
SEGMENT = StoredSegment(3, "vip", Audience(tags=TagCondition(Quantifier.ANY, ("vip",))), NOW, NOW)
PREVIEW = Preview(
    matched=12,
    startable=10,
    not_startable={NotStartable.NO_START_TOKEN: Count(2, (Sample("i-1", "u-1"), Sample("i-2", None)))},
    doubts={Doubt.PUSH_OFF: Count(1, (Sample("i-3", None),))},
    users_without_device=Missing(1, ("u-9",)),
)


class Recorded:
    """A service that writes down its calls and gives `answers[name]`, or raises it where it is an error."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.answers = dict(answers)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)

        async def call(*positional: Any, **named: Any) -> Any:
            self.calls.append((name, positional, named))
            answer = self.answers.get(name)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


class FakeBatches:
    """Every line changes its activity."""

    async def carry_out(
        self,
        app_id: AppId,
        lines: Sequence[Line],
        tell: Callable[[Sequence[LineOutcome]], str],
        idempotency: Idempotency | None = None,
    ) -> str:
        return tell([LineOutcome(LineResult.CHANGED, RevisionNumber(3)) for _ in lines])


class Keys:
    """Four keys of one app."""

    async def authenticate(self, text: str | None, address: Address | None) -> Principal | KeyProblem:
        networks = (ip_network("10.0.0.0/8"),) if text == OFFICE_KEY else ()
        kind = KeyKind.SDK if text == SDK_KEY else KeyKind.REST
        if text not in (REST_KEY, SDK_KEY, OFFICE_KEY, STRICT_KEY):
            return KeyProblem.UNKNOWN
        key = ApiKey(1, APP.app_id, kind, text[:4], "test", NOW, networks)
        if not key.allows(address):
            return KeyProblem.ADDRESS
        return Principal(replace(APP, strict_groups=text == STRICT_KEY), key)


@dataclass
class FakeHealth:
    """Healthy until told otherwise."""

    alive: bool = True
    checks: dict[str, str] = field(default_factory=lambda: {"store": "ok"})

    def live(self) -> bool:
        return self.alive

    async def ready(self) -> Mapping[str, str]:
        return self.checks


class EndedFeed:
    """The feed of a service that is about to stop: its streams say so, and end."""

    closed = True
    listen = staticmethod(contextlib.nullcontext)

    async def begin(self, app_id: AppId, wanted: EventFilter, after: EventId | None) -> Beginning | None:
        known = wanted.activity_name in (None, "match-1")
        return Beginning(wanted, EventId(41 if after is None else after), missed=False) if known else None

    async def page(self, app_id: AppId, wanted: EventFilter, after: EventId, limit: int) -> EventPage:
        return EventPage((), after, more=False)


@dataclass
class Api:
    """The application, what stands behind it, and a client that holds the REST key."""

    activities: Recorded
    registry: Recorded
    receipts: Recorded
    webhooks: Recorded
    audiences: Recorded
    segments: Recorded
    schedule: Recorded
    health: FakeHealth
    app: Any
    client: httpx2.AsyncClient

    @property
    def calls(self) -> list[tuple[str, tuple[Any, ...], dict[str, Any]]]:
        """All that any service was asked."""
        services = (
            self.activities, self.registry, self.receipts, self.audiences, self.segments, self.webhooks, self.schedule
        )  # fmt: skip
        return [call for service in services for call in service.calls]

    async def post(self, operation: str, body: Any = None, **options: Any) -> httpx2.Response:
        """POST under `/rest/3.0/`; bytes go out as they are, anything else as JSON."""
        content = {"content": body} if isinstance(body, bytes | str) else {"json": body}
        return await self.client.post(f"/rest/3.0/{operation}", **content, **options)

    async def get(self, operation: str, **query: Any) -> httpx2.Response:
        """GET under `/rest/3.0/`."""
        return await self.client.get(f"/rest/3.0/{operation}", params=query)

    async def report(self, body: Any, **options: Any) -> httpx2.Response:
        """POST /v1/events with the SDK key."""
        content = {"content": body} if isinstance(body, bytes | str) else {"json": body}
        headers = {"x-netmera-api-key": SDK_KEY, **options.pop("headers", {})}
        return await self.client.post("/v1/events", **content, headers=headers, **options)


def assemble(settings: ApiSettings | None = None, *, client_address: str = "203.0.113.9", now: Millis = NOW) -> Api:
    """An API of its own, over recorded services."""
    activities = Recorded(
        {"start_bulk": NotificationKey(1000), "define": NotificationKey(96), "update": True, "end": True}
    )
    registry = Recorded(
        {
            "profile": {"age": 30, "born": 946684800000},
            "devices": [DeviceInfo("IOS", TOKEN, "iPhone17,1", push_permitted=True)],
            "device_tokens": Page(3, (TOKEN, "cd" * 32)),
            "report": ReportResult(("accepted",)),
        }
    )
    stats = PushStats(NotificationKey(234), "FINISHED", Millis(1), Millis(2), sent=100, failed=5)
    result = PushResult(
        succeeded=False,
        error_code="8",
        error="INVALID_TOKEN",
        installation_id="i-1",
        ext_id="u-1",
        at=NOW,
        title="t",
        text="x",
    )
    activity = Activity(ActivityId(1), AppId(7), NOW, newest=RevisionNumber(3), state=b'{"score":1}')
    card = CardReceipt(CardNumber(1), "i-1", None, CardStatus.LIVE, RevisionNumber(3), None, None)
    receipts = Recorded(
        {
            "stats": stats,
            "stats_between": [stats],
            "results": Slice((result,), more=True),
            "activity": ActivityReceipt(activity, (GroupId("match"),), {CardStatus.LIVE: 2}),
            "revision": RevisionReceipt(
                RevisionNumber(3),
                RevisionKind.UPDATE,
                Seconds(1),
                NOW,
                10,
                {Verdict.ACCEPTED: 2},
                {},
                {},
                unplanned=False,
            ),
            "standing": None,
            "script": None,
            "cards": Slice((card,), more=False),
        }
    )
    event = RecordedEvent(EventId(41), EventKind.CARD_LOST, NOW, "match-1", CardNumber(3), "i-1", None, {"reason": "x"})
    state = WebhookState(Webhook(WebhookId(1), APP.app_id, "ops", "https://example.com/", NOW), pending=2, dead=1)
    webhooks = Recorded(
        {
            "put": (state, "whsec_AAAA"),
            "get": state,
            "list": [state],
            "delete": True,
            "rotate": "whsec_AAAA",
            "attempts": Slice(((9, Attempt(EventId(41), 1, NOW, 12, 503)),), more=True),
            "dead_letters": Slice((DeadLetter(event, NOW, 9),), more=False),
            "replay": 1,
            "resend": True,
        }
    )
    health = FakeHealth()
    outcome = Outcome(activity, (RevisionNumber(3),), created=True, priority=10)
    desired = Recorded({"put": outcome, "end": outcome})
    audiences = Recorded({"preview": PREVIEW})
    segments = Recorded(
        {
            "save": SEGMENT,
            "find": SEGMENT,
            "remove": SEGMENT,
            "all": [SEGMENT],
            "sizes": [SegmentSize(3, "vip", 1200)],
            "users": SegmentUsers("vip", (UserContact("u-1", "+90", None),), more=False),
        }
    )
    change = ScheduledChange(ScheduleId(12), APP.app_id, GroupId("match"), Action.END, Millis(NOW + 1), NOW)
    page = Slice((change,), more=True)
    schedule = Recorded({"add": change, "get": (change, Ending(End())), "page": page, "cancel": change})
    services = Services(
        Keys(),
        activities,
        desired,
        FakeBatches(),
        registry,
        receipts,
        webhooks,
        EndedFeed(),
        health,
        audiences,
        segments,
        schedule,
    )
    app = build_api(services, settings or ApiSettings(), CollectorRegistry(), clock=lambda: now)
    transport = httpx2.ASGITransport(app=app, client=(client_address, 50000))
    client = httpx2.AsyncClient(
        transport=transport, base_url="http://skerry.test", headers={"X-Netmera-Api-Key": REST_KEY}
    )
    return Api(activities, registry, receipts, webhooks, audiences, segments, schedule, health, app, client)


@pytest.fixture(scope="session")
def assembly() -> Callable[..., Api]:
    """`assemble`, for tests that keep one API over many examples."""
    return assemble


@pytest.fixture
async def make_api() -> AsyncIterator[Callable[..., Api]]:
    """Makes APIs with other settings."""
    made: list[Api] = []

    def make(settings: ApiSettings | None = None, **options: Any) -> Api:
        made.append(assemble(settings, **options))
        return made[-1]

    yield make
    for one in made:
        await one.client.aclose()


@pytest.fixture
def api(make_api: Callable[..., Api]) -> Api:
    """The API with its defaults."""
    return make_api()
