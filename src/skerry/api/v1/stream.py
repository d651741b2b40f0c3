"""`GET /v1/stream`: what happens, as server-sent events (WHATWG HTML, section 9.2).

Each event has its id, so that a reader that comes back with `Last-Event-ID` goes on where it was. Every message is read
from the store when the reader has taken the one before: there is no queue for a slow reader to fill.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from skerry.api.intake import Intake
from skerry.api.metrics import ApiMetrics
from skerry.api.ports import Feed, StreamSettings
from skerry.api.problems import ProblemError
from skerry.api.rest3.errors import Rest3Error
from skerry.api.v1.query import Query, whole_number
from skerry.api.v1.reading import not_found, refused
from skerry.domain.event import EventFilter, EventId, EventKind, EventPage, RecordedEvent
from skerry.domain.ids import AppId

PAGE = 200
"""Events of one message to the connection: some 80 kB."""
PACE = 0.05
"""Seconds between two looks at the store, however many commits there are in between."""
HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    "x-accel-buffering": "no",  # nginx would keep events until a buffer is full
}
_KINDS = {kind.value: kind for kind in EventKind}


class StreamHandlers:
    """The live stream."""

    def __init__(self, intake: Intake, feed: Feed, metrics: ApiMetrics, settings: StreamSettings) -> None:
        self._feed = feed
        self._metrics = metrics
        self._intake = intake
        self._settings = settings
        self.open: Counter[int] = Counter()
        """Streams by the number of their key."""

    async def stream(self, request: Request) -> Response:
        """Events of the app from now on, or from where the reader was."""
        principal = await self._intake.principal(request)
        query = Query(request, ("activity", "kinds", "after"))
        name = query.text("activity", most=256)
        wanted = EventFilter(read_kinds(query.text("kinds", most=2_000)), activity_name=name)
        begun = await self._feed.begin(principal.app.app_id, wanted, _place(request, query))
        if begun is None:
            raise not_found(
                f"there is no activity {name!r}", "one is known from its first start, or a device's first report of it"
            )
        if request.method == "HEAD":
            return Response(headers=HEADERS)
        key = principal.key.key_id
        if self.open[key] >= self._settings.per_key:
            detail = f"this key has {self._settings.per_key} streams open: close one, or use one for several activities"
            raise ProblemError(429, "Too many streams", detail, retry_after=5.0, code="too_many_streams")

        async def authorised() -> bool:
            try:
                await self._intake.again(request)
            except Rest3Error:
                return False
            return True

        reader = _Reader(principal.app.app_id, begun.wanted, begun.cursor, missed=begun.missed)
        return _EventStream(self._feed, self._settings, reader, authorised, lambda step: self._count(key, step))

    def _count(self, key: int, step: int) -> None:
        self._metrics.streams.inc(step)
        self.open[key] += step
        if not self.open[key]:
            del self.open[key]


def read_kinds(text: str | None) -> tuple[EventKind, ...]:
    """Kinds, separated by commas; `card.*` stands for all that begin so.

    Raises:
        ProblemError: 422, if one is none.
    """
    found: dict[EventKind, None] = {}
    for name in (text or "").split(",") if text else ():
        found.update(dict.fromkeys(matching_kinds(name.strip(), "kinds")))
    return tuple(found)


def matching_kinds(name: str, field: str) -> list[EventKind]:
    """The kind of this name, or those that a name such as `card.*` stands for.

    Raises:
        ProblemError: 422, if it is none.
    """
    stem = name.removesuffix("*")
    found = [kind for text, kind in _KINDS.items() if text == name or (name.endswith(".*") and text.startswith(stem))]
    if not found:
        raise refused(field, f"has {name[:64]!r}, which is not a kind of event", f"use some of {', '.join(_KINDS)}")
    return found


def _place(request: Request, query: Query) -> EventId | None:
    """Where the reader was: the header that browsers send by themselves when they come back, or else `after`."""
    header = request.headers.get("last-event-id", "").strip()
    if header:
        return EventId(whole_number(header, "Last-Event-ID"))
    after = query.number("after", -1)
    return EventId(after) if after >= 0 else None


@dataclass(slots=True)
class _Reader:
    """Who reads, and how far it has come."""

    app_id: AppId
    wanted: EventFilter
    cursor: EventId
    missed: bool


class _EventStream(Response):
    """The answer that goes on until the reader leaves, is too slow, or may not read any more, or the service ends."""

    def __init__(
        self,
        feed: Feed,
        settings: StreamSettings,
        reader: _Reader,
        authorised: Callable[[], Awaitable[bool]],
        count: Callable[[int], None],
    ) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._feed = feed
        self._settings = settings
        self._reader = reader
        self._authorised = authorised
        self._count = count
        count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Write until it is over; the reader's leaving is only seen by listening for it."""
        del scope
        writing = asyncio.create_task(self._write(send))
        leaving = asyncio.create_task(_left(receive))
        try:
            await asyncio.wait((writing, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._count(-1)
            leaving.cancel()
            if not writing.done():
                writing.cancel()
            with suppress(asyncio.CancelledError):
                await writing

    async def _write(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        # The place itself, for a reader that leaves before the first event.
        await self._say(send, b"retry: 3000\nid: %d\n\n" % self._reader.cursor)
        if self._reader.missed:
            await self._say(send, _control("gap", {"resumed_after": self._reader.cursor}))
        reason = await self._follow(send)
        farewell = _control("end", {"reason": reason, "resume_after": self._reader.cursor})
        await self._say(send, farewell, last=True)

    async def _follow(self, send: Send) -> str:
        """Pass events on; returns why it is over."""
        reader = self._reader
        seen_at = time.monotonic()
        with self._feed.listen() as listener:
            while not self._feed.closed:
                page = await self._feed.page(reader.app_id, reader.wanted, reader.cursor, PAGE)
                if page.events and not await self._say(send, _messages(page)):
                    return "slow_reader"
                reader.cursor = page.cursor
                if time.monotonic() - seen_at >= self._settings.heartbeat:
                    seen_at = time.monotonic()
                    if not await self._authorised():
                        return "key_revoked"
                if page.more:
                    continue
                if page.events:
                    await asyncio.sleep(PACE)
                # An id without data moves the reader's place past events that it did not want.
                woken = await listener.wait(self._settings.heartbeat)
                if not woken and not await self._say(send, b": still here\nid: %d\n\n" % reader.cursor):
                    return "slow_reader"
        return "shutdown"

    async def _say(self, send: Send, body: bytes, *, last: bool = False) -> bool:
        """Hand it to the connection; False: the reader has not taken what it was sent before, for so long.

        Servers wait for room before they write, so what was not taken was not begun either.
        """
        try:
            async with asyncio.timeout(self._settings.slow_after):
                await send({"type": "http.response.body", "body": body, "more_body": not last})
        except TimeoutError:
            return False
        return True


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _messages(page: EventPage) -> bytes:
    return b"".join(_message(event) for event in page.events)


def _message(event: RecordedEvent) -> bytes:
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (
        event.event_id,
        event.kind.value.encode(),
        msgspec.json.encode(event.described()),
    )


def _control(name: str, data: dict[str, Any]) -> bytes:
    """About the stream itself: without an id, so that the reader's place stays."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(data))
