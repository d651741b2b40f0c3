"""The reporter against a service that is up, slow, down, angry or gone."""

import asyncio
import contextlib
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from skerry.domain.device import DeviceEventKind
from skerry.domain.push import Environment
from skerry.simulator.clock import Clock, FrozenClock
from skerry.simulator.phone.reporter import Reporter, Service
from skerry.simulator.phone.reports import Installation, Report

SERVICE = Service("http://service", "sdk-key-1")


class FakeService:
    """Takes events as the real one does; `answers` are given first, then 200."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.answers: list[Response] = []
        self.busy = 0
        self.most_busy = 0
        self.per_phone: defaultdict[str, int] = defaultdict(int)
        self.gate = asyncio.Event()
        self.gate.set()
        self.app = Starlette(routes=[Route("/v1/events", self.take, methods=["POST"])])

    async def take(self, request: Request) -> Response:
        body = json.loads(await request.body())
        sender = body["installationId"]
        self.busy += 1
        self.per_phone[sender] += 1
        assert self.per_phone[sender] == 1, "a phone has one request under way at most"
        self.most_busy = max(self.most_busy, self.busy)
        try:
            await self.gate.wait()
            if self.answers:
                return self.answers.pop(0)
            self.bodies.append(body)
            self.headers.append(dict(request.headers))
            return Response(status_code=200)
        finally:
            self.busy -= 1
            self.per_phone[sender] -= 1

    @property
    def tokens(self) -> list[str]:
        return [event["token"] for body in self.bodies for event in body["events"]]


def installation(number: int = 1, user: str | None = "user-1") -> Installation:
    return Installation(f"installation-{number}", "secret", user, Environment.SANDBOX, "18.1")


def report(token: str, sender: Installation | None = None) -> Report:
    return Report(sender or installation(), DeviceEventKind.UPDATE_TOKEN, 1768123297.1234, token, "upload-456")


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@contextlib.asynccontextmanager
async def running(service: FakeService, clock: Clock | None = None, **options: Any) -> AsyncIterator[Reporter]:
    transport = httpx2.ASGITransport(app=service.app)
    async with httpx2.AsyncClient(transport=transport) as client:
        reporter = Reporter(SERVICE, clock or FrozenClock(), client=client, **options)
        task = asyncio.create_task(reporter.run())
        yield reporter
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def test_the_events_have_the_shape_of_the_contract(service: FakeService) -> None:
    async with running(service) as reporter:
        start = Report(installation(), DeviceEventKind.START_TOKEN, 1768123297.0, "80aa")
        close = Report(installation(), DeviceEventKind.CLOSE, 1768123298.5, group_id="upload-456")
        reporter.submit("phone-1", [start, report("80bb"), close])
        await reporter.drain(5)
    assert service.bodies == [
        {
            "installationId": "installation-1",
            "installationSecret": "secret",
            "extId": "user-1",
            "environment": "sandbox",
            "platform": "IOS",
            "osVersion": "18.1",
            "appVersion": "1.0",
            "deviceModel": "iPhone17,1",
            "language": "en",
            "events": [
                {"name": "LiveActivityStartToken", "token": "80aa", "time": "2026-01-11T09:21:37.000Z"},
                {
                    "name": "LiveActivityUpdateToken",
                    "token": "80bb",
                    "groupId": "upload-456",
                    "time": "2026-01-11T09:21:37.123Z",
                },
                {"name": "LiveActivityClose", "groupId": "upload-456", "time": "2026-01-11T09:21:38.500Z"},
            ],
        }
    ]
    assert service.headers[0]["x-netmera-api-key"] == "sdk-key-1"


async def test_a_phone_nobody_signed_in_on_names_no_user_and_a_signed_out_one_an_empty_one(
    service: FakeService,
) -> None:
    async with running(service) as reporter:
        reporter.submit("phone-1", [report("a", installation(user=None)), report("b", installation(user=""))])
        await reporter.drain(5)
    assert [body.get("extId") for body in service.bodies] == [None, ""]


@pytest.mark.parametrize("status", [500, 503, 429])
async def test_reports_wait_out_a_service_that_is_down_and_keep_their_order(service: FakeService, status: int) -> None:
    clock = FrozenClock()
    service.answers = [Response(status_code=status)] * 3
    async with running(service, clock) as reporter:
        reporter.submit("phone-1", [report("1")])
        await until(lambda: reporter.status("phone-1").retries == 1)
        reporter.submit("phone-1", [report("2")])
        for retries in (2, 3):
            assert service.tokens == []
            clock.advance(30)
            await until(lambda wanted=retries: reporter.status("phone-1").retries == wanted)  # type: ignore[misc]
        clock.advance(30)
        await reporter.drain(5)
    assert service.tokens == ["1", "2"]
    assert reporter.status("phone-1").sent == 2


async def test_retry_after_is_respected(service: FakeService) -> None:
    clock = FrozenClock()
    service.answers = [Response(status_code=429, headers={"Retry-After": "120"})]
    async with running(service, clock) as reporter:
        reporter.submit("phone-1", [report("1")])
        await until(lambda: reporter.status("phone-1").retries == 1)
        clock.advance(119)
        await asyncio.sleep(0.12)
        assert service.tokens == []
        clock.advance(1)
        await reporter.drain(5)


async def test_a_refused_report_is_dropped_with_a_note_and_the_next_goes_out(service: FakeService) -> None:
    service.answers = [Response("token: must be hexadecimal", status_code=400)]
    async with running(service) as reporter:
        reporter.submit("phone-1", [report("bad")])
        await reporter.drain(5)
        reporter.submit("phone-1", [report("good")])
        await reporter.drain(5)
    status = reporter.status("phone-1")
    assert (status.sent, status.dropped, service.tokens) == (1, 1, ["good"])
    (note,) = status.notes
    assert (note.status, note.why) == (400, "token: must be hexadecimal")
    assert note.events == ("LiveActivityUpdateToken",)


async def test_many_phones_share_a_few_workers(service: FakeService) -> None:
    async with running(service, workers=4) as reporter:
        for number in range(300):
            reporter.submit(f"phone-{number}", [report(f"{number}", installation(number))])
        await reporter.drain(10)
    assert sorted(service.tokens, key=int) == [str(number) for number in range(300)]
    assert service.most_busy <= 4


async def test_a_full_queue_drops_the_oldest_and_says_so(service: FakeService) -> None:
    service.gate.clear()
    async with running(service, max_waiting=2) as reporter:
        reporter.submit("phone-1", [report("in flight")])
        await until(lambda: service.busy == 1)
        reporter.submit("phone-1", [report("1"), report("2"), report("3")])
        service.gate.set()
        await reporter.drain(5)
    assert service.tokens == ["in flight", "2", "3"]
    assert "queue full" in reporter.status("phone-1").notes[0].why


async def test_what_was_under_way_when_cancelled_is_sent_by_the_next_run(service: FakeService) -> None:
    service.gate.clear()
    transport = httpx2.ASGITransport(app=service.app)
    async with httpx2.AsyncClient(transport=transport) as client:
        reporter = Reporter(SERVICE, FrozenClock(), client=client)
        first = asyncio.create_task(reporter.run())
        reporter.submit("phone-1", [report("1")])
        await until(lambda: service.busy == 1)
        first.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await first
        assert reporter.pending == 1
        service.gate.set()
        second = asyncio.create_task(reporter.run())
        await reporter.drain(5)
        second.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await second
    assert service.tokens == ["1"]


async def test_a_silent_service_is_given_up_after_the_timeout_and_asked_again(service: FakeService) -> None:
    service.gate.clear()
    clock = FrozenClock()
    async with running(service, clock, timeout_s=0.05) as reporter:
        reporter.submit("phone-1", [report("1")])
        await until(lambda: reporter.status("phone-1").retries == 1)
        service.gate.set()
        clock.advance(30)
        await reporter.drain(5)
    assert service.tokens == ["1"]


async def test_a_deleted_app_takes_its_queue_along(service: FakeService) -> None:
    service.answers = [Response(status_code=503)]
    clock = FrozenClock()
    async with running(service, clock) as reporter:
        reporter.submit("phone-1", [report("1")])
        await until(lambda: reporter.status("phone-1").retries == 1)
        reporter.forget("phone-1")
        assert reporter.pending == 0
        clock.advance(30)
        await asyncio.sleep(0.12)
        reporter.submit("phone-1", [report("2")])
        await reporter.drain(5)
    assert service.tokens == ["2"]


async def test_over_a_real_socket_a_service_that_comes_up_late_gets_everything(service: FakeService) -> None:
    config = uvicorn.Config(service.app, host="127.0.0.1", port=0, log_level="critical", lifespan="off")
    with config.bind_socket() as listener:  # bound and not listening: connections are refused until the server serves
        port = listener.getsockname()[1]
        clock = FrozenClock()
        reporter = Reporter(Service(f"http://127.0.0.1:{port}/", "key"), clock)
        task = asyncio.create_task(reporter.run())
        reporter.submit("phone-1", [report("1"), report("2")])
        await until(lambda: reporter.status("phone-1").retries == 1)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve([listener]))
        await until(lambda: server.started)
        clock.advance(30)
        await reporter.drain(5)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        server.should_exit = True
        await serving
    assert service.tokens == ["1", "2"]


@pytest.mark.parametrize("url", ["", "localhost:8080", "ftp://x", "http://"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="url"):
        Service(url, "key")


def test_the_key_stays_out_of_the_representation() -> None:
    assert "sdk-key-1" not in repr(SERVICE)
