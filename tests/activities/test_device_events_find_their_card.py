"""How update tokens and closes find their card, over the real store; delivery is only written down."""

import itertools
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from skerry.activities.card_events import CardEvents
from skerry.activities.renewal import Renewal, RenewalSettings
from skerry.activities.service import Activities
from skerry.domain.activity import Activity, End, Phase, Update
from skerry.domain.audience import Audience
from skerry.domain.card import Card, CardStatus
from skerry.domain.commands import BulkStart, Pace, Send, Template
from skerry.domain.device import Device, DeviceEvent, DeviceEventKind
from skerry.domain.errors import PayloadTooLargeError, UnknownNotificationError
from skerry.domain.ids import AppId, CardNumber, DeviceId, GroupId, Millis, NotificationKey, Seconds
from skerry.domain.parcel import Planned
from skerry.domain.revision import Revision, RevisionKind
from skerry.domain.round import Change
from skerry.store.sqlite.database import SqliteStore
from skerry.store.sqlite.transaction import SqliteTransaction

APP = AppId(1)
EVERYONE = Audience(everyone=True)
GUIDE = Template(
    "Live Activity Update",
    "Your process is ongoing",
    "LiveActivityAttributes",
    b'{"referenceId": "upload-12345", "category": "upload"}',
    b'{"title": "Uploading File", "progress": 0.5}',
)


@dataclass
class RecordedDelivery:
    """Starts every device it knows; writes the rest down."""

    devices: list[DeviceId]
    delivered: bool = False
    revisions: list[tuple[RevisionKind, int, int]] = field(default_factory=list)
    cards: list[tuple[int, int, int]] = field(default_factory=list)

    def plan_start(
        self, tx: SqliteTransaction, activity: Activity, revision: Revision, audience: Audience, pace: Pace
    ) -> None:
        tx.activities.add_cards(
            activity.activity_id, activity.next_card, revision.number, self.devices, revision.created_at
        )
        following = CardNumber(activity.next_card + len(self.devices))
        tx.activities.save(replace(activity, next_card=following))

    def plan_revision(self, tx: SqliteTransaction, activity: Activity, revision: Revision, first: CardNumber) -> None:
        self.revisions.append((revision.kind, first, activity.next_card - 1))

    def plan_round(self, tx: SqliteTransaction, changes: Sequence[Change]) -> Planned:
        for one in changes:
            self.revisions.append((RevisionKind.UPDATE, one.seen.first_card, one.seen.next_card - 1))
        return Planned((), waiting=False)

    def send_round(self, planned: Planned) -> None: ...

    def plan_card(self, tx: SqliteTransaction, activity: Activity, card: Card, floor: Seconds) -> None:
        self.cards.append((card.device_id, activity.target_of(card.number), floor))

    def started_with_newest(self, tx: SqliteTransaction, activity: Activity, card: Card) -> bool:
        return not any(first <= card.number <= last for _, first, last in self.revisions[-1:])

    def was_delivered(self, tx: SqliteTransaction, activity: Activity, number: CardNumber) -> bool:
        return self.delivered

    def wake(self) -> None: ...


@dataclass
class House:
    store: SqliteStore
    delivery: RecordedDelivery
    activities: Activities
    events: CardEvents
    clock: list[int]

    async def token(self, device: int, group: str, token: str = "aa" * 16, time: int | None = None) -> str:
        event = DeviceEvent(
            DeviceEventKind.UPDATE_TOKEN, Millis(time or self.clock[0]), token=token, group_id=GroupId(group)
        )
        return await self.store.write(
            lambda tx: self.events.on_update_token(tx, _device(device), event, Millis(self.clock[0]))
        )

    async def close(self, device: int, group: str, time: int | None = None) -> str:
        event = DeviceEvent(DeviceEventKind.CLOSE, Millis(time or self.clock[0]), group_id=GroupId(group))
        return await self.store.write(
            lambda tx: self.events.on_close(tx, _device(device), event, Millis(self.clock[0]))
        )

    async def group(self, name: str) -> Activity:
        found = await self.store.read(lambda tx: tx.activities.by_group(APP, GroupId(name)))
        assert found is not None
        return found

    async def card(self, name: str, device: int) -> Card:
        activity = await self.group(name)
        found = await self.store.read(lambda tx: tx.activities.newest_card(activity.activity_id, DeviceId(device)))
        assert found is not None
        return found


def _device(number: int) -> Device:
    return Device(DeviceId(number), APP, f"installation-{number}")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    clock = [1_790_000_000_000]
    async with await SqliteStore.open(tmp_path / "skerry.db") as store:
        await store.write(
            lambda tx: (
                tx.connection.execute(
                    "INSERT INTO apps (app_id, name, bundle_id, environment, endpoints, created_at)"
                    " VALUES (1, 'a', 'com.example.a', 'sandbox', '{}', 0)"
                ).rowcount
            )
        )
        delivery = RecordedDelivery([DeviceId(1), DeviceId(2)])
        activities = Activities(store, delivery, clock=lambda: Millis(clock[0]))
        yield House(store, delivery, activities, CardEvents(delivery, Renewal(delivery, RenewalSettings())), clock)


async def test_a_nameless_start_takes_the_name_its_attributes_carry(house: House) -> None:
    await house.activities.start_bulk(APP, BulkStart(GUIDE, EVERYONE))
    assert await house.token(1, "upload-12345") == "accepted"
    assert await house.token(2, "upload-12345", "bb" * 16) == "accepted"
    activity = await house.group("upload-12345")
    assert activity.attributes == GUIDE.attributes
    assert activity.state == GUIDE.state
    assert (await house.card("upload-12345", 1)).started_by == (await house.card("upload-12345", 2)).started_by == 1
    assert house.delivery.cards == []


async def test_an_update_before_any_token_is_held_and_goes_out_with_the_token(house: House) -> None:
    await house.activities.start_bulk(APP, BulkStart(GUIDE, EVERYONE))
    assert await house.activities.update(APP, GroupId("upload-12345"), Update(b'{"progress": 0.7}'))
    await house.token(1, "upload-12345")
    assert house.delivery.cards == [(1, 2, 0)]


async def test_an_end_before_any_token_reaches_the_card_that_joins_late(house: House) -> None:
    await house.activities.start_bulk(APP, BulkStart(replace(GUIDE, group_id=GroupId("g")), EVERYONE))
    await house.activities.update(APP, GroupId("g"), Update(b"{}"))
    await house.activities.end(APP, GroupId("g"), End())
    house.clock[0] += 60_000
    await house.token(1, "g")
    assert house.delivery.cards == [(1, 3, 0)]
    assert (await house.group("g")).phase is Phase.ENDED


async def test_names_of_their_own_make_groups_of_their_own(house: House) -> None:
    await house.activities.start_bulk(APP, BulkStart(GUIDE, EVERYONE))
    await house.token(1, "8B1F-own-uuid")
    await house.token(2, "F4C2-own-uuid", "bb" * 16)
    one, two = await house.group("8B1F-own-uuid"), await house.group("F4C2-own-uuid")
    assert one.activity_id != two.activity_id
    assert one.state == two.state == GUIDE.state
    assert one.attributes == GUIDE.attributes


async def test_a_group_appears_with_a_locally_started_activity(house: House) -> None:
    assert await house.token(7, "local") == "accepted"
    assert (await house.group("local")).attributes_type is None
    assert await house.activities.update(APP, GroupId("local"), Update(b"{}"))
    assert house.delivery.revisions == [(RevisionKind.UPDATE, 1, 1)]


async def test_a_card_that_joins_after_an_update_gets_the_newest_state(house: House) -> None:
    await house.token(1, "g")
    await house.activities.update(APP, GroupId("g"), Update(b"{}"))
    await house.activities.update(APP, GroupId("g"), Update(b'{"n":2}'))
    await house.token(2, "g", "bb" * 16)
    assert house.delivery.cards == [(2, 2, 0)]


async def test_a_repeated_report_is_free_and_an_older_one_is_stale(house: House) -> None:
    await house.token(1, "g", time=2_000)
    assert await house.token(1, "g", time=2_000) == "repeated"
    assert await house.token(1, "g", "bb" * 16, time=1_000) == "stale"
    assert await house.token(1, "g", "cc" * 16, time=3_000) == "accepted"
    assert (await house.card("g", 1)).token == "cc" * 16


async def test_a_close_while_it_runs_is_a_dismissal_and_after_the_end_an_echo(house: House) -> None:
    await house.token(1, "g", time=1_000)
    await house.token(2, "g", "bb" * 16, time=1_000)
    await house.close(1, "g", time=2_000)
    await house.activities.end(APP, GroupId("g"), End())
    await house.close(2, "g", time=house.clock[0] + 10)
    assert (await house.card("g", 1)).status is CardStatus.DISMISSED
    assert (await house.card("g", 2)).status is CardStatus.ENDED
    assert await house.token(1, "g", "dd" * 16, time=1_500) == "stale"


async def test_a_close_of_an_unknown_group_is_accepted_and_changes_nothing(house: House) -> None:
    assert await house.close(1, "nobody") == "accepted"


async def test_a_group_that_ended_opens_again_with_a_later_token(house: House) -> None:
    await house.token(1, "g")
    await house.activities.end(APP, GroupId("g"), End())
    house.delivery.delivered = True
    house.clock[0] += 60_000
    await house.token(1, "g", "bb" * 16)
    activity = await house.group("g")
    assert activity.phase is Phase.RUNNING
    assert (await house.card("g", 1)).number == activity.first_card
    assert house.delivery.cards == []


@pytest.mark.parametrize(
    ("dismissal_date", "leaves_after"),
    [(None, 4 * 3600), (Seconds(1_790_003_600), 3600), (Seconds(1_790_090_000), 4 * 3600), (Seconds(1), 0)],
)
async def test_the_second_close_of_an_ended_card_does_not_close_the_card_of_the_next_run(
    house: House, dismissal_date: Seconds | None, leaves_after: int
) -> None:
    """It is said when the card leaves the Lock Screen, and names the group, not the card."""
    await house.token(1, "g")
    await house.activities.end(APP, GroupId("g"), End(dismissal_date=dismissal_date))
    house.delivery.delivered = True
    ended = house.clock[0]
    assert await house.close(1, "g", ended) == "accepted"
    house.clock[0] += 60_000
    await house.token(1, "g", "bb" * 16)
    house.clock[0] = ended + leaves_after * 1000 + 1_500
    assert await house.close(1, "g") == "repeated"
    assert (await house.card("g", 1)).status is CardStatus.LIVE
    house.clock[0] += 300_000
    assert await house.close(1, "g") == "accepted"
    assert (await house.card("g", 1)).status is CardStatus.DISMISSED


async def test_the_token_of_a_card_that_is_over_is_not_taken_for_that_of_the_next_one(house: House) -> None:
    """An app that starts anew says all tokens it knows, at the time of saying."""
    await house.token(1, "g")
    await house.close(1, "g")
    house.clock[0] += 60_000
    await house.activities.start_bulk(APP, BulkStart(replace(GUIDE, group_id=GroupId("g")), EVERYONE))
    house.clock[0] += 60_000
    assert await house.token(1, "g") == "stale"
    assert (await house.card("g", 1)).status is CardStatus.STARTING
    assert await house.token(1, "g", "bb" * 16) == "accepted"
    assert (await house.card("g", 1)).token == "bb" * 16


async def test_a_token_that_rotates_before_the_end_arrived_gets_the_end(house: House) -> None:
    await house.token(1, "g")
    await house.activities.end(APP, GroupId("g"), End())
    house.clock[0] += 60_000
    await house.token(1, "g", "bb" * 16)
    assert (await house.group("g")).phase is Phase.ENDED
    assert house.delivery.cards == [(1, 2 - 1, 0)]


async def test_both_ids_lead_to_the_activity_where_they_differ(house: House) -> None:
    template = replace(GUIDE, group_id=GroupId("outer"), attributes=b'{"netmeraGroupId":"inner"}')
    await house.activities.start_bulk(APP, BulkStart(template, EVERYONE))
    assert (await house.group("outer")).activity_id == (await house.group("inner")).activity_id
    assert (await house.group("outer")).attributes == b'{"netmeraGroupId":"inner"}'


async def test_a_known_group_id_is_put_into_the_attributes(house: House) -> None:
    await house.activities.start_bulk(APP, BulkStart(replace(GUIDE, group_id=GroupId("g-1")), EVERYONE))
    expected = b'{"netmeraGroupId":"g-1","referenceId": "upload-12345", "category": "upload"}'
    assert (await house.group("g-1")).attributes == expected


async def test_a_send_fills_in_its_definition(house: House) -> None:
    key = await house.activities.define(APP, replace(GUIDE, state=b'{"title":"Order @{order}","progress":0}'))
    send = Send(key, EVERYONE, group_id=GroupId("o-9"), state=b'{"progress": 0.1}', params={"order": 'nine "9"'})
    await house.activities.send(APP, [send])
    assert (await house.group("o-9")).state == b'{"title":"Order nine \\"9\\"","progress":0.1}'


async def test_a_send_with_one_unknown_key_sends_nothing(house: House) -> None:
    key = await house.activities.define(APP, replace(GUIDE, group_id=GroupId("g")))
    with pytest.raises(UnknownNotificationError):
        await house.activities.send(APP, [Send(key, EVERYONE), Send(NotificationKey(99), EVERYONE)])
    assert await house.store.read(lambda tx: tx.activities.by_group(APP, GroupId("g"))) is None


async def test_what_apns_would_refuse_for_its_size_is_refused_before_it_changes_anything(house: House) -> None:
    await house.token(1, "g")
    with pytest.raises(PayloadTooLargeError):
        await house.activities.update(APP, GroupId("g"), Update(b'{"a":"%s"}' % (b"x" * 5_000)))
    assert (await house.group("g")).newest == 0


async def test_unknown_groups_are_told_apart(house: House) -> None:
    assert not await house.activities.update(APP, GroupId("nobody"), Update(b"{}"))
    assert not await house.activities.end(APP, GroupId("nobody"), End())


async def test_numbers_are_never_used_again(house: House) -> None:
    seen: list[int] = []
    for turn in itertools.islice(itertools.count(1), 3):
        await house.activities.start_bulk(APP, BulkStart(replace(GUIDE, group_id=GroupId("g")), EVERYONE))
        seen.append((await house.card("g", 1)).number)
        await house.activities.end(APP, GroupId("g"), End())
        assert len(set(seen)) == turn


async def test_a_close_that_overtakes_its_token_keeps_the_card_closed(house: House) -> None:
    await house.token(1, "g", time=1_000)
    assert await house.close(2, "g", time=3_000) == "accepted"
    assert await house.token(2, "g", "bb" * 16, time=2_000) == "stale"
    assert (await house.card("g", 2)).status is CardStatus.DISMISSED
    assert await house.token(2, "g", "cc" * 16, time=4_000) == "accepted"


async def test_an_end_without_a_state_leaves_the_last_update_and_not_what_a_late_start_began_with(house: House) -> None:
    template = replace(GUIDE, group_id=GroupId("g"))
    await house.activities.start_bulk(APP, BulkStart(template, EVERYONE))
    await house.activities.update(APP, GroupId("g"), Update(b'{"goals":2}'))
    await house.activities.start_bulk(APP, BulkStart(replace(template, state=b'{"goals":0}'), EVERYONE))
    await house.activities.end(APP, GroupId("g"), End())
    assert (await house.group("g")).state == b'{"goals":2}'
    await house.activities.start_bulk(APP, BulkStart(replace(template, state=b'{"goals":7}'), EVERYONE))
    assert (await house.group("g")).state == b'{"goals":7}'


async def test_what_apns_would_refuse_for_its_size_is_refused_for_unknown_groups_too(house: House) -> None:
    with pytest.raises(PayloadTooLargeError):
        await house.activities.update(APP, GroupId("nobody"), Update(b'{"a":"%s"}' % (b"x" * 5_000)))


async def reopened(house: House) -> Activity:
    """The group has run, was ended, and runs again; both starts are on their way to both devices."""
    start = replace(GUIDE, group_id=GroupId("g"))
    await house.activities.start_bulk(APP, BulkStart(start, EVERYONE))
    house.clock[0] += 10_000
    await house.token(1, "g", "aa" * 16)
    await house.activities.end(APP, GroupId("g"), End())
    house.clock[0] += 10_000
    await house.activities.start_bulk(APP, BulkStart(start, EVERYONE))
    house.clock[0] += 10_000
    return await house.group("g")


async def test_a_token_that_is_said_again_stays_with_the_card_that_has_it(house: House) -> None:
    second = await reopened(house)
    assert await house.token(1, "g", "aa" * 16) == "repeated"
    card = await house.card("g", 1)
    assert (card.number >= second.first_card, card.token) == (True, None)
    assert await house.token(1, "g", "bb" * 16) == "accepted"
    assert (await house.card("g", 1)).token == "bb" * 16


async def test_a_token_that_rotated_before_the_next_run_is_the_ended_cards_though_its_end_was_taken(
    house: House,
) -> None:
    await reopened(house)
    house.delivery.delivered = True  # to the old token, which APNs takes for weeks
    assert await house.token(1, "g", "cc" * 16, time=house.clock[0] - 15_000) == "accepted"
    assert (await house.card("g", 1)).token is None
    assert house.delivery.cards[-1] == (1, (await house.group("g")).end_revision, 0)


async def test_a_token_is_of_the_card_that_awaits_one_where_the_newer_card_listens_on_a_channel(house: House) -> None:
    second = await reopened(house)  # nothing was heard of device 2 in the first run
    newer = await house.card("g", 2)
    await house.store.write(lambda tx: tx.activities.listen(newer.activity_id, [newer.number], live=True))
    assert await house.token(2, "g", "cc" * 16) == "accepted"  # an app that starts anew says it with the time it has
    assert house.delivery.cards[-1] == (2, second.end_revision, 0)
    assert (await house.card("g", 2)).token is None


async def test_a_close_before_the_end_was_taken_leaves_the_end_its_token(house: House) -> None:
    second = await reopened(house)
    await house.token(1, "g", "bb" * 16)
    assert await house.close(1, "g") == "accepted"
    older = await house.store.read(lambda tx: tx.activities.holding(second.activity_id, DeviceId(1), "aa" * 16))
    assert older is not None
    assert older.status is CardStatus.LIVE
    assert (await house.card("g", 1)).status is CardStatus.LIVE
    await house.close(1, "g", time=house.clock[0] + 1)
    assert (await house.card("g", 1)).status is CardStatus.DISMISSED


async def test_a_close_after_the_end_was_taken_is_its_echo(house: House) -> None:
    second = await reopened(house)
    await house.token(1, "g", "bb" * 16)
    house.delivery.delivered = True
    await house.close(1, "g")
    assert await house.store.read(lambda tx: tx.activities.holding(second.activity_id, DeviceId(1), "aa" * 16)) is None
    assert (await house.card("g", 1)).status is CardStatus.LIVE


async def test_a_close_that_comes_after_the_next_start_is_of_the_card_before(house: House) -> None:
    await reopened(house)
    await house.close(2, "g", time=house.clock[0] - 15_000)
    assert (await house.card("g", 2)).status is CardStatus.STARTING
    await house.close(2, "g")
    assert (await house.card("g", 2)).status is CardStatus.DISMISSED


async def test_a_close_that_is_said_twice_closes_one_card(house: House) -> None:
    await reopened(house)
    await house.token(1, "g", "bb" * 16)
    assert await house.close(1, "g") == "accepted"
    assert await house.close(1, "g") == "repeated"
    assert (await house.card("g", 1)).status is CardStatus.LIVE


async def test_closes_of_two_cards_that_come_in_the_wrong_order_close_each_at_its_own_time(house: House) -> None:
    await reopened(house)
    swiped, ended = house.clock[0], house.clock[0] - 15_000
    await house.token(1, "g", "bb" * 16, time=house.clock[0] - 5_000)
    assert await house.close(1, "g", time=swiped) == "accepted"
    assert await house.close(1, "g", time=ended) == "accepted"
    card = await house.card("g", 1)
    assert (card.status, card.closed_at) == (CardStatus.DISMISSED, swiped)
    assert [await house.close(1, "g", time=one) for one in (swiped, ended)] == ["repeated", "repeated"]


async def test_a_close_by_a_clock_that_is_behind_is_not_older_than_the_card_it_closes(house: House) -> None:
    await house.activities.start_bulk(APP, BulkStart(replace(GUIDE, group_id=GroupId("g")), EVERYONE))
    await house.close(1, "g", time=house.clock[0] - 15_000)
    card = await house.card("g", 1)
    assert (card.status, card.closed_at) == (CardStatus.DISMISSED, card.created_at)
