"""Activities whose cards do not all say the same, on phones that each show their own."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from virtual_world import VirtualService, virtual_service

from skerry.domain.activity import End, Update
from skerry.domain.audience import Audience
from skerry.domain.desired import Desired, Policies, Routing
from skerry.domain.errors import PersonalOnChannelError
from skerry.domain.ids import GroupId
from skerry.domain.user import UserRegistration
from skerry.simulator.phone.card import CardStatus

GATE = GroupId("gate")
EVERYONE = Audience(everyone=True)
WISH = Desired(
    group_id=GATE,
    state=b'{"text":"Hello @{first_name|there}","points":"@{points:number|0}","n":0.50}',
    attributes_type="Boarding",
    attributes=b'{"seat":"@{seat|none}"}',
    alert=b'{"title":{"default":"Boarding","tr":"Bini\xc5\x9f"},"body":"@{first_name|You}: @@{gate}"}',
    audience=EVERYONE,
)


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[VirtualService]:
    async with virtual_service(tmp_path) as found:
        yield found


async def knows(service: VirtualService, user: str, **profile: Any) -> None:
    await service.registry.register_users(service.app_id, [UserRegistration(user, platform="IOS", profile=profile)])


async def put(service: VirtualService, desired: Desired) -> None:
    await service.desired.put(service.app_id, desired)
    await service.quiet()
    await service.pass_time(2.0)


def shown(service: VirtualService, number: int) -> dict[str, Any]:
    """The state of the one card that a phone has."""
    (card,) = service.world.phones[f"phone-{number}"].cards
    found: dict[str, Any] = json.loads(card.content_state)
    return found


def texts(service: VirtualService) -> list[str | None]:
    return [
        shown(service, number)["text"] if service.world.phones[f"phone-{number}"].cards else None
        for number in range(1, len(service.world.phones) + 1)
    ]


def alert(service: VirtualService, number: int) -> Any:
    (card,) = service.world.phones[f"phone-{number}"].cards
    return card.alert


async def reasons(service: VirtualService) -> list[str]:
    return await service.store.read(
        lambda tx: [row[0] for row in tx.connection.execute("SELECT reason FROM rejections ORDER BY number")]
    )


class TestStarts:
    async def test_each_phone_shows_what_its_person_is_called(self, service: VirtualService) -> None:
        await knows(service, "user-1", first_name='Ada "the first"', points=7, seat="12A")
        await knows(service, "user-2", first_name="Bülent\n", points=0.5)
        service.world.add_phones(1)
        service.world.add_phones(1, language="tr-TR")
        service.world.add_phones(1, os_version="17.5", user=None)
        await service.quiet()
        await put(service, WISH)
        assert shown(service, 1) == {"text": 'Hello Ada "the first"', "points": 7, "n": 0.5}
        assert shown(service, 2) == {"text": "Hello Bülent\n", "points": 0.5, "n": 0.5}
        assert shown(service, 3) == {"text": "Hello there", "points": 0, "n": 0.5}
        seats = [json.loads(phone.cards[0].attributes)["seat"] for phone in service.world.phones.values()]
        assert seats == ["12A", "none", "none"]
        assert alert(service, 1) == {"title": "Boarding", "body": 'Ada "the first": @{gate}'}
        assert alert(service, 2) == {"title": "Biniş", "body": "Bülent\n: @{gate}"}
        assert alert(service, 3) == {"title": "Boarding", "body": "You: @{gate}"}

    async def test_who_lacks_a_value_is_left_out_and_told_of(self, service: VirtualService) -> None:
        await knows(service, "user-1", first_name="Ada")
        service.world.add_phones(2)
        await service.quiet()
        wish = replace(WISH, state=b'{"text":"@{first_name}"}')
        await put(service, wish)
        assert texts(service) == ["Ada", None]
        assert await reasons(service) == ["MissingValue: first_name"]
        await knows(service, "user-2", first_name="Bob")
        await put(service, replace(wish, audience=Audience(ext_ids=("user-1", "user-2"))))
        assert texts(service) == ["Ada", "Bob"], "there is a value now, and the card is still wanted"

    async def test_a_body_that_values_make_too_large_is_refused_for_that_card_alone(
        self, service: VirtualService
    ) -> None:
        await knows(service, "user-2", first_name="A" * 4_000)
        service.world.add_phones(3)
        await service.quiet()
        await put(service, WISH)
        assert texts(service) == ["Hello there", None, "Hello there"]
        assert await reasons(service) == ["PayloadTooLarge"]

    async def test_who_comes_later_is_called_by_name_too(self, service: VirtualService) -> None:
        await knows(service, "user-1", first_name="Ada")
        await put(service, WISH)
        service.world.add_phones(1)
        await service.pass_time(2.0)
        assert texts(service) == ["Hello Ada"]


class TestUpdates:
    async def test_values_are_read_when_a_push_is_written(self, service: VirtualService) -> None:
        await knows(service, "user-1", first_name="Ada")
        service.world.add_phones(1)
        await service.quiet()
        await put(service, WISH)
        await knows(service, "user-1", first_name="Countess")
        await service.pass_time(60.0)
        assert texts(service) == ["Hello Ada"], "a profile that changes pushes nothing"
        await put(service, replace(WISH, state=b'{"text":"Bye @{first_name|there}"}'))
        assert texts(service) == ["Bye Countess"]

    async def test_the_same_wish_is_nothing_new_whatever_profiles_say(self, service: VirtualService) -> None:
        service.world.add_phones(1)
        await service.quiet()
        await put(service, WISH)
        await knows(service, "user-1", first_name="Ada")
        outcome = await service.desired.put(service.app_id, WISH)
        assert not outcome.revisions

    async def test_a_card_that_cannot_be_filled_keeps_what_it_shows(self, service: VirtualService) -> None:
        await knows(service, "user-1", gate="B12")
        service.world.add_phones(2)
        await service.quiet()
        await put(service, WISH)
        await put(service, replace(WISH, state=b'{"text":"Gate @{gate}"}'))
        assert texts(service) == ["Gate B12", "Hello there"]
        assert await reasons(service) == ["MissingValue: gate"]

    async def test_an_erased_persons_values_are_gone_with_them(self, service: VirtualService) -> None:
        await knows(service, "user-1", first_name="Ada")
        service.world.add_phones(1)
        await service.quiet()
        await put(service, WISH)
        await service.registry.delete_users(service.app_id, ["user-1"])
        await put(service, replace(WISH, state=b'{"text":"Bye @{first_name|there}"}'))
        assert texts(service) == ["Bye there"]

    async def test_texts_by_language_alone_need_no_body_for_each_phone(self, service: VirtualService) -> None:
        service.world.add_phones(3, language="tr")
        service.world.add_phones(2, language="en-GB")
        await service.quiet()
        title = b'{"title":{"default":"Goal","tr":"Gol"},"body":"1 - 0"}'
        await put(service, replace(WISH, state=b'{"text":"x"}', attributes=b"{}", alert=title))
        assert [alert(service, number)["title"] for number in range(1, 6)] == ["Gol"] * 3 + ["Goal"] * 2

    async def test_after_a_crash_every_card_still_gets_its_own(self, service: VirtualService) -> None:
        for number in range(1, 6):
            await knows(service, f"user-{number}", first_name=f"name {number}")
        service.world.add_phones(5)
        await service.quiet()
        await put(service, WISH)
        await service.desired.put(service.app_id, replace(WISH, state=b'{"text":"Bye @{first_name}"}'))
        await service.crash()
        service.start()
        await service.pass_time(400.0)
        assert texts(service) == [f"Bye name {number}" for number in range(1, 6)]


class TestEnds:
    async def test_an_end_goes_out_without_what_cannot_be_filled(self, service: VirtualService) -> None:
        await knows(service, "user-1", first_name="Ada", thanks="for flying")
        service.world.add_phones(2)
        await service.quiet()
        await put(service, WISH)
        await service.desired.end(service.app_id, GATE, End(state=b'{"text":"Thanks @{thanks}"}'))
        await service.pass_time(2.0)
        assert texts(service) == ["Thanks for flying", "Hello there"]
        assert {phone.cards[0].status for phone in service.world.phones.values()} == {CardStatus.ENDED}

    async def test_an_end_without_a_state_says_the_last_one_to_each(self, service: VirtualService) -> None:
        await knows(service, "user-1", first_name="Ada")
        service.world.add_phones(2)
        await service.quiet()
        await put(service, WISH)
        await service.activities.end(service.app_id, GATE, End())
        await service.pass_time(2.0)
        assert texts(service) == ["Hello Ada", "Hello there"]


async def test_renewed_cards_carry_their_own_texts(service: VirtualService) -> None:
    await knows(service, "user-1", first_name="Ada")
    service.world.add_phones(2)
    await service.quiet()
    await put(service, replace(WISH, policies=Policies(renew=True)))
    for _ in range(9 * 12):
        await service.pass_time(300.0)
    for number, text in ((1, "Hello Ada"), (2, "Hello there")):
        cards = service.world.phones[f"phone-{number}"].cards
        assert len(cards) == 2, "it has been renewed"
        live = [json.loads(card.content_state)["text"] for card in cards if card.status in ("live", "stale")]
        assert live == [text]


class TestChannels:
    PLAIN = replace(WISH, state=b'{"text":"Hello"}', alert=None)

    async def test_what_differs_goes_by_token_where_the_server_chooses(self, service: VirtualService) -> None:
        service.world.add_phones(2)
        await service.quiet()
        await put(service, WISH)
        await put(service, self.PLAIN)
        service.world.add_phones(1)
        await service.pass_time(2.0)
        assert service.apple.counts["channel"] == 0, "once it has differed it stays with tokens"
        assert texts(service) == ["Hello"] * 3

    async def test_attributes_may_differ_on_a_channel(self, service: VirtualService) -> None:
        await knows(service, "user-1", seat="12A")
        service.world.add_phones(2)
        await service.quiet()
        await put(service, self.PLAIN)
        await put(service, replace(self.PLAIN, state=b'{"text":"Gate open"}'))
        assert service.apple.counts["broadcast"] == 1
        assert texts(service) == ["Gate open"] * 2
        seats = [json.loads(phone.cards[0].attributes)["seat"] for phone in service.world.phones.values()]
        assert seats == ["12A", "none"]

    async def test_an_escape_is_the_same_for_all_and_is_broadcast(self, service: VirtualService) -> None:
        service.world.add_phones(2)
        await service.quiet()
        await put(service, self.PLAIN)
        await put(service, replace(self.PLAIN, state=b'{"text":"write @@{name}"}'))
        assert service.apple.counts["broadcast"] == 1
        assert texts(service) == ["write @{name}"] * 2

    async def test_a_channel_that_was_asked_for_and_a_text_that_differs_are_refused(
        self, service: VirtualService
    ) -> None:
        with pytest.raises(PersonalOnChannelError):
            await service.desired.put(service.app_id, replace(WISH, policies=Policies(routing=Routing.CHANNEL)))

    @pytest.mark.parametrize(
        "later",
        [
            {"state": b'{"text":"Hello @{first_name|there}"}'},
            {"state": b'{"text":"x"}', "alert": b'{"title":{"default":"Goal","tr":"Gol"},"body":"1 - 0"}'},
        ],
    )
    async def test_once_phones_listen_nothing_may_differ_until_the_end(
        self, service: VirtualService, later: dict[str, Any]
    ) -> None:
        service.world.add_phones(2)
        await service.quiet()
        await put(service, self.PLAIN)
        with pytest.raises(PersonalOnChannelError):
            await service.desired.put(service.app_id, replace(self.PLAIN, **later))
        with pytest.raises(PersonalOnChannelError):
            await service.activities.update(service.app_id, GATE, Update(**{"state": b"{}", **later}))
        await service.quiet()
        assert texts(service) == ["Hello"] * 2
        # An end is never held up: listeners get it without its text.
        await service.desired.end(service.app_id, GATE, End(state=b'{"text":"Bye @{first_name|you}"}'))
        await service.pass_time(2.0)
        assert {phone.cards[0].status for phone in service.world.phones.values()} == {CardStatus.ENDED}
        await put(service, WISH)
        assert [phone.cards[-1].status for phone in service.world.phones.values()] == [CardStatus.LIVE] * 2
        assert json.loads(service.world.phones["phone-1"].cards[-1].content_state)["text"] == "Hello there"

    async def test_where_nobody_listens_yet_it_moves_to_tokens(self, service: VirtualService) -> None:
        await put(service, self.PLAIN)
        assert await service.activities.update(service.app_id, GATE, Update(state=b'{"text":"@{first_name|you}"}'))
        service.world.add_phones(1)
        await service.pass_time(2.0)
        assert texts(service) == ["you"]
        assert service.apple.counts["channel"] == 0
