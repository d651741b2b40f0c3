"""Chunks and plans, as the ports promise them."""

import gc
import random
from dataclasses import replace

import pytest

from skerry.domain import audience_json
from skerry.domain.audience import Audience, ProfileCondition, ProfileGroup, Quantifier, TagCondition
from skerry.domain.card import Card, CardStatus
from skerry.domain.chunk import CHUNK_SIZE, Chunk, ChunkState, Depth, Lane, Recipient
from skerry.domain.device import is_modern
from skerry.domain.ids import CardNumber, ChunkId, DeviceId, Millis, RevisionNumber, Seconds
from skerry.domain.parcel import Parcel
from skerry.domain.plan import Plan
from skerry.domain.push import Environment
from skerry.domain.revision import RevisionKind
from skerry.domain.verdict import Verdict

APP = 1


def _bytes(*verdicts: Verdict) -> bytes:
    return bytes(verdicts)


async def test_chunks_come_back_as_they_were_stored_each_with_its_own_verdicts(bench):
    activity = await bench.activity()
    one = await bench.chunk(activity, 1, 1, 1)
    chunks = [
        replace(
            one,
            first=CardNumber(first),
            last=CardNumber(first + size - 1),
            verdicts=random.Random(first).randbytes(size),
            lane=Lane.LARGE,
            due_at=Millis(5),
            attempt=2,
            floor=Seconds(9),
            created_at=Millis(4),
        )
        for first, size in ((1, 3), (4, CHUNK_SIZE), (504, 1))
    ]
    await bench.write(lambda tx: tx.outbox.add_chunks(chunks))
    ids = [row[0] for row in await bench.sql("SELECT chunk_id FROM chunks WHERE chunk_id > ? ORDER BY 1", one.chunk_id)]
    found = [await bench.read(lambda tx, i=i: tx.outbox.get(ChunkId(i))) for i in ids]
    assert found == [replace(chunk, chunk_id=i) for chunk, i in zip(chunks, ids, strict=True)]
    assert await bench.read(lambda tx: tx.outbox.get(ChunkId(404))) is None


async def test_no_chunks_are_no_work(bench):
    await bench.write(lambda tx: tx.outbox.add_chunks([]))
    assert await bench.sql("SELECT count(*) FROM chunks") == [(0,)]


async def test_a_chunk_beyond_the_agreed_size_is_refused(bench):
    activity = await bench.activity()
    with pytest.raises(ValueError, match="500"):
        await bench.chunk(activity, 1, 1, CHUNK_SIZE + 1)


async def test_a_claim_takes_the_longest_due_of_its_lane_and_no_one_elses(bench):
    activity = await bench.activity()
    late = await bench.chunk(activity, 1, 1, 1, due_at=Millis(30))
    early = await bench.chunk(activity, 1, 2, 2, due_at=Millis(10))
    await bench.chunk(activity, 1, 3, 3, due_at=Millis(41))
    large = await bench.chunk(activity, 1, 4, 4, due_at=Millis(5), lane=Lane.LARGE)
    middle = await bench.chunk(activity, 1, 5, 5, due_at=Millis(20))
    claim = lambda limit, lane=Lane.SMALL: bench.write(  # noqa: E731
        lambda tx: tx.outbox.claim("me", lane, Millis(40), limit)
    )
    assert await claim(2) == [replace(chunk, state=ChunkState.LEASED) for chunk in (early, middle)]
    assert [chunk.chunk_id for chunk in await claim(2)] == [late.chunk_id]
    assert await claim(2) == []
    assert [chunk.chunk_id for chunk in await claim(2, Lane.LARGE)] == [large.chunk_id]


async def test_a_chunk_that_is_ready_again_loses_its_lease_and_keeps_its_verdicts(bench):
    activity = await bench.activity()
    await bench.chunk(activity, 1, 1, 2)
    (chunk,) = await bench.write(lambda tx: tx.outbox.claim("me", Lane.SMALL, Millis(0), 1))
    kept = replace(chunk, verdicts=_bytes(Verdict.ACCEPTED, Verdict.IN_FLIGHT))
    await bench.write(lambda tx: tx.outbox.save(kept))
    assert await bench.sql("SELECT lease_owner FROM chunks") == [("me",)]
    again = replace(kept, state=ChunkState.READY, attempt=1, due_at=Millis(50))
    await bench.write(lambda tx: tx.outbox.save(again))
    assert await bench.read(lambda tx: tx.outbox.get(chunk.chunk_id)) == again
    assert await bench.sql("SELECT lease_owner, settled_at FROM chunks") == [(None, None)]


async def test_settling_is_dated_once(bench):
    activity = await bench.activity()
    chunk = replace(await bench.chunk(activity, 1, 1, 1), state=ChunkState.SETTLED, verdicts=_bytes(Verdict.ACCEPTED))
    bench.clock.now = 7
    await bench.write(lambda tx: tx.outbox.save(chunk))
    bench.clock.now = 8
    await bench.write(lambda tx: tx.outbox.save(chunk))
    assert await bench.sql("SELECT settled_at FROM chunks") == [(7,)]


async def test_reclaim_tells_what_others_hold_and_nothing_of_ones_own_however_late(bench):
    activity = await bench.activity()
    for number in (1, 2, 3):
        await bench.chunk(activity, 1, number, number)

    def work(tx):
        for owner in ("gone", "me", "me"):
            tx.outbox.claim(owner, Lane.SMALL, Millis(0), 1)

    await bench.write(work)
    found = await bench.read(lambda tx: tx.outbox.reclaim("me", Millis(90)))
    assert {chunk.first for chunk in found} == {1}
    assert await bench.sql("SELECT count(*) FROM chunks WHERE state = 2") == [(3,)]


async def test_what_a_living_sender_holds_is_its_own_until_it_falls_silent_or_leaves(bench):
    activity = await bench.activity()
    await bench.chunk(activity, 1, 1, 1)

    def lease(tx):
        tx.senders.join("beside", Millis(50))
        tx.outbox.claim("beside", Lane.SMALL, Millis(0), 1)

    await bench.write(lease)

    async def held(heard_since):
        return not await bench.read(lambda tx: tx.outbox.reclaim("me", Millis(heard_since)))

    assert await held(49)
    assert not await held(50)
    assert await bench.write(lambda tx: tx.senders.beat("beside", Millis(90)))
    assert await held(50)
    await bench.write(lambda tx: tx.senders.leave("beside"))
    assert not await held(50)
    assert not await bench.write(lambda tx: tx.senders.beat("beside", Millis(95))), (
        "it has to learn that it was given up"
    )


def test_recipients_are_no_work_for_the_garbage_collector():
    one = Recipient(CardNumber(1), DeviceId(1), 0, "bb", Environment.SANDBOX, True, False, modern=True)
    assert not gc.is_tracked(one)


async def test_unsent_older_updates_are_superseded_and_nothing_else(bench):
    activity = await bench.activity()
    for alert in (None, b'{"title":"t"}', None, None):
        activity = await bench.update(activity, alert=alert)
    untouched = await bench.chunk(activity, 1, 1, 3)
    alerting = await bench.chunk(activity, 2, 1, 3)
    touched = await bench.chunk(
        activity, 3, 1, 3, verdicts=_bytes(Verdict.ACCEPTED, Verdict.RETRY, Verdict.PENDING), due_at=Millis(9)
    )
    newest = await bench.chunk(activity, 4, 1, 3)
    leased = await bench.chunk(activity, 1, 4, 4, lane=Lane.LARGE)
    await bench.write(lambda tx: tx.outbox.claim("me", Lane.LARGE, Millis(10), 1))
    await bench.write(lambda tx: tx.outbox.supersede(activity.activity_id, RevisionNumber(4)))

    async def now(chunk):
        return await bench.read(lambda tx: tx.outbox.get(chunk.chunk_id))

    superseded = Verdict.SUPERSEDED
    assert await now(untouched) == replace(untouched, state=ChunkState.SETTLED, verdicts=_bytes(*[superseded] * 3))
    assert await now(touched) == replace(
        touched, state=ChunkState.SETTLED, verdicts=_bytes(Verdict.ACCEPTED, superseded, superseded)
    )
    assert await now(alerting) == alerting
    assert await now(newest) == newest
    assert (await now(leased)).state is ChunkState.LEASED
    assert await bench.sql("SELECT count(*) FROM chunks WHERE settled_at = ?", bench.clock()) == [(2,)]


async def test_starts_and_ends_are_never_superseded(bench):
    activity = await bench.activity()
    await bench.update(activity)
    chunk = await bench.chunk(activity, 1, 1, 1)
    for kind in (1, 3):
        await bench.sql("UPDATE revisions SET kind = ?", kind)
        await bench.write(lambda tx: tx.outbox.supersede(activity.activity_id, RevisionNumber(9)))
        assert (await bench.read(lambda tx: tx.outbox.get(chunk.chunk_id))).state is ChunkState.READY


async def test_an_unclaimed_chunk_will_cover_the_cards_it_still_has_to_send_to(bench):
    activity = await bench.activity()
    verdicts = _bytes(Verdict.ACCEPTED, Verdict.PENDING, Verdict.RETRY, Verdict.HELD)
    await bench.chunk(activity, 2, 10, 13, verdicts=verdicts)
    await bench.chunk(activity, 2, 20, 20, due_at=Millis(10**15))

    async def covered(number: int, revision: int = 2) -> bool:
        return await bench.read(
            lambda tx: tx.outbox.will_cover(activity.activity_id, RevisionNumber(revision), CardNumber(number))
        )

    assert [n for n in range(8, 22) if await covered(n)] == [11, 12, 20]
    assert not await covered(11, revision=1)
    await bench.write(lambda tx: tx.outbox.claim("me", Lane.SMALL, Millis(0), 1))
    assert not await covered(11)


async def test_the_last_card_of_a_full_chunk_is_covered(bench):
    activity = await bench.activity()
    await bench.chunk(activity, 1, 501, 1000)
    for number, expected in ((500, False), (501, True), (1000, True), (1001, False)):
        assert expected is await bench.read(
            lambda tx, n=number: tx.outbox.will_cover(activity.activity_id, RevisionNumber(1), CardNumber(n))
        )


async def test_the_verdict_of_a_card_comes_from_the_newest_chunk_that_holds_it(bench):
    activity = await bench.activity()
    await bench.chunk(activity, 2, 1, 3, verdicts=_bytes(Verdict.ACCEPTED, Verdict.RETRY, Verdict.NO_CARD))
    await bench.chunk(activity, 2, 2, 2, verdicts=_bytes(Verdict.HELD))
    await bench.chunk(activity, 1, 1, 3, verdicts=_bytes(*[Verdict.REJECTED] * 3))

    async def verdict(revision: int, number: int) -> Verdict | None:
        return await bench.read(
            lambda tx: tx.outbox.verdict_of(activity.activity_id, RevisionNumber(revision), CardNumber(number))
        )

    assert [await verdict(2, n) for n in (1, 2, 3, 4)] == [Verdict.ACCEPTED, Verdict.HELD, Verdict.NO_CARD, None]
    assert await verdict(1, 2) is Verdict.REJECTED
    assert await verdict(3, 1) is None


async def test_start_recipients_prefer_the_live_typed_token(bench):
    activity = await bench.activity()
    both = await bench.device(environment="sandbox", environment_proved=1, os_version="18.1")
    untyped = await bench.device(other_environment_tried=1, os_version="17.4")
    typed_dead = await bench.device()
    all_dead = await bench.device()
    neither = await bench.device()
    erased = DeviceId(999)
    await bench.start_token(both, "aa")
    await bench.start_token(both, "bb", "Ride")
    await bench.start_token(both, "cc", "Food")
    await bench.start_token(untyped, "dd")
    await bench.start_token(typed_dead, "ee")
    await bench.start_token(typed_dead, "ff", "Ride", dead_reason="Unregistered")
    await bench.start_token(all_dead, "00", dead_reason="BadDeviceToken")
    devices = [both, untyped, typed_dead, all_dead, neither, erased]
    await bench.write(
        lambda tx: tx.activities.add_cards(activity.activity_id, CardNumber(1), RevisionNumber(1), devices, Millis(0))
    )
    chunk = await bench.chunk(activity, 1, 1, 6)
    found = await bench.read(lambda tx: tx.outbox.start_recipients(chunk, "Ride"))
    starting = CardStatus.STARTING
    assert found == [
        Recipient(CardNumber(1), both, starting, "bb", Environment.SANDBOX, True, False, modern=True),
        Recipient(CardNumber(2), untyped, starting, "dd", None, False, True),
        Recipient(CardNumber(3), typed_dead, starting, "ee", None, False, False),
        Recipient(CardNumber(4), all_dead, starting, None, None, False, False),
        Recipient(CardNumber(5), neither, starting, None, None, False, False),
        Recipient(CardNumber(6), erased, starting, None, None, False, False),
    ]
    assert [one.token for one in await bench.read(lambda tx: tx.outbox.start_recipients(chunk, ""))][:2] == ["aa", "dd"]


async def test_card_recipients_are_the_cards_of_the_range_that_there_are(bench):
    activity = await bench.activity()
    device = await bench.device(environment="production", os_version="18.0")
    for number, token in ((2, "aa"), (4, None), (7, "bb")):
        card = Card(
            activity.activity_id, CardNumber(number), device, CardStatus.LIVE, RevisionNumber(1), Millis(0), token=token
        )
        await bench.write(lambda tx, card=card: tx.activities.add_card(card))
    chunk = await bench.chunk(activity, 1, 2, 6)
    found = await bench.read(lambda tx: tx.outbox.card_recipients(chunk))
    assert [(one.number, one.token, one.environment) for one in found] == [
        (2, "aa", Environment.PRODUCTION),
        (4, None, Environment.PRODUCTION),
    ]
    empty = await bench.chunk(activity, 1, 10, 12)
    assert await bench.read(lambda tx: tx.outbox.card_recipients(empty)) == []


async def test_settled_parcels_say_whose_revisions_have_settled_with_them(bench):
    activities = [await bench.update(await bench.activity()) for _ in range(4)]
    chunks = [await bench.chunk(activity, 1, 1, 1) for activity in activities]
    await bench.chunk(activities[1], 1, 2, 2)  # another card's, still open
    await bench.sql("UPDATE revisions SET settled_at = 1 WHERE activity_id = ?", activities[2].activity_id)
    parcels = [_parcel(chunk) for chunk in chunks]
    alone = await bench.write(lambda tx: tx.parcels.settle(parcels, Verdict.ACCEPTED))
    assert [one.chunk_id for one in alone] == [chunks[0].chunk_id, chunks[3].chunk_id]
    rows = await bench.sql("SELECT state, verdicts FROM chunks ORDER BY chunk_id")
    assert rows == [(int(ChunkState.SETTLED), bytes([Verdict.ACCEPTED]))] * 4 + [(int(ChunkState.READY), b"\x00")]
    noted = [settled_at for (settled_at,) in await bench.sql("SELECT settled_at FROM revisions ORDER BY activity_id")]
    assert noted == [bench.clock(), None, 1, bench.clock()]


def _parcel(chunk: Chunk) -> Parcel:
    return Parcel(
        chunk.chunk_id, chunk.app_id, chunk.activity_id, chunk.first, None, chunk.revision, RevisionKind.UPDATE,
        Seconds(1), b"{}", None, 10, None, None, chunk.created_at, chunk.due_at,
    )  # fmt: skip


async def test_depth_and_next_due_say_what_waits(bench):
    assert await bench.read(lambda tx: tx.outbox.depth(Millis(0))) == Depth(0, 0, None, 0)
    assert await bench.read(lambda tx: tx.outbox.next_due(Lane.SMALL)) is None
    activity = await bench.activity()
    for due_at, lane in ((50, Lane.SMALL), (30, Lane.LARGE), (10, Lane.SMALL)):
        await bench.chunk(activity, 1, 1, 1, due_at=Millis(due_at), lane=lane)
    await bench.write(lambda tx: tx.outbox.claim("me", Lane.SMALL, Millis(10), 1))
    await bench.write(lambda tx: tx.outbox.add_plan(_plan(activity, 5)))
    assert await bench.read(lambda tx: tx.outbox.depth(Millis(40))) == Depth(2, 1, Millis(30), 1)
    assert await bench.read(lambda tx: tx.outbox.depth(Millis(20))) == Depth(2, 1, None, 1)
    assert await bench.read(lambda tx: tx.outbox.next_due(Lane.SMALL)) == 50
    assert await bench.read(lambda tx: tx.outbox.next_due(Lane.LARGE)) == 30


AUDIENCE = Audience(
    ext_ids=("a", "b"),
    tags=TagCondition(Quantifier.ALL, ("vip",)),
    profile=ProfileGroup(
        Quantifier.NONE,
        (
            ProfileCondition("age", (1, 1.0, True, "x")),
            ProfileGroup(Quantifier.ANY, (ProfileCondition("city", exists=False, negated=True),)),
        ),
    ),
    last_active_device=True,
)


def _plan(activity, due_at: int, audience: Audience = AUDIENCE) -> Plan:
    return Plan(
        0, APP, activity.activity_id, RevisionNumber(1), audience, Millis(due_at), package=10, interval=Millis(60)
    )


async def test_plans_wait_for_their_time_and_go_when_they_are_finished(bench):
    activity = await bench.activity()
    for due_at in (30, 10, 99):
        await bench.write(lambda tx, due_at=due_at: tx.outbox.add_plan(_plan(activity, due_at)))
    due = await bench.read(lambda tx: tx.outbox.due_plans(Millis(30), 9))
    assert [replace(plan, plan_id=0) for plan in due] == [_plan(activity, 10), _plan(activity, 30)]
    assert len(await bench.read(lambda tx: tx.outbox.due_plans(Millis(30), 1))) == 1
    moved = replace(due[0], cursor=DeviceId(77), due_at=Millis(70))
    await bench.write(lambda tx: tx.outbox.save_plan(moved))
    assert await bench.read(lambda tx: tx.outbox.next_plan_due()) == 30
    await bench.write(lambda tx: tx.outbox.finish_plan(due[1]))
    assert (await bench.read(lambda tx: tx.outbox.due_plans(Millis(70), 9))) == [moved]
    assert await bench.read(lambda tx: tx.outbox.next_plan_due()) == 70


@pytest.mark.parametrize(
    "audience", [AUDIENCE, Audience(everyone=True), Audience(device_tokens=("ab",)), Audience(ext_ids=())]
)
def test_an_audience_survives_its_json(audience):
    found = audience_json.decode(audience_json.encode(audience))
    assert found == audience
    assert repr(found) == repr(audience)  # 1, 1.0 and True are equal, and must not be exchanged


async def test_the_store_knows_modern_systems_as_the_domain_does(bench):
    versions = [
        None,
        "",
        "17.9",
        "18",
        "18.0.1",
        "26.1",
        "9.3",
        "180",
        "18beta.1",
        "iOS 18",
        ".18",
        "18 .1",
        "018.2",
        "-18",
        "²8",
        "١٨",
    ]
    devices = [await bench.device(os_version=version) for version in versions]
    activity = await bench.activity()
    await bench.write(
        lambda tx: tx.activities.add_cards(activity.activity_id, CardNumber(1), RevisionNumber(1), devices, Millis(0))
    )
    chunk = await bench.chunk(activity, 1, 1, len(versions))
    found = await bench.read(lambda tx: tx.outbox.start_recipients(chunk, ""))
    assert [one.modern for one in found] == [is_modern(version) for version in versions]
