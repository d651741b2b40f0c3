"""Activities, names, revisions and cards, as the ports promise them."""

from dataclasses import replace

import pytest

from skerry.activities import ports as activities_ports
from skerry.delivery import ports as delivery_ports
from skerry.domain.activity import End, Phase, Start, end, start
from skerry.domain.card import Card, CardStatus
from skerry.domain.ids import (
    ActivityId,
    CardNumber,
    DeviceId,
    GroupId,
    Millis,
    NotificationKey,
    RevisionNumber,
    Seconds,
)
from skerry.store.sqlite import SqliteTransaction

APP, OTHER_APP = 1, 2
START = Start(
    "Ride", b'{"id":"r1"}', b'{"eta":0.5}', b'{"title":"t"}', ends_at=Seconds(99), notification_key=NotificationKey(7)
)


def _is_a_transaction_of_the_rooms(tx: SqliteTransaction) -> None:
    """For mypy: the one transaction is what each room asks for."""
    _activities: activities_ports.Transaction = tx
    _outbox: delivery_ports.OutboxRecords = tx.outbox
    _cards: delivery_ports.CardRecords = tx.activities
    _rejections: delivery_ports.RejectionRecords = tx.rejections
    _timers: delivery_ports.TimerRecords = tx.timers


async def test_an_activity_comes_back_as_it_was_saved(bench):
    activity = await bench.activity()
    after, revision = start(activity, START, Millis(5_000))
    after, last = end(
        replace(after, named=True, next_card=CardNumber(4)), End(dismissal_date=Seconds(8)), Millis(9_000)
    )

    def work(tx):
        tx.activities.save(after)
        tx.activities.add_revision(revision)
        tx.activities.add_revision(last)

    await bench.write(work)
    found = await bench.read(lambda tx: tx.activities.get(activity.activity_id))
    assert found == after
    assert found.phase is Phase.ENDED
    assert found.named is True
    assert await bench.read(lambda tx: tx.activities.revision(activity.activity_id, RevisionNumber(1))) == revision
    assert await bench.read(lambda tx: tx.activities.revision(activity.activity_id, RevisionNumber(2))) == last
    assert await bench.read(lambda tx: tx.activities.revision(activity.activity_id, RevisionNumber(3))) is None


async def test_an_unknown_activity_is_none(bench):
    assert await bench.read(lambda tx: tx.activities.get(ActivityId(404))) is None
    assert await bench.read(lambda tx: tx.activities.by_group(APP, GroupId("nobody"))) is None
    assert await bench.read(lambda tx: tx.activities.card(ActivityId(404), CardNumber(1))) is None


async def test_activity_ids_are_never_used_again(bench):
    first = await bench.activity()
    await bench.sql("DELETE FROM activities WHERE activity_id = ?", first.activity_id)
    assert (await bench.activity()).activity_id > first.activity_id


async def test_the_bytes_of_a_state_come_back_untouched(bench):
    activity = await bench.activity()
    raw = '{ "a" : 1.0,"b":0.50, "ü":"\\u00fc" }'.encode()
    await bench.write(lambda tx: tx.activities.save(replace(activity, state=raw)))
    assert (await bench.read(lambda tx: tx.activities.get(activity.activity_id))).state == raw


async def test_a_name_leads_to_its_activity_within_its_app_only(bench):
    activity = await bench.activity()
    await bench.write(lambda tx: tx.activities.add_name(activity.activity_id, APP, GroupId("g")))
    found = await bench.read(lambda tx: tx.activities.by_group(APP, GroupId("g")))
    assert found == replace(activity, named=True)
    assert await bench.read(lambda tx: tx.activities.by_group(OTHER_APP, GroupId("g"))) is None


async def test_names_are_told_oldest_first(bench):
    activity = await bench.activity()
    for name in ("z", "a", "z"):
        await bench.write(lambda tx, name=name: tx.activities.add_name(activity.activity_id, APP, GroupId(name)))
    assert await bench.read(lambda tx: tx.activities.names(activity.activity_id)) == ["z", "a"]


async def test_a_taken_name_stays_where_it_is(bench):
    one, other = await bench.activity(), await bench.activity()
    await bench.write(lambda tx: tx.activities.add_name(one.activity_id, APP, GroupId("g")))
    await bench.write(lambda tx: tx.activities.add_name(other.activity_id, APP, GroupId("g")))
    assert (await bench.read(lambda tx: tx.activities.by_group(APP, GroupId("g")))).activity_id == one.activity_id
    assert (await bench.read(lambda tx: tx.activities.get(other.activity_id))).named is False


async def test_saving_an_older_picture_does_not_take_the_name_away(bench):
    activity = await bench.activity()
    await bench.write(lambda tx: tx.activities.add_name(activity.activity_id, APP, GroupId("g")))
    await bench.write(lambda tx: tx.activities.save(activity))
    assert (await bench.read(lambda tx: tx.activities.get(activity.activity_id))).named is True


async def test_the_newest_nameless_activity_that_carries_a_value_is_found(bench):
    older, newer, named = await bench.activity(), await bench.activity(), await bench.activity()
    for activity in (older, newer, named):
        await bench.write(lambda tx, a=activity: tx.activities.remember_values(a.activity_id, APP, ["x", "y", "x"]))
    await bench.write(lambda tx: tx.activities.add_name(named.activity_id, APP, GroupId("g")))
    assert await bench.read(lambda tx: tx.activities.nameless_carrying(APP, "x")) == newer
    assert await bench.read(lambda tx: tx.activities.nameless_carrying(APP, "z")) is None
    assert await bench.read(lambda tx: tx.activities.nameless_carrying(OTHER_APP, "x")) is None
    assert await bench.read(lambda tx: tx.activities.values_of(older.activity_id)) == {"x", "y"}


async def test_a_card_comes_back_as_it_was_saved(bench):
    activity = await bench.activity()
    card = Card(
        activity.activity_id, CardNumber(3), DeviceId(8), CardStatus.LIVE, RevisionNumber(1), Millis(10),
        token="ab" * 8, token_time=Millis(11), registered_at=Millis(12),
    )  # fmt: skip
    await bench.write(lambda tx: tx.activities.add_card(card))
    assert await bench.read(lambda tx: tx.activities.card(activity.activity_id, CardNumber(3))) == card
    closed = replace(card, status=CardStatus.LOST, token=None, closed_at=Millis(20), reason="Unregistered")
    await bench.write(lambda tx: tx.activities.save_card(closed))
    found = await bench.read(lambda tx: tx.activities.card(activity.activity_id, CardNumber(3)))
    assert found == closed
    assert found.status is CardStatus.LOST


async def test_many_cards_are_numbered_in_the_order_of_their_devices(bench):
    activity = await bench.activity()
    devices = (DeviceId(70), DeviceId(10), DeviceId(40))
    await bench.write(
        lambda tx: tx.activities.add_cards(activity.activity_id, CardNumber(5), RevisionNumber(1), devices, Millis(9))
    )
    cards = [
        await bench.read(lambda tx, n=n: tx.activities.card(activity.activity_id, CardNumber(n))) for n in (5, 6, 7)
    ]
    assert cards == [
        Card(activity.activity_id, CardNumber(n), d, CardStatus.STARTING, RevisionNumber(1), Millis(9))
        for n, d in zip((5, 6, 7), devices, strict=True)
    ]


async def test_a_card_number_is_given_once(bench):
    activity = await bench.activity()

    def add(tx):
        tx.activities.add_cards(activity.activity_id, CardNumber(1), RevisionNumber(1), [DeviceId(1)], Millis(9))

    await bench.write(add)
    with pytest.raises(Exception, match="UNIQUE"):
        await bench.write(add)


async def _cards(bench, activity, *cards: tuple[int, int, CardStatus, int]) -> None:
    """Each is (number, device, status, created at)."""
    for number, device, status, created_at in cards:
        card = Card(
            activity.activity_id, CardNumber(number), DeviceId(device), status, RevisionNumber(1), Millis(created_at)
        )
        await bench.write(lambda tx, card=card: tx.activities.add_card(card))


async def test_the_newest_card_of_a_device_leaves_moved_ones_out(bench):
    activity = await bench.activity()
    await _cards(
        bench, activity,
        (1, 8, CardStatus.ENDED, 1), (2, 8, CardStatus.LIVE, 2),
        (3, 8, CardStatus.MOVED, 3), (4, 9, CardStatus.LIVE, 4),
    )  # fmt: skip
    newest = await bench.read(lambda tx: tx.activities.newest_card(activity.activity_id, DeviceId(8)))
    assert newest.number == 2
    assert await bench.read(lambda tx: tx.activities.newest_card(activity.activity_id, DeviceId(10))) is None


async def test_starting_cards_of_nameless_activities_come_newest_first(bench):
    first, second, named = await bench.activity(), await bench.activity(), await bench.activity()
    foreign = await bench.activity(OTHER_APP)
    await bench.write(lambda tx: tx.activities.add_name(named.activity_id, APP, GroupId("g")))
    for activity, created_at in ((first, 30), (second, 20), (named, 40), (foreign, 50)):
        await _cards(bench, activity, (1, 8, CardStatus.STARTING, created_at))
    await _cards(bench, first, (2, 8, CardStatus.LIVE, 60), (3, 9, CardStatus.STARTING, 70))
    found = await bench.read(lambda tx: tx.activities.nameless_starting(APP, DeviceId(8)))
    assert [card.activity_id for card in found] == [first.activity_id, second.activity_id]


async def test_running_on_tells_devices_whose_card_starts_or_is_live_and_was_heard_of_lately(bench):
    activity, other = await bench.activity(), await bench.activity()
    await _cards(
        bench, activity,
        (1, 1, CardStatus.LIVE, 100), (2, 2, CardStatus.LIVE, 0), (3, 3, CardStatus.STARTING, 99),
        (4, 4, CardStatus.STARTING, 100), (5, 5, CardStatus.ENDED, 100), (6, 6, CardStatus.LIVE, 100),
        (7, 8, CardStatus.LIVE, 0), (8, 9, CardStatus.LIVE, 100),
    )  # fmt: skip
    await bench.sql("UPDATE cards SET registered_at = 100 WHERE device_id = 8")
    await _cards(bench, other, (2, 7, CardStatus.LIVE, 100))
    asked = [DeviceId(n) for n in (1, 2, 3, 4, 5, 7, 8, 9)]
    found = await bench.read(
        lambda tx: tx.activities.running_on(activity.activity_id, CardNumber(2), asked, Millis(100))
    )
    assert found == {4, 8, 9}
    assert (
        await bench.read(lambda tx: tx.activities.running_on(activity.activity_id, CardNumber(1), [], Millis(0)))
        == set()
    )
