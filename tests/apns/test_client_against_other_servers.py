"""The client against servers that other people wrote: nginx, nghttpd, Node's http2 and granian, and ours
around Go's net/http2, hyper and Netty."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from peer_servers import COMPILED, HOST, Peer, compiled, granian, nghttpd, nginx, node

from skerry.apns import ApnsClient, Channels, PoolSettings
from skerry.domain.channel import StoragePolicy
from skerry.domain.ids import ChannelId
from skerry.domain.push import Accepted, Credential, Endpoint, Outcome, PushBatch, Rejected, Route, Unknown

TOPIC = "com.example.app.push-type.liveactivity"
BODY = b'{"aps":{"timestamp":1,"event":"update","content-state":{"progress":0.5}}}'
SERVERS = Path(__file__).parent / "servers"
QUICK = PoolSettings(growth_interval=0.01, back_off=0.05, max_connections=2)


@pytest.fixture(scope="module")
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def route_to(peer: Peer, key: ec.EllipticCurvePrivateKey) -> Route:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Route(Credential("TEAM123456", "KEY1234567", pem), Endpoint(HOST, peer.port, str(peer.root)))


def pushes(tokens: list[str], body: bytes = BODY, deadline: float = 20.0) -> PushBatch:
    return PushBatch(TOPIC, body, tokens, deadline=deadline)


def tokens(count: int, prefix: str = "80") -> list[str]:
    return [f"{prefix}{number:0{160 - len(prefix)}x}" for number in range(count)]


class TestNginx:
    async def test_every_push_arrives_once_and_is_accepted(
        self, tmp_path: Path, key: ec.EllipticCurvePrivateKey
    ) -> None:
        async with nginx(tmp_path) as peer, ApnsClient(QUICK) as client:
            outcomes = await client.send(route_to(peer, key), pushes(tokens(5_000)))
            assert outcomes.counts()[Outcome.ACCEPTED] == 5_000
        assert arrived(peer) == Counter(tokens(5_000))

    async def test_goaways_in_the_midst_lose_and_double_nothing(
        self, tmp_path: Path, key: ec.EllipticCurvePrivateKey
    ) -> None:
        async with nginx(tmp_path, keepalive_requests=300, streams=64) as peer, ApnsClient(QUICK) as client:
            outcomes = await client.send(route_to(peer, key), pushes(tokens(3_000)))
            assert outcomes.counts()[Outcome.ACCEPTED] == 3_000
        assert arrived(peer) == Counter(tokens(3_000))

    async def test_a_body_larger_than_what_the_windows_take_at_once_arrives(
        self, tmp_path: Path, key: ec.EllipticCurvePrivateKey
    ) -> None:
        async with nginx(tmp_path, streams=128) as peer, ApnsClient(QUICK) as client:
            outcomes = await client.send(route_to(peer, key), pushes(tokens(1_000), b"{%s}" % (b" " * 4_000)))
            assert outcomes.counts()[Outcome.ACCEPTED] == 1_000

    async def test_a_path_it_does_not_know_is_a_refusal_and_no_exception(
        self, tmp_path: Path, key: ec.EllipticCurvePrivateKey
    ) -> None:
        async with nginx(tmp_path) as peer, ApnsClient(QUICK) as client:
            route = route_to(peer, key)
            outcomes = await client.send(route, pushes(["../../elsewhere", *tokens(1)]))
            assert [Outcome(code) for code in outcomes.codes] == [Outcome.REJECTED, Outcome.ACCEPTED]


def arrived(peer: Peer) -> Counter[str]:
    """The tokens in the access log; each line is checked."""
    found: Counter[str] = Counter()
    for line in (peer.directory / "access.log").read_text().splitlines():
        method, path, status, topic, push_type, priority = line.split()
        assert (method, status, topic, push_type, priority) == ("POST", "200", TOPIC, "liveactivity", "10")
        found[path.removeprefix("/3/device/")] += 1
    return found


class TestNghttpd:
    @pytest.mark.parametrize(
        "options",
        [
            [],
            ["--max-concurrent-streams=100", "--window-bits=14", "--connection-window-bits=16"],
            ["--max-concurrent-streams=3", "--window-bits=4"],
            ["--header-table-size=0"],
            ["--encoder-header-table-size=0", "--header-table-size=256"],
            ["--early-response"],
            ["--echo-upload", "--trailer", "checksum: 1"],
            ["--padding=255"],
        ],
        ids=lambda options: " ".join(options) or "as-it-is",
    )
    async def test_each_push_gets_its_own_answer(
        self, tmp_path: Path, key: ec.EllipticCurvePrivateKey, options: list[str]
    ) -> None:
        known, dead = tokens(200), tokens(200, prefix="dead")
        mixed = [token for both in zip(known, dead, strict=True) for token in both]
        async with nghttpd(tmp_path, known, *options) as peer, ApnsClient(QUICK) as client:
            outcomes = await client.send(route_to(peer, key), pushes(mixed))
        echoed = "--echo-upload" in options  # then it looks at no file
        assert [Outcome(code) for code in outcomes.codes] == [
            Outcome.ACCEPTED,
            Outcome.ACCEPTED if echoed else Outcome.REJECTED,
        ] * 200
        assert {one.status for one in outcomes.rejections.values()} == (set() if echoed else {404})

    async def test_thousands_with_bodies_as_large_as_apple_takes(
        self, tmp_path: Path, key: ec.EllipticCurvePrivateKey
    ) -> None:
        body = b"{%s}" % (b" " * 4_094)
        async with (
            nghttpd(tmp_path, tokens(2_000), "--max-concurrent-streams=100") as peer,
            ApnsClient(QUICK) as client,
        ):
            outcomes = await client.send(route_to(peer, key), pushes(tokens(2_000), body))
        assert outcomes.counts()[Outcome.ACCEPTED] == 2_000


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPILED)
class TestCompiled:
    async def test_thousands_of_mixed_outcomes(
        self, tmp_path: Path, key: ec.EllipticCurvePrivateKey, name: str
    ) -> None:
        mixed = [token for both in zip(tokens(1_000), tokens(1_000, "dead"), strict=True) for token in both]
        async with compiled(name, tmp_path) as peer, ApnsClient(QUICK) as client:
            outcomes = await client.send(route_to(peer, key), pushes(mixed))
        assert [Outcome(code) for code in outcomes.codes] == [Outcome.ACCEPTED, Outcome.REJECTED] * 1_000
        assert {(one.status, one.reason, one.invalid_since) for one in outcomes.rejections.values()} == {
            (410, "Unregistered", 1_790_000_000_000)
        }
        assert read(peer) == Counter((token, len(BODY)) for token in mixed)

    async def test_bodies_as_large_as_apple_takes(
        self, tmp_path: Path, key: ec.EllipticCurvePrivateKey, name: str
    ) -> None:
        async with compiled(name, tmp_path) as peer, ApnsClient(QUICK) as client:
            outcomes = await client.send(route_to(peer, key), pushes(tokens(2_000), b"{%s}" % (b" " * 4_094)))
        assert outcomes.counts()[Outcome.ACCEPTED] == 2_000
        assert read(peer) == Counter((token, 4_096) for token in tokens(2_000))

    async def test_graceful_ends_in_the_midst_lose_and_double_nothing(
        self, tmp_path: Path, key: ec.EllipticCurvePrivateKey, name: str
    ) -> None:
        async with compiled(name, tmp_path, requests=350) as peer, ApnsClient(QUICK) as client:
            outcomes = await client.send(route_to(peer, key), pushes(tokens(2_000)))
        assert outcomes.counts()[Outcome.ACCEPTED] == 2_000
        assert read(peer) == Counter((token, len(BODY)) for token in tokens(2_000))


def read(peer: Peer) -> Counter[tuple[str, int]]:
    """Tokens and lengths of bodies in the log of a server of ours."""
    lines = (line.split() for line in (peer.directory / "server.log").read_text().splitlines())
    return Counter((line[0], int(line[1])) for line in lines if len(line) == 2)  # the others complain


class TestNode:
    @pytest.mark.parametrize(("window", "streams"), [(65_535, 1_000), (16, 3), (1_000_000, 1)])
    async def test_each_push_gets_its_own_answer_in_any_window_and_limit(
        self, tmp_path: Path, key: ec.EllipticCurvePrivateKey, window: int, streams: int
    ) -> None:
        kinds = ["20", "40", "41", "42", "50", "ca", "ef", "20"]
        batch = [token for number, kind in enumerate(kinds * 10) for token in [f"{kind}{len(BODY):04}{number:0154x}"]]
        async with (
            node(tmp_path, SERVERS / "misbehaving.mjs", str(window), str(streams)) as peer,
            ApnsClient(QUICK) as client,
        ):
            outcomes = await client.send(route_to(peer, key), pushes(batch))
        expected = {
            "20": Outcome.ACCEPTED,
            "40": Outcome.REJECTED,
            "41": Outcome.REJECTED,
            "42": Outcome.REJECTED,
            "50": Outcome.REJECTED,
            "ca": Outcome.UNKNOWN,
            "ef": Outcome.ACCEPTED,  # the second time
        }
        assert [Outcome(code) for code in outcomes.codes] == [expected[kind] for kind in kinds * 10]
        assert (outcomes.rejections[1].status, outcomes.rejections[1].reason) == (400, "BadDeviceToken")
        assert outcomes.rejections[2].invalid_since == 1_790_000_000_000
        assert outcomes.rejections[3].retry_after == 7
        assert outcomes.rejections[4].status == 500

    async def test_what_lies_above_a_goaway_goes_out_on_another_connection(
        self, tmp_path: Path, key: ec.EllipticCurvePrivateKey
    ) -> None:
        batch = [("60" if number == 20 else "20") + f"{0:04}{number:0154x}" for number in range(100)]
        async with node(tmp_path, SERVERS / "misbehaving.mjs") as peer, ApnsClient(QUICK) as client:
            outcomes = await client.send(route_to(peer, key), pushes(batch))
        assert outcomes.counts()[Outcome.ACCEPTED] == 100

    async def test_an_answer_that_never_comes_is_unknown_and_disturbs_nobody(
        self, tmp_path: Path, key: ec.EllipticCurvePrivateKey
    ) -> None:
        batch = [("51" if number % 2 else "20") + f"{0:04}{number:0154x}" for number in range(20)]
        async with node(tmp_path, SERVERS / "misbehaving.mjs") as peer, ApnsClient(QUICK) as client:
            route = route_to(peer, key)
            outcomes = await client.send(route, pushes(batch, deadline=1.0))
            assert [Outcome(code) for code in outcomes.codes] == [Outcome.ACCEPTED, Outcome.UNKNOWN] * 10
            after = await client.send(route, pushes(["20" + "0" * 158]))
            assert after.counts()[Outcome.ACCEPTED] == 1

    async def test_a_connection_that_is_torn_down_leaves_no_push_without_an_outcome(
        self, tmp_path: Path, key: ec.EllipticCurvePrivateKey
    ) -> None:
        batch = [("dd" if number == 30 else "20") + f"{0:04}{number:0154x}" for number in range(60)]
        async with node(tmp_path, SERVERS / "misbehaving.mjs") as peer, ApnsClient(QUICK) as client:
            outcomes = await client.send(route_to(peer, key), pushes(batch, deadline=5.0))
        counts = outcomes.counts()
        assert counts[Outcome.UNKNOWN] >= 1
        assert counts[Outcome.PENDING] == 0
        assert sum(counts.values()) == 60

    async def test_channels_are_managed_with_other_methods_and_long_answers(
        self, tmp_path: Path, key: ec.EllipticCurvePrivateKey
    ) -> None:
        async with node(tmp_path, SERVERS / "channels.mjs") as peer, ApnsClient(QUICK) as client:
            route, channels = route_to(peer, key), Channels(client)
            created = await channels.create(route, "good", StoragePolicy.NO_MESSAGE_STORED)
            assert isinstance(created, Accepted)
            channel = created.value
            assert await channels.read(route, "good", channel.channel_id) == Accepted(channel)
            listed = await channels.list(route, "good")
            assert isinstance(listed, Accepted)
            assert (len(listed.value), listed.value[0]) == (20_000, channel.channel_id)
            assert await channels.delete(route, "good", channel.channel_id) == Accepted(None)

    async def test_an_answer_that_cannot_be_read_is_unknown_and_never_an_exception(
        self, tmp_path: Path, key: ec.EllipticCurvePrivateKey
    ) -> None:
        channel_id, storage = ChannelId("YQ=="), StoragePolicy.MOST_RECENT_MESSAGE_STORED
        async with node(tmp_path, SERVERS / "channels.mjs") as peer, ApnsClient(QUICK) as client:
            route, channels = route_to(peer, key), Channels(client)
            assert await channels.create(route, "odd", storage) == Unknown("malformed_answer")
            assert await channels.read(route, "odd", channel_id) == Unknown("malformed_answer")
            assert await channels.list(route, "odd") == Unknown("malformed_answer")
            assert await channels.delete(route, "odd", channel_id) == Rejected(404, "BadPath")
            # The id was in the header section: that the body never ended takes nothing from it.
            assert isinstance(await channels.create(route, "cut", storage), Accepted)
            assert await channels.list(route, "cut") == Unknown("malformed_answer")
            assert await channels.delete(route, "cut", channel_id) == Unknown("connection_lost")
            assert isinstance(await channels.create(route, "good", storage), Accepted)


class TestGranian:
    async def test_what_we_send_is_what_arrives(self, tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
        token = tokens(1)[0]
        batch = PushBatch(TOPIC, BODY, [token], priority=5, expiration=1_800_000_000, deadline=20.0)
        async with granian(tmp_path, SERVERS / "echo.py") as peer, ApnsClient(QUICK) as client:
            outcomes = await client.send(route_to(peer, key), batch)
        assert outcomes.counts()[Outcome.ACCEPTED] == 1
        (seen,) = recorded(peer)
        assert seen["version"] == "2"
        assert (seen["method"], seen["scheme"], seen["path"]) == ("POST", "https", f"/3/device/{token}")
        assert seen["body"].encode() == BODY
        bearer, _, provider_token = seen["headers"].pop("authorization").partition(" ")
        assert bearer == "bearer"
        claims = jwt.decode(provider_token, key.public_key(), algorithms=["ES256"], options={"verify_iat": False})
        assert claims["iss"] == "TEAM123456"
        assert jwt.get_unverified_header(provider_token)["kid"] == "KEY1234567"
        assert seen["headers"] == {
            "apns-topic": TOPIC,
            "apns-push-type": "liveactivity",
            "apns-priority": "5",
            "apns-expiration": "1800000000",
        }

    async def test_thousands_get_their_answers(self, tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
        async with granian(tmp_path, SERVERS / "echo.py") as peer, ApnsClient(QUICK) as client:
            outcomes = await client.send(route_to(peer, key), pushes(tokens(1_000)))
        assert outcomes.counts()[Outcome.ACCEPTED] == 1_000
        assert Counter(one["path"] for one in recorded(peer)) == Counter(f"/3/device/{one}" for one in tokens(1_000))


def recorded(peer: Peer) -> list[dict[str, Any]]:
    """What the application has got."""
    return [json.loads(line) for line in (peer.directory / "requests.ndjson").read_text().splitlines()]
