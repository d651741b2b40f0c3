"""A simulated APNs on real TLS sockets, phones that only remember, and a sender that may break every rule."""

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hpack import Decoder, Encoder
from hyperframe.frame import (
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from skerry.domain.push import Environment
from skerry.simulator.apns import (
    ApnsServer,
    Certificates,
    Chaos,
    Ledger,
    Limits,
    Listener,
    ProviderKeys,
    ensure_certificates,
)
from skerry.simulator.carrier import Broadcast, Delivery, Standing, TokenKind
from skerry.simulator.clock import FrozenClock

TEAM, KEY = "SKERRYTEAM", "SKERRYDEV1"
BUNDLE = "com.example.app"
TOPIC = f"{BUNDLE}.push-type.liveactivity"
UPDATE_TOKEN = "80" + "ab" * 79
START_TOKEN = "80" + "cd" * 79
DEVICE_TOKEN = "12" * 32
EXPIRED_TOKEN = "80" + "ee" * 79
BODY = b'{"aps":{"timestamp":1790000060,"event":"update","content-state":{"n":1}}}'
DEADLINE_S = 10.0


class FakePhones:
    """Tokens as told; deliveries remembered. Production knows none of the sandbox's tokens."""

    update, start, device, expired, unknown = UPDATE_TOKEN, START_TOKEN, DEVICE_TOKEN, EXPIRED_TOKEN, "ff" * 80

    def __init__(self) -> None:
        self.standings = {
            UPDATE_TOKEN: Standing(BUNDLE, TokenKind.UPDATE),
            START_TOKEN: Standing(BUNDLE, TokenKind.START),
            DEVICE_TOKEN: Standing(BUNDLE, TokenKind.DEVICE),
            EXPIRED_TOKEN: Standing(BUNDLE, TokenKind.UPDATE, gone="ExpiredToken", gone_since=1_789_999_999.5),
        }
        self.delivered: list[Delivery] = []
        self.broadcasts: list[Broadcast] = []

    def standing(self, environment: Environment, token: str) -> Standing | None:
        return self.standings.get(token) if environment is Environment.SANDBOX else None

    def deliver(self, delivery: Delivery) -> None:
        self.delivered.append(delivery)

    def broadcast(self, broadcast: Broadcast) -> None:
        self.broadcasts.append(broadcast)


def sign(
    pem: bytes,
    *,
    header: dict[str, Any] | None = None,
    claims: dict[str, Any] | None = None,
    der: bool = False,
) -> str:
    """A provider token; `header` and `claims` replace what a good one would say."""
    header = {"alg": "ES256", "kid": KEY} if header is None else header
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
        for part in (header, {"iss": TEAM, "iat": 1_790_000_000} if claims is None else claims)
    ]
    message = b".".join(parts)
    key = serialization.load_pem_private_key(pem, password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    signature = key.sign(message, ec.ECDSA(hashes.SHA256()))
    if not der:
        r, s = decode_dss_signature(signature)
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return (message + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


@dataclass
class Answered:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def reason(self) -> str | None:
        return json.loads(self.body)["reason"] if self.body else None


@dataclass
class Sender:
    """HTTP/2 by hand: hyperframe and hpack, no state machine that would keep it from misbehaving."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    token: str
    acknowledge: bool = True
    encoder: Encoder = field(default_factory=Encoder)
    decoder: Decoder = field(default_factory=Decoder)
    next_stream: int = 1
    settings: list[dict[int, int]] = field(default_factory=list)
    resets: list[tuple[int, int]] = field(default_factory=list)
    goaways: list[GoAwayFrame] = field(default_factory=list)
    pongs: list[bytes] = field(default_factory=list)
    credit: dict[int, int] = field(default_factory=dict)
    answers: dict[int, Answered] = field(default_factory=dict)
    finished: set[int] = field(default_factory=set)
    closed: bool = False
    frames: list[Frame] = field(default_factory=list)
    _buffer: bytearray = field(default_factory=bytearray)

    @classmethod
    async def connect(cls, port: int, context: ssl.SSLContext, token: str, *, acknowledge: bool = True) -> "Sender":
        reader, writer = await asyncio.open_connection("localhost", port, ssl=context)
        sender = cls(reader, writer, token, acknowledge)
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        sender.send(SettingsFrame(0, settings={}))
        return sender

    def send(self, *frames: Frame) -> None:
        self.writer.write(b"".join(frame.serialize() for frame in frames))

    def headers(self, token: str = UPDATE_TOKEN, **changes: str | None) -> list[tuple[str, str]]:
        """The headers of a good push; keyword arguments (with _ for -, no leading colon) change or remove them."""
        fields: dict[str, str | None] = {
            ":method": "POST",
            ":scheme": "https",
            ":path": f"/3/device/{token}",
            ":authority": "api.push.apple.com",
            "apns-topic": TOPIC,
            "apns-push-type": "liveactivity",
            "apns-priority": "10",
            "authorization": f"bearer {self.token}",
        }
        for name, value in changes.items():
            plain = name.replace("_", "-")
            fields[f":{plain}" if plain in ("method", "path") else plain] = value
        return [(name, value) for name, value in fields.items() if value is not None]

    def frames_of(self, headers: list[tuple[str, str]], body: bytes = BODY) -> tuple[int, list[Frame]]:
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        head = HeadersFrame(stream, self.encoder.encode(headers), flags=["END_HEADERS"])
        if not body:
            head.flags.add("END_STREAM")
            return stream, [head]
        return stream, [head, DataFrame(stream, body, flags=["END_STREAM"])]

    def post(self, token: str = UPDATE_TOKEN, body: bytes = BODY, **changes: str | None) -> int:
        """Write one push without waiting; the stream it is on."""
        return self.post_many([token], body, **changes)[0]

    def post_many(self, tokens: list[str], body: bytes = BODY, **changes: str | None) -> list[int]:
        """Write pushes in one go, so that the server reads them in one go."""
        pushes = [self.frames_of(self.headers(token, **changes), body) for token in tokens]
        self.send(*(frame for _, frames in pushes for frame in frames))
        return [stream for stream, _ in pushes]

    async def push(self, token: str = UPDATE_TOKEN, body: bytes = BODY, **changes: str | None) -> Answered:
        return await self.answer(self.post(token, body, **changes))

    async def ask(self, method: str, path: str, body: bytes = b"", **headers: str | None) -> Answered:
        """Any request, with provider token and nothing else but the headers given (`_` for `-`)."""
        return await self.answer(self.begin(method, path, body, **headers))

    def begin(self, method: str, path: str, body: bytes = b"", **headers: str | None) -> int:
        """Write such a request without waiting; the stream it is on."""
        fields = {"authorization": f"bearer {self.token}"}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        pseudo = [(":method", method), (":scheme", "https"), (":path", path), (":authority", "api.push.apple.com")]
        rest = [(name, value) for name, value in fields.items() if value is not None]
        stream, frames = self.frames_of([*pseudo, *rest], body)
        self.send(*frames)
        return stream

    async def answer(self, stream: int) -> Answered:
        await self.until(lambda: stream in self.finished)
        return self.answers[stream]

    async def ready(self) -> "Sender":
        """One accepted push: the limit of streams has risen."""
        assert (await self.push()).status == 200
        return self

    async def until(self, condition: Callable[[], bool]) -> None:
        """Read frames until something holds."""
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                assert not self.closed, "the connection has ended"
                await self._read()

    async def ended(self) -> None:
        """Read until the connection is over."""
        async with asyncio.timeout(DEADLINE_S):
            while not self.closed:
                await self._read()

    async def sync(self) -> None:
        """A PING there and back: everything written so far has been seen."""
        count = len(self.pongs)
        self.send(PingFrame(0, b"skerry!!"))
        await self.until(lambda: len(self.pongs) > count)

    async def _read(self) -> None:
        try:
            data = await self.reader.read(65_536)
        except ConnectionError:
            data = b""
        if not data:
            self.closed = True
            return
        self._buffer += data
        while len(self._buffer) >= 9:
            frame, length = Frame.parse_frame_header(memoryview(bytes(self._buffer[:9])))
            if len(self._buffer) < 9 + length:
                return
            frame.parse_body(memoryview(bytes(self._buffer[9 : 9 + length])))
            del self._buffer[: 9 + length]
            self.frames.append(frame)
            self._take(frame)

    def _take(self, frame: Frame) -> None:
        if isinstance(frame, SettingsFrame) and "ACK" not in frame.flags:
            self.settings.append(dict(frame.settings))
            if self.acknowledge:
                self.send(SettingsFrame(0, flags=["ACK"]))
        elif isinstance(frame, HeadersFrame):
            self._take_headers(frame)
        elif isinstance(frame, DataFrame):
            self._answer_of(frame).body += frame.data
        elif isinstance(frame, RstStreamFrame):
            self.resets.append((frame.stream_id, frame.error_code))
        elif isinstance(frame, GoAwayFrame):
            self.goaways.append(frame)
        elif isinstance(frame, PingFrame):
            self.pongs.append(frame.opaque_data)
        elif isinstance(frame, WindowUpdateFrame):
            self.credit[frame.stream_id] = self.credit.get(frame.stream_id, 0) + frame.window_increment
        if isinstance(frame, HeadersFrame | DataFrame) and "END_STREAM" in frame.flags:
            self.finished.add(frame.stream_id)

    def _take_headers(self, frame: HeadersFrame) -> None:
        if "END_HEADERS" in frame.flags:  # a block that goes on is read by the test that asked for it
            headers = {str(n, "ascii"): str(v, "ascii") for n, v in self.decoder.decode(frame.data, raw=True)}
            if ":status" in headers:
                self.answers[frame.stream_id] = Answered(int(headers[":status"]), headers, b"")

    def _answer_of(self, frame: Frame) -> Answered:
        return self.answers.setdefault(frame.stream_id, Answered(0, {}, b""))

    @property
    def limits(self) -> list[int]:
        """MAX_CONCURRENT_STREAMS as announced, in order."""
        return [settings[3] for settings in self.settings if 3 in settings]

    async def close(self) -> None:
        self.writer.transport.abort()
        await asyncio.sleep(0)


@dataclass
class Apns:
    """Everything around a running server."""

    clock: FrozenClock
    phones: FakePhones
    keys: ProviderKeys
    pem: bytes
    chaos: Chaos
    ledger: Ledger
    certificates: Certificates
    server: ApnsServer
    ports: dict[Environment, int] = field(default_factory=dict)
    management_ports: dict[Environment, int] = field(default_factory=dict)
    senders: list[Sender] = field(default_factory=list)

    def token(self, **options: Any) -> str:
        return sign(self.pem, **options)

    async def sender(
        self,
        environment: Environment = Environment.SANDBOX,
        *,
        token: str | None = None,
        acknowledge: bool = True,
        listener: Listener = Listener.PUSH,
    ) -> Sender:
        ports = self.ports if listener is Listener.PUSH else self.management_ports
        sender = await Sender.connect(
            ports[environment],
            self.certificates.client_context(),
            self.token() if token is None else token,
            acknowledge=acknowledge,
        )
        self.senders.append(sender)
        return sender


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return ensure_certificates(Path(tmp_path_factory.mktemp("tls")))


@pytest.fixture
async def start(certificates: Certificates) -> AsyncIterator[Callable[..., Awaitable[Apns]]]:
    """Start a server with chosen limits and plan."""
    running: list[Apns] = []

    async def begin(limits: Limits | None = None, plan: dict[str, Any] | None = None) -> Apns:
        clock = FrozenClock()
        phones, keys, chaos, ledger = FakePhones(), ProviderKeys(), Chaos(clock, plan), Ledger()
        pem = keys.generate_dev(TEAM, KEY)
        server = ApnsServer(phones, keys, clock=clock, chaos=chaos, ledger=ledger, limits=limits)
        apns = Apns(clock, phones, keys, pem, chaos, ledger, certificates, server)
        running.append(apns)
        context = certificates.server_context()
        for environment in Environment:
            for listener, ports in ((Listener.PUSH, apns.ports), (Listener.MANAGEMENT, apns.management_ports)):
                _, ports[environment] = await server.start(
                    environment, ssl_context=context, flawed_context=certificates.flawed_context, listener=listener
                )
        return apns

    yield begin
    for apns in running:
        for sender in apns.senders:
            await sender.close()
        await apns.server.close()


@pytest.fixture
async def apns(start: Callable[..., Awaitable[Apns]]) -> Apns:
    """A calm APNs with Apple's limits."""
    return await start()
