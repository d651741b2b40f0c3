"""`GET /v1/stream` on real sockets: what happens, in order, resumable, and never held up by a reader."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from live_service import Live, live_service
from whole_service import REST

from skerry.api.ports import StreamSettings
from skerry.api.v1.stream import _EventStream, _Reader
from skerry.bus.memory import MemoryBus
from skerry.domain.event import Event, EventFilter, EventId, EventKind
from skerry.domain.ids import AppId, Millis
from skerry.receipts.feed import Feed
from skerry.store.sqlite import SqliteStore

UPDATE_TOKEN = {"name": "LiveActivityUpdateToken", "token": "ab" * 40, "groupId": "match-1"}
START_TOKEN = {"name": "LiveActivityStartToken", "token": "cd" * 40}
CLOSE = {"name": "LiveActivityClose", "groupId": "match-1"}
QUICK = {"heartbeat_s": 0.1}


def change(action: str, group: str = "match-1") -> dict[str, Any]:
    return {"groupId": group, "action": action, "contentState": {"score": 1}}


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Live]:
    async with live_service(tmp_path, stream={"per_key": 2, **QUICK}) as one:
        yield one


async def test_what_happens_arrives_as_it_happens(live: Live) -> None:
    kinds = [
        "start_token.reported",
        "activity.appeared",
        "card.joined",
        "activity.updated",
        "activity.ended",
        "card.ended",
    ]
    # Not when revisions settle: that is the sender's business, and may be before the close or after it.
    async with live.stream(kinds=",".join(kinds)) as stream:
        await live.report("i-1", START_TOKEN, UPDATE_TOKEN)
        await live.rest("update-live-activity", change("UPDATE"))
        await live.rest("update-live-activity", change("END"))
        await live.report("i-1", CLOSE)
        messages = await stream.take(6)
    assert [one.event for one in messages] == kinds
    ids = [int(one.id) for one in messages]
    assert ids == [one.data["id"] for one in messages] == sorted(ids)
    assert ids[:5] == [1, 2, 3, 4, 5]
    assert messages[2].data["data"] == {"activity": "match-1", "card": 1, "installation_id": "i-1"}
    assert messages[3].data["data"] == {"activity": "match-1", "revision": 1, "priority": 10, "alert": False}
    assert messages[3].data["type"] == "activity.updated"


async def test_a_reader_gets_the_kinds_and_the_activity_it_asks_for(live: Live) -> None:
    await live.report("i-1", UPDATE_TOKEN, {**UPDATE_TOKEN, "groupId": "match-2", "token": "ef" * 40})
    async with live.stream(kinds="card.*") as cards, live.stream(activity="match-2") as second:
        for group in ("match-1", "match-2"):
            await live.rest("update-live-activity", change("UPDATE", group))
        await live.report("i-2", {**UPDATE_TOKEN, "token": "12" * 40})
        assert [one.event for one in await cards.take(1)] == ["card.joined"]
        assert [one.data["data"]["activity"] for one in await second.take(1)] == ["match-2"]


async def test_a_reader_goes_on_where_it_was_across_a_restart_of_the_service(tmp_path: Path) -> None:
    async with live_service(tmp_path, stream=QUICK) as live:
        async with live.stream() as stream:
            await live.report("i-1", UPDATE_TOKEN)
            (first, _) = await stream.take(2)
            place = first.id  # it has not got round to the second
        await live.rest("update-live-activity", change("UPDATE"))
    async with live_service(tmp_path, stream=QUICK) as live:
        async with live.stream(place) as stream:
            await live.rest("update-live-activity", change("END"))
            found = await stream.take(3)
        assert [one.event for one in found] == ["card.joined", "activity.updated", "activity.ended"]
        async with live.stream(after="0") as stream:
            assert [int(one.id) for one in await stream.take(4)] == [1, 2, 3, 4]


async def test_a_quiet_reader_learns_its_place_from_signs_of_life(live: Live) -> None:
    await live.report("i-1", UPDATE_TOKEN)
    async with live.stream(kinds="card.lost") as stream:
        await live.rest("update-live-activity", change("UPDATE"))  # which it did not ask for
        async with asyncio.timeout(10):
            async for line in stream.response.aiter_lines():
                if line == "id: 3":
                    break


async def test_events_that_no_wake_up_told_of_are_found(live: Live, tmp_path: Path) -> None:
    """The bus may lose everything: here another process has written them."""
    async with live.stream() as stream, await SqliteStore.open(tmp_path / "skerry.db", exclusive=False) as other:
        event = Event(AppId(1), EventKind.CARD_LOST, Millis(1))
        await other.write(lambda tx: tx.events.add(event))
        assert [one.event for one in await stream.take(1)] == ["card.lost"]


async def test_a_key_has_so_many_streams_and_gets_room_when_one_is_left(live: Live) -> None:
    async with live.stream(), live.stream():
        refused = await live.client.get("/v1/stream", headers={"X-netmera-api-key": REST})
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_streams")
        assert refused.headers["retry-after"]
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(AssertionError):
                async with live.stream():
                    break
            await asyncio.sleep(0.05)


async def test_when_the_service_stops_streams_are_told_and_do_not_hold_it_up(tmp_path: Path) -> None:
    async with live_service(tmp_path) as live:
        async with live.stream() as stream:
            began = time.monotonic()
            live.server.should_exit = True
            (last,) = await stream.rest()
        assert (last.event, last.data) == ("end", {"reason": "shutdown", "resume_after": 0})
    assert time.monotonic() - began < 8  # the server would have waited for ten


async def test_a_key_that_is_revoked_ends_its_streams(live: Live) -> None:
    async with live.stream() as stream:
        (key,) = [one for one in await live.service.apps.keys() if one.kind == "rest"]
        await live.service.apps.revoke_key(key.key_id)
        (last,) = await stream.rest()
    assert last.data["reason"] == "key_revoked"


async def test_a_place_that_is_not_ours_is_a_gap_that_is_told(live: Live) -> None:
    """A database that was restored from a backup, for instance."""
    await live.report("i-1", START_TOKEN)
    async with live.stream("5000") as stream:
        await live.report("i-2", {**START_TOKEN, "token": "12" * 40})
        gap, event = await stream.take(2)
    assert (gap.event, gap.data) == ("gap", {"resumed_after": 1})
    assert (event.event, event.id) == ("start_token.reported", "2")


async def test_a_reader_that_takes_nothing_is_cut_off_and_can_come_back(tmp_path: Path) -> None:
    """Buffers of both kernels and of the server are full long before the last event."""
    events, size = 4_000, 4_000
    async with live_service(tmp_path, stream={"slow_after_s": 0.5, **QUICK}) as live:
        reader, writer = await _sluggish(live.port)
        body = {"reason": "x" * size}
        async with await SqliteStore.open(tmp_path / "skerry.db", exclusive=False) as other:

            def work(tx) -> None:
                for _ in range(events):
                    tx.events.add(Event(AppId(1), EventKind.CARD_LOST, Millis(1), body=body))

            await other.write(work)
        gauge = "skerry_streams_open"
        async with asyncio.timeout(20):
            while f"{gauge} 0.0" not in (await live.client.get("/metrics")).text:
                await asyncio.sleep(0.05)
        received = await _all(reader)
        writer.close()
        ids = [int(line[4:]) for line in received.split(b"\n") if line.startswith(b"id: ")]
        assert 0 < len(ids) < events
        whole = ids[-1] if received.endswith(b"\n\n") else ids[-2]
        async with live.stream(str(whole)) as stream:
            found = await stream.take(events - whole)
        assert [int(one.id) for one in found] == list(range(whole + 1, events + 1))


async def _sluggish(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that has asked for the stream, with a small buffer, and reads the answer's head only."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.setblocking(False)
    await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=plain, limit=4096)
    writer.write(f"GET /v1/stream HTTP/1.1\r\nHost: x\r\nX-netmera-api-key: {REST}\r\n\r\n".encode())
    assert b"text/event-stream" in await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def _all(reader: asyncio.StreamReader) -> bytes:
    found = b""
    async with asyncio.timeout(20):
        while part := await reader.read(65_536):
            found += part
    return found


async def test_a_slow_reader_is_told_why_when_it_takes_something_again(store: SqliteStore) -> None:
    """Without a network: the connection takes nothing until it is told to."""
    sent: list[bytes] = []
    room = asyncio.Event()
    room.set()

    async def send(message: Any) -> None:
        await room.wait()
        sent.append(message.get("body", b""))
        if b"card.lost" in sent[-1]:
            room.clear()

    async def receive() -> Any:
        return await asyncio.Event().wait()

    async def authorised() -> bool:
        if room.is_set():
            return True
        asyncio.get_running_loop().call_later(0.15, room.set)
        return True

    bus = MemoryBus()
    feed = Feed(store, lambda: bus.listen("events"), lambda: bus.wake("events"))
    await store.write(lambda tx: [tx.events.add(Event(AppId(1), EventKind.CARD_LOST, Millis(1))) for _ in range(300)])
    settings = StreamSettings(heartbeat=0.0, slow_after=0.1)
    open_streams: list[int] = []
    reader = _Reader(AppId(1), EventFilter(), EventId(0), missed=False)
    await _EventStream(feed, settings, reader, authorised, open_streams.append)({}, receive, send)
    assert sent[-1] == b'event: end\ndata: {"reason":"slow_reader","resume_after":200}\n\n'
    assert sum(open_streams) == 0


async def test_a_look_at_the_head_does_not_open_a_stream(live: Live) -> None:
    answer = await live.client.head("/v1/stream", headers={"X-netmera-api-key": REST})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
