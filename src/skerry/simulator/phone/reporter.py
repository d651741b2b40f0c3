"""Sends the phones' reports to the service as the SDK in the app would: in order, and again until they arrive.

```
 Phone ──reports──► one queue per phone ──► a few workers ──POST /v1/events──► service
                        ▲                       │
                        └── back-off ◄── down, 429, 5xx
```

An answer 4xx other than 429 means that the report will never be taken: it is dropped, with a note that the simulator's
API shows. A phone has at most one request under way, so that its reports arrive in the order in which they left.
"""

import asyncio
import contextlib
import heapq
import random
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
import structlog

from skerry.simulator.clock import Clock
from skerry.simulator.phone.reports import Installation, Report

_log = structlog.get_logger("skerry.simulator")

_POLL_S = 0.05
"""How soon a back-off that ends because simulated time was moved is noticed."""
_MOST_PER_REQUEST = 50
_NOTES_KEPT = 20
_TOO_MANY_REQUESTS: Final = 429
_DETAIL_CHARS = 300
_LONGEST_RETRY_AFTER_S = 3600.0


@dataclass(frozen=True, slots=True)
class Service:
    """Where the reports go.

    Raises:
        ValueError: if `url` is not an http(s) address.
    """

    url: str
    """`https://host:port`, without the path."""
    sdk_key: str = field(repr=False)

    def __post_init__(self) -> None:
        if urlsplit(self.url).scheme not in {"http", "https"} or not urlsplit(self.url).netloc:
            raise ValueError(f"url: {self.url!r} is not an address such as https://127.0.0.1:8080")

    @property
    def events_url(self) -> str:
        """Where device events are taken."""
        return self.url.rstrip("/") + "/v1/events"


@dataclass(frozen=True, slots=True)
class ReportNote:
    """Reports that were given up, and why."""

    time: float
    events: tuple[str, ...]
    status: int | None
    """The service's answer; None where the phone itself dropped them."""
    why: str


@dataclass(frozen=True, slots=True)
class ReporterStatus:
    """How far a phone has got with its reports."""

    waiting: int
    sent: int
    retries: int
    dropped: int
    notes: tuple[ReportNote, ...]


@dataclass(slots=True)
class _Line:
    """The queue of one phone. `is_scheduled` while it is in the ready queue, in back-off, or in a worker's hands."""

    waiting: deque[Report] = field(default_factory=deque)
    in_flight: int = 0
    is_scheduled: bool = False
    failures: int = 0
    """In a row."""
    sent: int = 0
    retries: int = 0
    dropped: int = 0
    notes: deque[ReportNote] = field(default_factory=lambda: deque(maxlen=_NOTES_KEPT))


class Reporter:
    """Delivers reports at least once, from any number of phones over a few connections.

    Args:
        service: where to.
        clock: the simulated world's; back-off passes with it.
        client: to use instead of a client of one's own; it is not closed here.
        workers: requests under way at a time, over all phones.
        timeout_s: for one request.
        max_waiting: reports kept per phone while the service is away; beyond it the oldest go, with a note.
        longest_backoff_s: the back-off doubles from half a second up to this.
    """

    def __init__(
        self,
        service: Service,
        clock: Clock,
        *,
        client: httpx2.AsyncClient | None = None,
        workers: int = 32,
        timeout_s: float = 10.0,
        max_waiting: int = 1000,
        longest_backoff_s: float = 30.0,
    ) -> None:
        if workers < 1 or max_waiting < 1:
            raise ValueError("workers and max_waiting: must be at least 1")
        self._service = service
        self._clock = clock
        self._client = client
        self._workers = workers
        self._timeout_s = timeout_s
        self._max_waiting = max_waiting
        self._longest_backoff_s = longest_backoff_s
        self._lines: dict[str, _Line] = {}
        self._ready: asyncio.Queue[str] = asyncio.Queue()  # a phone is in it once at most
        self._backing_off: list[tuple[float, str]] = []
        # Spreads the retries of many phones; play, not secrecy.
        self._random = random.Random(0)  # noqa: S311

    @property
    def pending(self) -> int:
        """Reports that the service has not taken yet, over all phones."""
        return sum(len(line.waiting) + line.in_flight for line in self._lines.values())

    def submit(self, phone_id: str, reports: Sequence[Report]) -> None:
        """Queue reports of a phone behind its earlier ones. Returns at once."""
        line = self._lines.setdefault(phone_id, _Line())
        line.waiting.extend(reports)
        while len(line.waiting) > self._max_waiting:
            self._give_up(phone_id, [line.waiting.popleft()], None, "the service was away for too long: queue full")
        if line.waiting and not line.is_scheduled:
            line.is_scheduled = True
            self._ready.put_nowait(phone_id)

    def forget(self, phone_id: str) -> None:
        """Drop what a phone has queued: the app is deleted, and its unsent reports with it."""
        if line := self._lines.get(phone_id):
            line.waiting.clear()

    def status(self, phone_id: str) -> ReporterStatus:
        """How a phone's reports are doing."""
        line = self._lines.get(phone_id, _Line())
        waiting = len(line.waiting) + line.in_flight
        return ReporterStatus(waiting, line.sent, line.retries, line.dropped, tuple(line.notes))

    async def run(self) -> None:
        """Send until cancelled. What was under way then is queued again, and goes out in the next run."""
        async with self._open_client() as client, asyncio.TaskGroup() as group:
            group.create_task(self._end_back_offs())
            for _ in range(self._workers):
                group.create_task(self._work(client))

    async def drain(self, timeout_s: float) -> None:
        """Wait until the service has taken, or refused, everything.

        Raises:
            TimeoutError: if that takes more than `timeout_s` of real time.
        """
        async with asyncio.timeout(timeout_s):
            while self.pending:  # noqa: ASYNC110 - an event would have to be kept true in a dozen places, for tests
                await asyncio.sleep(_POLL_S / 5)

    @contextlib.asynccontextmanager
    async def _open_client(self) -> AsyncIterator[httpx2.AsyncClient]:
        if self._client is not None:
            yield self._client
            return
        limits = httpx2.Limits(max_connections=self._workers, max_keepalive_connections=self._workers)
        # The service is one's own and near: the environment's proxy settings are meant for others.
        async with httpx2.AsyncClient(limits=limits, timeout=self._timeout_s, trust_env=False) as client:
            yield client

    async def _end_back_offs(self) -> None:
        while True:
            while self._backing_off and self._backing_off[0][0] <= self._clock.now():
                self._ready.put_nowait(heapq.heappop(self._backing_off)[1])
            await asyncio.sleep(_POLL_S)

    async def _work(self, client: httpx2.AsyncClient) -> None:
        while True:
            phone_id = await self._ready.get()
            line = self._lines[phone_id]
            if not line.waiting:  # forgotten since it was queued
                line.is_scheduled = False
                continue
            batch = _take_batch(line)
            line.in_flight = len(batch)
            try:
                delay_s = await self._send(client, phone_id, batch)
            except asyncio.CancelledError:
                self._put_back(phone_id, batch, self._clock.now())
                raise
            if delay_s is not None:
                line.failures += 1
                line.retries += 1
                self._put_back(phone_id, batch, self._clock.now() + delay_s)
                continue
            line.failures = 0
            line.in_flight = 0
            line.is_scheduled = bool(line.waiting)
            if line.waiting:
                self._ready.put_nowait(phone_id)

    def _put_back(self, phone_id: str, batch: list[Report], not_before: float) -> None:
        line = self._lines[phone_id]
        line.in_flight = 0
        line.waiting.extendleft(reversed(batch))
        heapq.heappush(self._backing_off, (not_before, phone_id))

    async def _send(self, client: httpx2.AsyncClient, phone_id: str, batch: list[Report]) -> float | None:
        """Send one request.

        Returns:
            None when the service has decided, the back-off in seconds when it has not.
        """
        headers = {"X-netmera-api-key": self._service.sdk_key}
        line = self._lines[phone_id]
        try:
            async with asyncio.timeout(self._timeout_s):
                response = await client.post(self._service.events_url, json=request_body(batch), headers=headers)
        except (httpx2.HTTPError, TimeoutError, OSError):
            return self._back_off_s(line)
        if response.is_success:
            line.sent += len(batch)
            return None
        if response.status_code == _TOO_MANY_REQUESTS or response.is_server_error:
            return max(self._back_off_s(line), _retry_after_s(response))
        self._give_up(phone_id, batch, response.status_code, response.text[:_DETAIL_CHARS])
        return None

    def _back_off_s(self, line: _Line) -> float:
        # The exponent is capped before it is used: a service that is away for a day fails thousands of times.
        longest = min(self._longest_backoff_s, 0.5 * 2.0 ** min(line.failures, 16))
        return longest * self._random.uniform(0.5, 1.0)

    def _give_up(self, phone_id: str, batch: list[Report], status: int | None, why: str) -> None:
        line = self._lines[phone_id]
        events = tuple(report.kind.value for report in batch)
        line.dropped += len(batch)
        line.notes.append(ReportNote(self._clock.now(), events, status, why))
        _log.warning("phone_report_dropped", phone=phone_id, events=events, status=status, why=why)


def request_body(batch: Sequence[Report]) -> dict[str, Any]:
    """The body of `POST /v1/events` for reports of one installation, in the order in which they happened to leave."""
    installation = batch[0].installation
    body: dict[str, Any] = {
        "installationId": installation.id,
        "installationSecret": installation.secret,
        "environment": installation.environment.value,
        "platform": "IOS",
        "osVersion": installation.os_version,
        "appVersion": installation.app_version,
        "deviceModel": installation.device_model,
        "language": installation.language,
        "events": [_event(report) for report in batch],
    }
    if installation.ext_id is not None:
        body["extId"] = installation.ext_id
    return body


def _event(report: Report) -> dict[str, Any]:
    moment = datetime.fromtimestamp(report.time, UTC)
    event = {
        "name": report.kind.value,
        "token": report.token,
        "groupId": report.group_id,
        "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    return {key: value for key, value in event.items() if value is not None}


def _take_batch(line: _Line) -> list[Report]:
    """The reports at the head of the queue that one request can carry: those of one installation and user."""
    installation: Installation = line.waiting[0].installation
    batch: list[Report] = []
    while line.waiting and len(batch) < _MOST_PER_REQUEST and line.waiting[0].installation == installation:
        batch.append(line.waiting.popleft())
    return batch


def _retry_after_s(response: httpx2.Response) -> float:
    """Seconds from `Retry-After`, at most an hour; 0 where there is none, or a date."""
    text = str(response.headers.get("retry-after", "")).strip()
    return min(float(text), _LONGEST_RETRY_AFTER_S) if text.isascii() and text.isdigit() else 0.0
