"""The session and an HTTP/2 server, joined in memory: no sockets, no clock.

The server is the `h2` library, which judges everything that we write: windows, stream states, limits, header blocks and
their table. What it would never send goes in as raw frames.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import hpack
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    PingAckReceived,
    PingReceived,
    RequestReceived,
    SettingsAcknowledged,
    StreamEnded,
    StreamReset,
)
from h2.settings import SettingCodes, Settings
from hyperframe.frame import Frame, GoAwayFrame, HeadersFrame, RstStreamFrame

from skerry.apns.answer import Answer
from skerry.apns.frames import PREFACE, Flag, FrameType
from skerry.apns.headers import Letter
from skerry.apns.session import Session
from skerry.apns.streams import Run
from skerry.domain.push import Outcome, Rejected

AUTHORIZATION = b"bearer " + b"e" * 180
BODY = b'{"aps":{"timestamp":1,"event":"update","content-state":{"progress":0.5}}}'


def letter(
    body: bytes = BODY, topic: bytes = b"com.example.app.push-type.liveactivity", passing: bytes = b""
) -> Letter:
    fields = ((b"apns-topic", topic), (b"apns-push-type", b"liveactivity"), (b"apns-priority", b"10"))
    return Letter(b"api.push.apple.com", fields, body, passing)


def token(number: int, length: int = 160) -> bytes:
    return b"%0*x" % (length, number)


@dataclass
class Request:
    """What the server has got on one stream."""

    headers: dict[bytes, bytes]
    body: bytearray = field(default_factory=bytearray)
    ended: bool = False
    reset: int | None = None

    @property
    def token(self) -> bytes:
        return self.headers[b":path"].removeprefix(b"/3/device/")


@dataclass(frozen=True)
class Ending:
    """What became of one push."""

    outcome: Outcome
    cause: str = ""
    rejected: Rejected | None = None


class Server:
    """`h2` as the server; `requests` by stream id, `goaways` that the client said."""

    def __init__(self, settings: Mapping[SettingCodes, int] | None = None) -> None:
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        self.h2.local_settings = Settings(
            client=False, initial_values={SettingCodes.MAX_CONCURRENT_STREAMS: 1000, **(settings or {})}
        )
        self.requests: dict[int, Request] = {}
        self.goaways: list[ConnectionTerminated] = []
        self.pings: list[bytes] = []
        self.pongs: list[bytes] = []
        self.acknowledged = 0
        self._unread = b""
        self._ended: set[int] = set()
        self.h2.initiate_connection()

    def receive(self, data: bytes) -> None:
        """Take the client's bytes.

        Raises:
            h2.exceptions.ProtocolError: if the client has sent what it must not.
        """
        self._judge(data)
        for event in self.h2.receive_data(data):
            self._note(event)

    def _judge(self, data: bytes) -> None:
        """`h2` forgives frames on streams that have been reset; a client has no reason to send any."""
        self._unread = (self._unread + data).removeprefix(PREFACE)
        while len(self._unread) >= 9 and not PREFACE.startswith(self._unread[: len(PREFACE)]):
            length = int.from_bytes(self._unread[:3], "big")
            if len(self._unread) < 9 + length:
                break
            kind, flags, stream_id = self._unread[3], self._unread[4], int.from_bytes(self._unread[5:9], "big")
            self._unread = self._unread[9 + length :]
            if kind in (FrameType.HEADERS, FrameType.DATA, FrameType.RST_STREAM):
                ended = stream_id in self._ended
                assert not ended or kind == FrameType.RST_STREAM, f"a frame on stream {stream_id}, which has ended"
                if kind == FrameType.RST_STREAM or flags & Flag.END_STREAM:
                    self._ended.add(stream_id)

    def _note(self, event: Event) -> None:
        match event:
            case RequestReceived(stream_id=stream_id, headers=headers):
                self.requests[stream_id] = Request(dict(headers))
            case DataReceived(stream_id=stream_id, data=data):
                self.requests[stream_id].body += data
            case StreamEnded(stream_id=stream_id):
                self.requests[stream_id].ended = True
            case StreamReset(stream_id=stream_id, error_code=code):
                self.requests[stream_id].reset = int(code)
            case ConnectionTerminated():
                self.goaways.append(event)
            case PingReceived(ping_data=data):
                self.pings.append(data)
            case PingAckReceived(ping_data=data):
                self.pongs.append(data)
            case SettingsAcknowledged():
                self.acknowledged += 1
            case _:
                pass

    def answer(self, stream_id: int, status: int = 200, body: bytes = b"", headers: Iterable[Any] = ()) -> None:
        """A whole answer."""
        fields = [(":status", str(status)), ("apns-id", "0" * 36), *headers]
        self.h2.send_headers(stream_id, fields, end_stream=not body)
        if body:
            self.h2.send_data(stream_id, body, end_stream=True)

    def settings(self, **values: int) -> None:
        """SETTINGS by their names in small letters: `max_concurrent_streams=1`."""
        self.h2.update_settings({SettingCodes[name.upper()]: value for name, value in values.items()})

    def credit(self, increment: int, stream_id: int | None = None) -> None:
        """WINDOW_UPDATE."""
        self.h2.increment_flow_control_window(increment, stream_id)

    def reset(self, stream_id: int, code: ErrorCodes = ErrorCodes.CANCEL) -> None:
        self.h2.reset_stream(stream_id, code)

    def keeps_a_table(self) -> None:
        """From now on it does not care for our SETTINGS_HEADER_TABLE_SIZE of 0."""
        self.h2.encoder = hpack.Encoder()


class Conversation:
    """A session and a server. `exchange` carries bytes both ways until both are silent."""

    def __init__(
        self,
        *,
        settings: Mapping[SettingCodes, int] | None = None,
        stream_bound: int = 1000,
        first_stream_id: int = 1,
        begin: bool = True,
    ) -> None:
        self.session: Session[str] = Session(stream_bound=stream_bound, first_stream_id=first_stream_id)
        self.server = Server(settings)
        self.endings: dict[int, Ending] = {}
        """By the number of the push; filled by `settle`, once for each."""
        self.pushed = 0
        if begin:
            self.exchange()

    def push(
        self,
        count: int = 1,
        to: Letter | None = None,
        *,
        deadline: float = 100.0,
        authorization: bytes = AUTHORIZATION,
        tokens: Sequence[bytes] | None = None,
        answers: dict[int, Answer] | None = None,
        bodies: Sequence[bytes] | None = None,
    ) -> Run[str]:
        """Send; the pushes are numbered on from the last one, and so are the tokens."""
        places = range(self.pushed, self.pushed + count)
        run = self.session.send(
            to or letter(),
            tokens or [token(place) for place in places],
            authorization=authorization,
            owner="test",
            places=places,
            deadline=deadline,
            answers=answers,
            bodies=bodies,
        )
        self.pushed += count
        return run

    def exchange(self) -> None:
        """Carry bytes until there are none."""
        while True:
            outgoing = self.session.take_outgoing()
            if outgoing:
                self.server.receive(outgoing)
            incoming = self.server.h2.data_to_send()
            if incoming:
                self.session.receive(incoming)
            if not outgoing and not incoming:
                break
        self.settle()

    def frames(self, *frames: Frame) -> None:
        """Frames that `h2` would not send, or knows nothing of; then everything else that is under way."""
        self.session.receive(b"".join(frame.serialize() for frame in frames))
        self.exchange()

    def settle(self) -> None:
        """Take what has settled: each push once, and a run is finished when all of its pushes have ended."""
        exceptional, finished = self.session.take_settled()
        for one in exceptional:
            self._end(one.run.places[one.position], Ending(one.outcome, one.cause, one.rejected))
            assert one.run.codes[one.position] == one.outcome
        for run in finished:
            assert run.open == 0
            for position, code in enumerate(run.codes):
                if code == Outcome.ACCEPTED:
                    self._end(run.places[position], Ending(Outcome.ACCEPTED))
                assert run.places[position] in self.endings

    def hand_out(self) -> None:
        """Take the 200s of runs that still wait for other answers."""
        for run in self.session.runs:
            for position in run.take_accepted():
                self._end(run.places[position], Ending(Outcome.ACCEPTED))

    def _end(self, place: int, ending: Ending) -> None:
        assert place not in self.endings, f"push {place} has ended twice"
        self.endings[place] = ending

    @property
    def outcomes(self) -> dict[int, Outcome]:
        """By the number of the push."""
        return {place: ending.outcome for place, ending in sorted(self.endings.items())}

    def end(self) -> None:
        """The connection is lost: whatever the conversation was, each push has exactly one outcome."""
        self.session.lost()
        self.settle()
        assert sorted(self.endings) == list(range(self.pushed))
        assert self.session.open_streams == 0
        assert not self.session.runs
        assert not self.session._unsent
        assert not self.session._answers


def goaway(last_stream_id: int, code: int = 0, debug: bytes = b"") -> GoAwayFrame:
    return GoAwayFrame(0, last_stream_id=last_stream_id, error_code=code, additional_data=debug)


def reset(stream_id: int, code: int) -> RstStreamFrame:
    return RstStreamFrame(stream_id, error_code=code)


def headers(stream_id: int, block: bytes, *flags: str) -> HeadersFrame:
    """A HEADERS frame around a block that is encoded already; `END_HEADERS` unless other flags are given."""
    return HeadersFrame(stream_id, block, flags=flags or ("END_HEADERS",))
