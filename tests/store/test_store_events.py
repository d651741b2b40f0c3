"""Events: in the transaction that makes the change, in the order of commits, told with the names of now."""

import asyncio
from dataclasses import replace

import pytest

from skerry.domain.activity import Start, start
from skerry.domain.card import Card, CardStatus
from skerry.domain.chunk import CHANNEL, ChunkState
from skerry.domain.event import Event, EventFilter, EventId, EventKind, of_card
from skerry.domain.ids import ActivityId, AppId, CardNumber, GroupId, Millis, RevisionNumber
from skerry.domain.plan import Plan
from skerry.domain.verdict import Verdict
from skerry.store.sqlite import SqliteStore
from skerry.store.sqlite.events import WINDOW
from skerry.store.sqlite.retention import Keep, sweep_all

APP, OTHER = AppId(1), AppId(2)
ALL = EventFilter()
JOINED, LOST = EventKind.CARD_JOINED, EventKind.CARD_LOST


def event(kind: EventKind = LOST, app: AppId = APP, **members) -> Event:
    return Event(app, kind, Millis(members.pop("at", 1_000_000)), **members)


async def add(bench, *events: Event) -> None:
    await bench.write(lambda tx: [tx.events.add(one) for one in events])


async def page(bench, wanted: EventFilter = ALL, after: int = 0, limit: int = 100, app: AppId = APP):
    return await bench.read(lambda tx: tx.events.page(app, wanted, EventId(after), limit))


async def test_an_event_comes_back_as_it_was_told(bench):
    activity = await bench.activity()
    device = await bench.device(created_at=5)
    body = {"reason": 'Ünregistered "x"', "n": 1, "deep": {"a": [None, True]}}
    card = Card(activity.activity_id, CardNumber(3), device, CardStatus.LOST, RevisionNumber(1), Millis(0))
    await add(bench, of_card(APP, LOST, card, Millis(1_000_001), **body), event(EventKind.WEBHOOK_DISABLED))
    first, second = (await page(bench)).events
    assert (first.event_id, first.kind, first.at, first.card) == (1, LOST, 1_000_001, 3)
    assert (first.activity, first.installation_id, first.body) == (f"#{activity.activity_id}", "installation-1", body)
    assert (second.activity, second.card, second.installation_id, second.body) == (None, None, None, {})
    assert first.described() == {
        "id": 1,
        "type": "card.lost",
        "timestamp": "1970-01-01T00:16:40.001Z",
        "data": {"activity": f"#{activity.activity_id}", "card": 3, "installation_id": "installation-1", **body},
    }


async def test_names_are_those_of_now_and_an_erased_device_is_not_named(bench):
    activity = await bench.activity()
    device = await bench.device(created_at=5)
    await add(bench, event(activity_id=activity.activity_id, device_id=device))
    await bench.write(lambda tx: tx.activities.add_name(activity.activity_id, APP, GroupId("match-1")))
    await bench.write(lambda tx: tx.devices.erase(device))
    bench._devices -= 1  # the same number again, for another phone
    assert await bench.device(created_at=2_000_000, installation_id="another") == device
    (told,) = (await page(bench)).events
    assert (told.activity, told.installation_id, told.ext_id) == ("match-1", None, None)


async def test_what_is_rolled_back_is_not_told(bench):
    def fails(tx):
        tx.events.add(event())
        raise ValueError("no")

    async def broken():
        with pytest.raises(ValueError, match="no"):
            await bench.write(fails)

    kept = [bench.write(lambda tx: tx.events.add(event(JOINED))) for _ in range(20)]
    await asyncio.gather(*kept, *[broken() for _ in range(20)])
    await broken()
    assert [one.kind for one in (await page(bench)).events] == [JOINED] * 20


async def test_ids_rise_in_the_order_of_works(bench):
    await asyncio.gather(*[add(bench, event(card=CardNumber(n)), event(card=CardNumber(n))) for n in range(50)])
    events = (await page(bench)).events
    assert [one.event_id for one in events] == list(range(1, 101))
    assert [one.card for one in events] == [n for n in range(50) for _ in "ab"]


async def test_a_page_has_one_apps_events_of_the_kinds_that_are_wanted(bench):
    await add(bench, event(JOINED), event(LOST), event(LOST, OTHER), event(EventKind.CARD_MOVED))
    assert [one.event_id for one in (await page(bench)).events] == [1, 2, 4]
    assert [one.event_id for one in (await page(bench, EventFilter((LOST, JOINED)))).events] == [1, 2]
    assert [one.event_id for one in (await page(bench, after=1)).events] == [2, 4]
    first = await page(bench, limit=1)
    assert (first.cursor, first.more) == (1, True)
    last = await page(bench, EventFilter((LOST,)), limit=2)
    assert (len(last.events), last.cursor, last.more) == (1, 4, False)


async def test_a_page_of_one_activity_by_number_or_by_name(bench):
    mine, other = await bench.activity(), await bench.activity()
    await add(bench, *[event(activity_id=one.activity_id) for one in (mine, other, mine)])
    assert [one.event_id for one in (await page(bench, EventFilter(activity_id=mine.activity_id))).events] == [1, 3]
    assert (await page(bench, EventFilter(activity_id=mine.activity_id), app=OTHER)).events == []
    named = EventFilter(activity_name="match-1")
    assert (await page(bench, named)).events == []
    await bench.write(lambda tx: tx.activities.add_name(mine.activity_id, APP, GroupId("match-1")))
    assert [one.event_id for one in (await page(bench, named)).events] == [1, 3]


async def test_a_reading_looks_at_a_window_and_its_cursor_passes_what_nobody_wants(bench):
    await add(bench, *[event(app=OTHER)] * (WINDOW + 10), event())
    first = await page(bench)
    assert (list(first.events), first.cursor, first.more) == ([], WINDOW, True)
    second = await page(bench, after=first.cursor)
    assert ([one.event_id for one in second.events], second.more) == ([WINDOW + 11], False)


async def test_a_commit_with_events_is_announced_and_one_without_is_not(bench, tmp_path):
    announced = 0

    def announce() -> None:
        nonlocal announced
        announced += 1

    async with await SqliteStore.open(tmp_path / "other.db", announce=announce) as store:
        await store.write(lambda tx: tx.timers.next_due())
        assert announced == 0
        await store.write(lambda tx: tx.events.add(event()))
        await asyncio.sleep(0)
        assert announced == 1


async def test_old_events_go_with_what_webhooks_were_to_be_told_of_them_and_the_newest_number_stays(bench):
    await add(bench, *[event(at=at) for at in (10, 20, 30)])
    keep = Keep(events_ms=100)
    await sweep_all(bench.store, keep, Millis(125))
    assert [one.at for one in (await page(bench)).events] == [30]
    await sweep_all(bench.store, keep, Millis(500))
    assert [one.event_id for one in (await page(bench)).events] == [3]  # or its number would come again
    await add(bench, event(at=500))
    await sweep_all(bench.store, keep, Millis(500))
    assert [one.event_id for one in (await page(bench)).events] == [4]


# When a revision has settled


async def _revision(bench, kind: str = "start"):
    if kind == "update":
        return await bench.update(await bench.activity())
    after, revision = start(await bench.activity(), Start("Ride", b"{}", b"{}", b"{}"), bench.clock())

    def work(tx):
        tx.activities.add_revision(revision)
        tx.activities.save(after)

    await bench.write(work)
    return after


async def _settle(bench, chunk, *verdicts: Verdict) -> None:
    done = replace(chunk, state=ChunkState.SETTLED, verdicts=bytes(verdicts))
    await bench.write(lambda tx: tx.outbox.save(done))


async def _told(bench, activity):
    return await bench.write(lambda tx: tx.outbox.settle_revision(activity.activity_id, activity.newest, bench.clock()))


async def test_a_revision_has_settled_when_its_last_chunk_has_and_is_counted_once(bench):
    activity = await _revision(bench)
    first = await bench.chunk(activity, 1, 1, 2)
    second = await bench.chunk(activity, 1, 3, 4)
    await _settle(bench, first, Verdict.ACCEPTED, Verdict.HELD)
    assert await _told(bench, activity) is None
    await bench.write(lambda tx: tx.outbox.save(replace(second, state=ChunkState.LEASED)))
    assert await _told(bench, activity) is None
    await _settle(bench, second, Verdict.REJECTED, Verdict.NO_CARD)
    found = await _told(bench, activity)
    assert dict(found.verdicts) == {Verdict.ACCEPTED: 1, Verdict.HELD: 1, Verdict.REJECTED: 1}
    assert await _told(bench, activity) is None
    late = await bench.chunk(activity, 1, 5, 5)  # a card that joined later
    await _settle(bench, late, Verdict.ACCEPTED)
    assert await _told(bench, activity) is None


async def test_a_card_in_a_later_chunk_again_counts_once_with_what_became_of_it_there(bench):
    activity = await _revision(bench, "update")
    await _settle(bench, await bench.chunk(activity, 1, 1, 3), Verdict.ACCEPTED, Verdict.DEFERRED, Verdict.ACCEPTED)
    await _settle(bench, await bench.chunk(activity, 1, 2, 2), Verdict.UNKNOWN)
    assert dict((await _told(bench, activity)).verdicts) == {Verdict.ACCEPTED: 2, Verdict.UNKNOWN: 1}


async def test_a_start_that_is_still_spread_out_has_not_settled_and_tells_whom_it_missed(bench):
    from skerry.domain.audience import Audience

    activity = await _revision(bench)
    plan = Plan(0, APP, activity.activity_id, RevisionNumber(1), Audience(everyone=True), Millis(0))
    await bench.write(lambda tx: tx.outbox.add_plan(plan))
    assert await _told(bench, activity) is None
    (stored,) = await bench.read(lambda tx: tx.outbox.due_plans(Millis(1), 10))
    await bench.write(lambda tx: tx.outbox.finish_plan(stored))

    def miss(tx):
        for reason in ("NO_DEVICE", "NO_DEVICE", "NO_START_TOKEN"):
            tx.rejections.add_miss(activity.activity_id, RevisionNumber(1), None, "ada", reason, Millis(0))

    await bench.write(miss)
    found = await _told(bench, activity)
    assert (dict(found.verdicts), dict(found.misses)) == ({}, {"NO_DEVICE": 2, "NO_START_TOKEN": 1})


async def test_a_broadcast_is_told_beside_the_cards(bench):
    activity = await _revision(bench, "update")
    await _settle(bench, await bench.chunk(activity, 1, CHANNEL, CHANNEL), Verdict.ACCEPTED)
    await _settle(bench, await bench.chunk(activity, 1, 1, 2), Verdict.ACCEPTED, Verdict.OVER)
    found = await _told(bench, activity)
    assert (dict(found.verdicts), found.broadcast) == ({Verdict.ACCEPTED: 1, Verdict.OVER: 1}, Verdict.ACCEPTED)


async def test_superseding_says_which_revisions_it_settled_something_of(bench):
    activity = await bench.activity()
    for _ in range(3):
        activity = await bench.update(activity)
        await bench.chunk(activity, activity.newest, 1, 2)
    supersede = lambda: bench.write(  # noqa: E731
        lambda tx: tx.outbox.supersede(activity.activity_id, RevisionNumber(3))
    )
    assert await supersede() == [1, 2]
    assert await supersede() == []
    assert await bench.write(lambda tx: tx.outbox.supersede(ActivityId(99), RevisionNumber(3))) == []
