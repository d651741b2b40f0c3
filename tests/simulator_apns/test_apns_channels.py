"""Broadcast channels at the simulated APNs: every answer of apple.md 5.2 to 5.4, on the listener that gives it."""

import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.simulator_apns.conftest import BUNDLE, Answered, Apns, Sender

from skerry.domain.push import Environment
from skerry.simulator.apns import Limits, Listener

CHANNELS = f"/1/apps/{BUNDLE}/channels"
ALL = f"/1/apps/{BUNDLE}/all-channels"
BROADCASTS = f"/4/broadcasts/apps/{BUNDLE}"
REQUEST_ID = "0b9f4c6a-6f6e-4f57-9d6f-1f7d7f0c1a2b"
UPDATE = b'{"aps":{"timestamp":1790000060,"event":"update","content-state":{"n":1}}}'
NEVER = base64.b64encode(b"no such channel!").decode()


def wanted(**changes: Any) -> bytes:
    """The body that asks for a channel; `...` removes a key."""
    keys = {"message-storage-policy": 1, "push-type": "LiveActivity"}
    keys |= {name.replace("_", "-"): value for name, value in changes.items()}
    return json.dumps({name: value for name, value in keys.items() if value is not ...}).encode()


class Desk:
    """A sender at each of the two services, and the requests that they make."""

    def __init__(self, management: Sender, push: Sender) -> None:
        self.management = management
        self.push = push

    @classmethod
    async def at(cls, apns: Apns, environment: Environment = Environment.SANDBOX, **options: Any) -> "Desk":
        management = await apns.sender(environment, listener=Listener.MANAGEMENT, **options)
        return cls(management, await apns.sender(environment, **options))

    async def create(self, policy: int = 1) -> str:
        answer = await self.management.ask("POST", CHANNELS, wanted(message_storage_policy=policy))
        assert answer.status == 201, answer
        return answer.headers["apns-channel-id"]

    async def delete(self, channel: str | None) -> Answered:
        return await self.management.ask("DELETE", CHANNELS, apns_channel_id=channel)

    async def broadcast(self, channel: str | None, body: bytes = UPDATE, **changes: str | None) -> Answered:
        headers: dict[str, str | None] = {
            "apns_channel_id": channel,
            "apns_push_type": "liveactivity",
            "apns_priority": "10",
            "apns_expiration": "0",
        }
        return await self.push.ask("POST", BROADCASTS, body, **{**headers, **changes})


@pytest.fixture
async def desk(apns: Apns) -> Desk:
    return await Desk.at(apns)


# Channel management


async def test_a_channel_is_created_read_listed_and_deleted_by_headers_alone(desk: Desk) -> None:
    created = await desk.management.ask("POST", CHANNELS, wanted(), apns_request_id=REQUEST_ID)
    assert (created.status, created.body) == (201, b"")
    assert created.headers["apns-request-id"] == REQUEST_ID
    assert "apns-id" not in created.headers
    channel = created.headers["apns-channel-id"]
    assert len(channel) == 24
    assert len(base64.b64decode(channel, validate=True)) == 16

    read = await desk.management.ask("GET", CHANNELS, apns_channel_id=channel)
    assert (read.status, json.loads(read.body)) == (200, {"message-storage-policy": 1, "push-type": "LiveActivity"})
    assert read.headers["content-type"] == "application/json"

    other = await desk.create(policy=0)
    listed = await desk.management.ask("GET", ALL)
    assert (listed.status, json.loads(listed.body)) == (200, {"channels": [channel, other]})

    deleted = await desk.delete(channel)
    assert (deleted.status, deleted.body) == (204, b"")
    assert json.loads((await desk.management.ask("GET", ALL)).body) == {"channels": [other]}


async def test_an_app_without_channels_has_an_empty_list(desk: Desk) -> None:
    assert json.loads((await desk.management.ask("GET", ALL)).body) == {"channels": []}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "PayloadEmpty"),
        (b"{", "BadRequestPayload"),
        (b"[]", "BadRequestPayload"),
        (wanted(name="final"), "BadRequestParams"),
        (wanted(message_storage_policy=...), "MissingChannelQueueSize"),
        (wanted(message_storage_policy=2), "MissingChannelQueueSize"),
        (wanted(message_storage_policy="1"), "MissingChannelQueueSize"),
        (wanted(message_storage_policy=True), "MissingChannelQueueSize"),
        (wanted(push_type=...), "MissingPushType"),
        (wanted(push_type="alert"), "InvalidPushType"),
    ],
)
async def test_a_channel_that_cannot_be_is_refused(desk: Desk, body: bytes, reason: str) -> None:
    answer = await desk.management.ask("POST", CHANNELS, body)
    assert (answer.status, answer.reason) == (400, reason)
    assert "apns-request-id" in answer.headers
    assert json.loads((await desk.management.ask("GET", ALL)).body) == {"channels": []}


async def test_the_cap_holds_per_app_and_environment(start: Callable[..., Awaitable[Apns]]) -> None:
    apns = await start(limits=Limits(channels_per_app=2))
    desk = await Desk.at(apns)
    first = await desk.create()
    await desk.create()
    full = await desk.management.ask("POST", CHANNELS, wanted())
    assert (full.status, full.reason) == (400, "CannotCreateChannelConfig")
    other_app = await desk.management.ask("POST", "/1/apps/com.example.other/channels", wanted())
    assert other_app.status == 201
    production = await Desk.at(apns, Environment.PRODUCTION)
    await production.create()
    await desk.delete(first)
    await desk.create()


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize(
    ("channel", "reason"), [(None, "MissingChannelId"), ("", "MissingChannelId"), ("%%%", "BadChannelId")]
)
async def test_a_channel_id_must_be_there_and_well_formed(
    desk: Desk, method: str, channel: str | None, reason: str
) -> None:
    answer = await desk.management.ask(method, CHANNELS, apns_channel_id=channel)
    assert (answer.status, answer.reason) == (400, reason)


async def test_what_does_not_exist_has_three_names_on_the_wire(desk: Desk) -> None:
    """404 for a deletion, and for a broadcast one reason for channels that were and one for those that never were."""
    gone = await desk.create()
    await desk.delete(gone)
    for channel in (gone, NEVER):
        deleted = await desk.delete(channel)
        assert (deleted.status, deleted.reason) == (404, "BadPath")
    assert (await desk.broadcast(gone)).reason == "ChannelNotRegistered"
    assert (await desk.broadcast(NEVER)).reason == "BadChannelId"


async def test_the_documentation_has_one_name_for_it(desk: Desk, apns: Apns) -> None:
    apns.chaos.update_from({"documented_spellings": True})
    gone = await desk.create()
    await desk.delete(gone)
    for channel in (gone, NEVER):
        assert (await desk.delete(channel)).reason == "ChannelNotRegistered"
        assert (await desk.broadcast(channel)).reason == "ChannelNotRegistered"
    assert (await desk.broadcast("%%%")).reason == "BadChannelId"


@pytest.mark.parametrize(("documented", "reason"), [(False, "BroadcastFeatureNotEnabled"), (True, "FeatureNotEnabled")])
async def test_switching_the_capability_off_deletes_everything(
    desk: Desk, apns: Apns, documented: bool, reason: str
) -> None:
    apns.chaos.update_from({"documented_spellings": documented})
    channel = await desk.create()
    apns.server.channels.switch(BUNDLE, enabled=False)
    for answer in (await desk.management.ask("GET", ALL), await desk.broadcast(channel)):
        assert (answer.status, answer.reason) == (400, reason)
    apns.server.channels.switch(BUNDLE, enabled=True)
    assert json.loads((await desk.management.ask("GET", ALL)).body) == {"channels": []}


# Addresses and authentication, of both services


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("PUT", CHANNELS, 405, "MethodNotAllowed"),
        ("POST", ALL, 405, "MethodNotAllowed"),
        ("GET", f"{CHANNELS}/{NEVER}", 404, "BadPath"),
        ("GET", "/1/apps//channels", 404, "BadPath"),
        ("GET", "/1/apps/a/b/channels", 404, "BadPath"),
        ("POST", BROADCASTS, 404, "BadPath"),
        ("POST", "/3/device/abcd", 404, "BadPath"),
        ("GET", f"{CHANNELS.replace('apps', 'app')}", 404, "BadPath"),
        ("GET", f"/1/apps/{BUNDLE}.push-type.liveactivity/all-channels", 400, "TopicDisallowed"),
    ],
)
async def test_management_knows_its_own_paths_only(
    desk: Desk, method: str, path: str, status: int, reason: str
) -> None:
    answer = await desk.management.ask(method, path, b"{}")
    assert (answer.status, answer.reason) == (status, reason)


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("GET", BROADCASTS, 405, "MethodNotAllowed"),
        ("POST", "/4/broadcasts/apps/", 404, "BadPath"),
        ("POST", f"{BROADCASTS}/{NEVER}", 404, "BadPath"),
        ("POST", CHANNELS, 404, "BadPath"),
        ("POST", f"{BROADCASTS}.push-type.liveactivity", 400, "TopicDisallowed"),
    ],
)
async def test_the_device_listener_takes_broadcasts_and_no_management(
    desk: Desk, method: str, path: str, status: int, reason: str
) -> None:
    answer = await desk.push.ask(method, path, UPDATE)
    assert (answer.status, answer.reason) == (status, reason)


@pytest.mark.parametrize("service", ["management", "push"])
async def test_authentication_comes_before_the_channel_and_the_topic_after_it(apns: Apns, service: str) -> None:
    desk = await Desk.at(apns, token=apns.token(claims={"iss": "SKERRYTEAM", "iat": 1_789_900_000}))
    sender: Sender = getattr(desk, service)
    method, path = ("GET", CHANNELS) if service == "management" else ("POST", BROADCASTS)
    expired = await sender.ask(method, path)
    assert (expired.status, expired.reason) == (403, "ExpiredProviderToken")
    missing = await sender.ask(method, path, authorization=None)
    assert (missing.status, missing.reason) == (403, "MissingProviderToken")


async def test_a_key_of_another_app_is_a_topic_mismatch(apns: Apns) -> None:
    pem = apns.keys.generate_dev("SKERRYTEAM", "OTHERAPP12", bundle_ids=frozenset({"com.example.other"}))
    apns.pem = pem
    desk = await Desk.at(apns, token=apns.token(header={"alg": "ES256", "kid": "OTHERAPP12"}))
    for answer in (await desk.management.ask("GET", ALL), await desk.broadcast(NEVER)):
        assert (answer.status, answer.reason) == (403, "TopicMismatch")


@pytest.mark.parametrize("documented", [False, True])
async def test_a_key_of_the_other_environment_is_refused_here_too(apns: Apns, documented: bool) -> None:
    apns.chaos.update_from({"documented_spellings": documented})
    apns.keys.register_pem("SKERRYTEAM", "PRODONLY12", apns.pem, environments=frozenset({Environment.PRODUCTION}))
    desk = await Desk.at(apns, token=apns.token(header={"alg": "ES256", "kid": "PRODONLY12"}))
    answer = await desk.management.ask("GET", ALL)
    assert answer.reason == ("BadEnvironmentKeyIdInToken" if documented else "BadEnvironmentKeyInToken")


async def test_a_bad_request_id_and_a_repeated_header_are_refused(desk: Desk) -> None:
    bad = await desk.management.ask("GET", ALL, apns_request_id="not-a-uuid")
    assert (bad.status, bad.reason) == (400, "BadMessageId")
    headers = [*desk.push.headers(path=BROADCASTS), ("apns-priority", "5")]
    stream, frames = desk.push.frames_of(headers)
    desk.push.send(*frames)
    assert (await desk.push.answer(stream)).reason == "DuplicateHeaders"


# Broadcasts


async def test_a_broadcast_is_handed_to_the_phones_and_named_twice(desk: Desk, apns: Apns) -> None:
    channel = await desk.create()
    answer = await desk.broadcast(channel, apns_request_id=REQUEST_ID, apns_priority="5", apns_expiration="1790000900")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["apns-request-id"] == REQUEST_ID
    assert "apns-unique-id" in answer.headers
    assert "apns-id" not in answer.headers
    (sent,) = apns.phones.broadcasts
    assert (sent.environment, sent.bundle_id, sent.channel_id) == (Environment.SANDBOX, BUNDLE, channel)
    assert (sent.stored, sent.priority, sent.expiration, sent.body) == (True, 5, 1_790_000_900, UPDATE)


@pytest.mark.parametrize("push_type", ["liveactivity", "Liveactivity", "LiveActivity"])
async def test_the_push_type_is_taken_in_all_of_apples_spellings(desk: Desk, push_type: str) -> None:
    assert (await desk.broadcast(await desk.create(), apns_push_type=push_type)).status == 200


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({"apns_channel_id": None}, 400, "MissingChannelId"),
        ({"apns_channel_id": "%%%"}, 400, "BadChannelId"),
        ({"apns_push_type": None}, 400, "MissingPushType"),
        ({"apns_push_type": "alert"}, 400, "InvalidPushType"),
        ({"apns_priority": None}, 400, "BadPriority"),
        ({"apns_priority": "7"}, 400, "BadPriority"),
        ({"apns_expiration": None}, 400, "BadExpirationDate"),
        ({"apns_expiration": "soon"}, 400, "BadExpirationDate"),
    ],
)
async def test_a_broadcast_that_lacks_something_is_refused(
    desk: Desk, apns: Apns, changes: dict[str, str | None], status: int, reason: str
) -> None:
    answer = await desk.broadcast(await desk.create(), **changes)
    assert (answer.status, answer.reason) == (status, reason)
    assert "apns-request-id" in answer.headers
    assert apns.phones.broadcasts == []


@pytest.mark.parametrize("priority", ["10", "5", "1"])
async def test_all_three_priorities_are_good_and_a_topic_is_not_looked_at(desk: Desk, priority: str) -> None:
    assert (await desk.broadcast(await desk.create(), apns_priority=priority, apns_topic="any")).status == 200


async def test_a_channel_that_stores_nothing_takes_expiration_0_only(desk: Desk, apns: Apns) -> None:
    channel = await desk.create(policy=0)
    assert (await desk.broadcast(channel, apns_expiration="1790000900")).reason == "BadExpirationDate"
    assert (await desk.broadcast(channel)).status == 200
    assert apns.phones.broadcasts[0].stored is False


async def test_a_broadcast_has_1_to_5120_bytes(desk: Desk) -> None:
    channel = await desk.create()
    assert (await desk.broadcast(channel, b"x" * 5120)).status == 200
    too_large = await desk.broadcast(channel, b"x" * 5121)
    assert (too_large.status, too_large.reason) == (413, "PayloadTooLarge")
    assert (await desk.broadcast(channel, b"")).reason == "PayloadEmpty"


async def test_channels_do_not_cross_environments(desk: Desk, apns: Apns) -> None:
    channel = await desk.create()
    production = await Desk.at(apns, Environment.PRODUCTION)
    assert (await production.broadcast(channel)).reason == "BadChannelId"


# What goes wrong, and the book


async def test_a_create_whose_answer_is_lost_has_made_a_channel(desk: Desk, apns: Apns) -> None:
    await desk.create()
    apns.chaos.update_from({"drop_answer": 1.0})
    stream = desk.management.begin("POST", CHANNELS, wanted())
    await desk.management.ended()
    assert stream not in desk.management.answers
    assert apns.server.channels.count(Environment.SANDBOX, BUNDLE) == 2
    lost = apns.ledger.entries(operation="create_channel")[-1]
    assert (lost.ending.value, lost.delivered, lost.status) == ("no answer", True, None)


async def test_scripted_refusals_and_outages_reach_channels_too(desk: Desk, apns: Apns) -> None:
    apns.chaos.update_from({"reject": {"reason": "TooManyRequests", "times": 1}})
    refused = await desk.management.ask("POST", CHANNELS, wanted())
    assert (refused.status, refused.reason) == (429, "TooManyRequests")
    assert "apns-request-id" in refused.headers
    assert apns.server.channels.count(Environment.SANDBOX, BUNDLE) == 0
    apns.chaos.update_from({"unavailable_s": 10})
    down = await desk.broadcast(NEVER)
    assert (down.status, down.reason) == (503, "ServiceUnavailable")
    assert "apns-request-id" in down.headers


async def test_the_ledger_tells_operations_apart_and_names_channel_and_app(desk: Desk, apns: Apns) -> None:
    channel = await desk.create()
    await desk.broadcast(channel, apns_request_id=REQUEST_ID)
    await desk.push.push()
    await desk.management.ask("GET", CHANNELS, apns_channel_id=channel)
    await desk.management.ask("GET", ALL)
    await desk.delete(channel)
    await desk.management.ask("PUT", CHANNELS)
    assert [entry.operation for entry in apns.ledger.entries()] == [
        "create_channel",
        "broadcast",
        "push",
        "read_channel",
        "list_channels",
        "delete_channel",
        None,
    ]
    created, broadcast, push, *_ = apns.ledger.entries()
    assert (created.channel_id, created.bundle_id, created.delivered) == (channel, BUNDLE, True)
    assert (broadcast.channel_id, broadcast.event, broadcast.apns_id) == (channel, "update", REQUEST_ID)
    assert (push.channel_id, push.bundle_id) == (None, None)
    assert apns.ledger.counts()["operations"]["broadcast"] == 1
    assert [one["operation"] for one in apns.ledger.to_json(operation="broadcast")["entries"]] == ["broadcast"]
