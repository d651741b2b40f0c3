"""Channel management and broadcasts over real connections: four results, each of them a value."""

import asyncio

import pytest
from simulated_apple import BUNDLE, Apple, batch

from skerry.apns import ApnsClient, Channels, PoolSettings
from skerry.domain.channel import Broadcast, Channel, Refusal, StoragePolicy, refusal_of
from skerry.domain.ids import ChannelId
from skerry.domain.push import (
    Accepted,
    Credential,
    Endpoint,
    Environment,
    NotProcessed,
    Outcome,
    Rejected,
    Route,
    Unknown,
)
from skerry.simulator.apns import Channels as ApplesChannels

STORED, NOT_STORED = StoragePolicy.MOST_RECENT_MESSAGE_STORED, StoragePolicy.NO_MESSAGE_STORED
UPDATE = b'{"aps":{"timestamp":1790000060,"event":"update","content-state":{"n":1}}}'
NEVER = ChannelId("bm8gc3VjaCBjaGFubmVsIQ==")


@pytest.fixture
def channels(apple: Apple) -> Channels:
    return Channels(apple.client)


@pytest.fixture
def at_apple(apple: Apple) -> ApplesChannels:
    return apple.server.channels


async def made(apple: Apple, channels: Channels, storage: StoragePolicy = STORED) -> Channel:
    created = await channels.create(apple.management, BUNDLE, storage)
    assert isinstance(created, Accepted)
    return created.value


async def test_a_channel_s_life(apple: Apple, channels: Channels) -> None:
    stored, unstored = await made(apple, channels), await made(apple, channels, NOT_STORED)
    assert await channels.read(apple.management, BUNDLE, stored.channel_id) == Accepted(stored)
    assert await channels.read(apple.management, BUNDLE, unstored.channel_id) == Accepted(unstored)
    both = (stored.channel_id, unstored.channel_id)
    assert await channels.list(apple.management, BUNDLE) == Accepted(both)
    assert await channels.delete(apple.management, BUNDLE, stored.channel_id) == Accepted(None)
    assert await channels.list(apple.management, BUNDLE) == Accepted((unstored.channel_id,))


async def test_a_broadcast_is_one_request_beside_the_pushes_of_its_host(apple: Apple, channels: Channels) -> None:
    channel = await made(apple, channels)
    assert (await apple.client.send(apple.route, batch(50))).counts()[Outcome.ACCEPTED] == 50
    published = await channels.publish(apple.route, Broadcast(BUNDLE, channel, UPDATE, 1_890_000_000, priority=5))
    assert isinstance(published, Accepted)
    (sent,) = apple.phones.broadcasts
    assert (sent.channel_id, sent.body, sent.priority, sent.expiration) == (
        channel.channel_id,
        UPDATE,
        5,
        1_890_000_000,
    )
    assert published.value.request_id == sent.request_id
    assert published.value.unique_id
    assert (await apple.client.send(apple.route, batch(50))).counts()[Outcome.ACCEPTED] == 50
    entry = apple.ledger.entries(operation="broadcast")[0]
    assert (entry.topic, entry.push_type) == (None, "liveactivity")
    assert {one.connection for one in apple.ledger.entries(operation="push")} == {entry.connection}


async def test_management_and_delivery_share_the_provider_token_and_no_connection(
    apple: Apple, channels: Channels
) -> None:
    await apple.client.send(apple.route, batch(1))
    await made(apple, channels)
    (push,), (create,) = apple.ledger.entries(operation="push"), apple.ledger.entries(operation="create_channel")
    assert push.connection != create.connection
    first, second = apple.client.stats().routes
    assert first.token_age == pytest.approx(second.token_age, abs=0.1)


async def test_ten_thousand_channels_are_listed_and_an_eleventh_thousand_is_refused(
    apple: Apple, channels: Channels, at_apple: ApplesChannels
) -> None:
    """The list has 270 KB: more than a stream's first window, and more than any refusal."""
    for _ in range(10_000):
        at_apple.create(Environment.SANDBOX, BUNDLE, Channel(at_apple.draw_id(), STORED), 0.0)
    listed = await channels.list(apple.management, BUNDLE)
    assert isinstance(listed, Accepted)
    assert list(listed.value) == at_apple.ids(Environment.SANDBOX, BUNDLE)
    full = await channels.create(apple.management, BUNDLE, STORED)
    assert isinstance(full, Rejected)
    assert (full.status, refusal_of(full)) == (400, Refusal.FULL)


# Refusals


async def test_a_channel_that_is_gone_is_said_to_be_gone_whatever_is_asked_of_it(
    apple: Apple, channels: Channels
) -> None:
    gone = await made(apple, channels)
    await channels.delete(apple.management, BUNDLE, gone.channel_id)
    reasons = set()
    for channel in (gone, Channel(NEVER, STORED)):
        for refused in (
            await channels.delete(apple.management, BUNDLE, channel.channel_id),
            await channels.read(apple.management, BUNDLE, channel.channel_id),
            await channels.publish(apple.route, Broadcast(BUNDLE, channel, UPDATE, 0)),
        ):
            assert isinstance(refused, Rejected)
            assert refusal_of(refused) is Refusal.GONE
            reasons.add((refused.status, refused.reason))
    assert reasons == {(404, "BadPath"), (400, "ChannelNotRegistered"), (400, "BadChannelId")}


@pytest.mark.parametrize("documented", [False, True])
async def test_an_app_without_the_capability_is_told_so(
    apple: Apple, channels: Channels, at_apple: ApplesChannels, documented: bool
) -> None:
    apple.chaos.update_from({"documented_spellings": documented})
    at_apple.switch(BUNDLE, enabled=False)
    refused = await channels.create(apple.management, BUNDLE, STORED)
    assert isinstance(refused, Rejected)
    assert refusal_of(refused) is Refusal.NOT_ENABLED


async def test_a_key_that_does_not_cover_the_app_is_a_topic_mismatch(apple: Apple) -> None:
    credential = apple.route.credential
    apple.keys.register_pem(
        credential.team_id, "OTHERAPP12", credential.private_key_pem, bundle_ids=frozenset({"com.example.other"})
    )
    other = Credential(credential.team_id, "OTHERAPP12", credential.private_key_pem)
    refused = await Channels(apple.client).list(Route(other, apple.management.endpoint), BUNDLE)
    assert refused == Rejected(403, "TopicMismatch")


@pytest.mark.parametrize("bundle_id", ["com.example.app/../x", "com.example app", "köln", ""])
async def test_a_bundle_id_that_cannot_be_stays_in_its_place_in_the_path(
    apple: Apple, channels: Channels, bundle_id: str
) -> None:
    refused = await channels.create(apple.management, bundle_id, STORED)
    assert refused == Rejected(404, "BadPath")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"body": b""}, "body"),
        ({"body": b"x" * 5121}, "body"),
        ({"priority": 7}, "priority"),
        ({"expiration": -1}, "expiration"),
        ({"channel": Channel(NEVER, NOT_STORED), "expiration": 1_790_000_900}, "expiration"),
    ],
)
def test_a_broadcast_that_apns_would_refuse_cannot_be_made(changes: dict[str, object], field: str) -> None:
    good = {"bundle_id": BUNDLE, "channel": Channel(NEVER, STORED), "body": UPDATE, "expiration": 0}
    with pytest.raises(ValueError, match=f"^{field}:"):
        Broadcast(**{**good, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("expiration", [0, 1_890_000_000])
async def test_the_largest_broadcast_passes(apple: Apple, channels: Channels, expiration: int) -> None:
    channel = await made(apple, channels)
    published = await channels.publish(apple.route, Broadcast(BUNDLE, channel, b"x" * 5120, expiration, priority=1))
    assert isinstance(published, Accepted)


# Lost answers, and servers that are not there


async def test_a_create_whose_answer_was_lost_is_unknown_and_its_orphan_is_in_the_list(
    apple: Apple, channels: Channels
) -> None:
    known = await made(apple, channels)
    apple.chaos.update_from({"drop_answer": {"share": 1.0, "times": 1}})
    lost = await channels.create(apple.management, BUNDLE, STORED)
    assert isinstance(lost, Unknown)
    assert lost.cause == "connection_lost"
    listed = await channels.list(apple.management, BUNDLE)
    assert isinstance(listed, Accepted)
    (orphan,) = set(listed.value) - {known.channel_id}
    assert await channels.delete(apple.management, BUNDLE, orphan) == Accepted(None)
    assert len(apple.ledger.entries(operation="create_channel")) == 2, "an unknown create is not made again"


async def test_a_create_that_is_never_answered_is_unknown_at_its_deadline(
    apple: Apple, channels: Channels, monkeypatch: pytest.MonkeyPatch
) -> None:
    await made(apple, channels)
    apple.chaos.update_from({"silent": 1.0})
    monkeypatch.setattr("skerry.apns.channels.PATIENCE", 0.4)
    assert await channels.create(apple.management, BUNDLE, STORED) == Unknown("timeout")


async def test_a_refused_stream_is_asked_again_because_nothing_was_done(apple: Apple, channels: Channels) -> None:
    apple.chaos.update_from({"refuse": {"share": 1.0, "times": 2}})
    await made(apple, channels)
    assert apple.server.channels.count(Environment.SANDBOX, BUNDLE) == 1


async def test_a_broadcast_whose_answer_was_lost_is_unknown(apple: Apple, channels: Channels) -> None:
    channel = await made(apple, channels)
    apple.chaos.update_from({"drop_answer": {"share": 1.0, "event": "update"}})
    lost = await channels.publish(apple.route, Broadcast(BUNDLE, channel, UPDATE, 0))
    assert isinstance(lost, Unknown)
    assert len(apple.phones.broadcasts) == 1


async def test_a_host_that_is_not_there_has_processed_nothing(
    apple: Apple, channels: Channels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skerry.apns.channels.PATIENCE", 0.4)
    nowhere = Route(apple.route.credential, Endpoint("127.0.0.1", 1, apple.route.endpoint.ca_file))
    assert await channels.create(nowhere, BUNDLE, STORED) == NotProcessed("deadline")


async def test_a_key_that_cannot_sign_and_a_closed_client_have_processed_nothing(
    apple: Apple, channels: Channels
) -> None:
    unable = Route(Credential("T", "K", b"nonsense"), apple.management.endpoint)
    assert await channels.list(unable, BUNDLE) == NotProcessed("credential")
    await apple.client.close()
    assert await channels.list(apple.management, BUNDLE) == NotProcessed("shutdown")


async def test_trouble_with_management_does_not_touch_delivery(apple: Apple, channels: Channels) -> None:
    """A storm of 503s closes the gate of its own route only."""
    apple.chaos.update_from({"unavailable_s": 3600})
    refused = [await channels.list(apple.management, BUNDLE) for _ in range(20)]
    assert {one.reason for one in refused if isinstance(one, Rejected)} == {"ServiceUnavailable"}
    apple.chaos.update_from({})
    assert (await apple.client.send(apple.route, batch(10))).counts()[Outcome.ACCEPTED] == 10
    management = next(one for one in apple.client.stats().routes if one.endpoint == str(apple.management.endpoint))
    assert management.gate == "server_errors"


async def test_many_requests_at_once_each_get_their_own_answer(apple: Apple) -> None:
    async with ApnsClient(PoolSettings(growth_interval=0.05, back_off=0.05)) as client:
        channels = Channels(client)
        created = await asyncio.gather(*(channels.create(apple.management, BUNDLE, STORED) for _ in range(100)))
        made_here = {one.value.channel_id for one in created if isinstance(one, Accepted)}
        assert made_here == set(apple.server.channels.ids(Environment.SANDBOX, BUNDLE))
        assert len(made_here) == 100
