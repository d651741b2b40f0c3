"""HTTP/2 framing by the `h2` library, bent where APNs does what h2 thinks a server should not."""

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from h2.config import H2Configuration
from h2.connection import ConnectionInputs, H2Connection, H2ConnectionStateMachine, _decode_headers
from h2.errors import ErrorCodes
from h2.events import Event, RequestReceived, StreamReset, TrailersReceived
from h2.exceptions import InvalidSettingsValueError, ProtocolError
from h2.settings import SettingCodes, Settings
from h2.stream import StreamClosedBy
from h2.utilities import HeaderValidationFlags, validate_headers
from hpack import Encoder, HeaderTuple
from hyperframe.exceptions import InvalidPaddingError
from hyperframe.frame import DataFrame, Frame, HeadersFrame, RstStreamFrame, SettingsFrame, WindowUpdateFrame

_UNLIMITED = 2**31 - 1
_FRAME_HEADER_BYTES = 9
_PING, _ACK = 0x6, 0x1
_STREAMS_BETWEEN_SWEEPS = 512
_REMEMBERED_HEADER_LISTS = 64
_PLAIN_PATH = re.compile(rb"/[!-~]+")
_ENFORCED = (
    SettingCodes.HEADER_TABLE_SIZE,
    SettingCodes.INITIAL_WINDOW_SIZE,
    SettingCodes.MAX_FRAME_SIZE,
    SettingCodes.MAX_HEADER_LIST_SIZE,
)


class _OutlivesGoaway(H2ConnectionStateMachine):
    """h2 closes at the first GOAWAY in either direction; RFC 9113 6.8 lets the streams below its id finish."""

    def process_input(self, input_: ConnectionInputs) -> list[Event]:
        if input_ in (ConnectionInputs.SEND_GOAWAY, ConnectionInputs.RECV_GOAWAY):
            return []
        return super().process_input(input_)


class _LiteralEncoder(Encoder):
    """Huffman coding in Python takes a sixth of the time of an answer and saves ten bytes of it."""

    def encode(
        self,
        headers: Iterable[HeaderTuple | tuple[bytes | str, bytes | str] | tuple[bytes | str, bytes | str, bool | None]]
        | dict[bytes | str, bytes | str],
        huffman: bool = False,  # noqa: FBT001, FBT002 - hpack's own signature
    ) -> bytes:
        return super().encode(headers, huffman)


@dataclass(frozen=True, slots=True)
class StreamTurnedAway(Event):
    """The sender has opened a stream that its owner does not take. Nothing that comes on it is listened to."""

    stream_id: int
    headers: list[tuple[bytes, bytes]]


class ServerFraming(H2Connection):
    """An h2 server connection that leaves the limit of streams, GOAWAY and SETTINGS to its owner.

    Args:
        max_header_list: bytes of a header list (RFC 9113 6.5.2), enforced from the first request on.
        turns_away: whether a stream that is opened now is refused. Nothing is made ready for it then: what a sender
            loses by a falling limit costs the server as little as can be.
    """

    def __init__(self, max_header_list: int, turns_away: Callable[[], bool]) -> None:
        # Outbound headers are our own and known to be well-formed; checking them costs a tenth of an answer.
        super().__init__(
            H2Configuration(
                client_side=False,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
                validate_inbound_headers=False,  # `_check` does it
            )
        )
        self.encoder = _LiteralEncoder()
        self.state_machine = _OutlivesGoaway()
        self.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.MAX_CONCURRENT_STREAMS: _UNLIMITED,
                SettingCodes.MAX_HEADER_LIST_SIZE: max_header_list,
            },
        )
        self.decoder.max_header_list_size = max_header_list
        self._announced = {code: self.local_settings[code] for code in _ENFORCED}
        self._streams_seen = 0
        self._turns_away = turns_away
        self._checked: set[tuple[tuple[bytes, bytes], ...]] = set()

    def events(self, data: memoryview) -> Iterator[Event]:
        """Parse what has come, a frame at a time: its owner acts on each before the next one is looked at.

        Raises:
            H2Error: if the sender broke the protocol; the GOAWAY that says so is ready to be sent.
        """
        self.incoming_buffer.add_data(data)
        self.incoming_buffer.max_frame_size = self.max_inbound_frame_size
        try:
            for frame in self.incoming_buffer:
                yield from self._receive_frame(frame)
        except InvalidPaddingError as error:
            raise self._broken(ProtocolError("Received frame with invalid padding.")) from error
        except ProtocolError as error:
            raise self._broken(error) from None

    def _broken(self, error: ProtocolError) -> ProtocolError:
        self._terminate_connection(error.error_code)
        return error

    def clear_outbound_data_buffer(self) -> None:
        """Done by h2 when it reads a GOAWAY; what has been answered by then is said nevertheless."""

    def _receive_headers_frame(self, frame: HeadersFrame) -> tuple[list[Frame], list[Event]]:
        stream = frame.stream_id
        if stream <= self.highest_inbound_stream_id or stream % 2 == 0 or not self._turns_away():
            frames, events = super()._receive_headers_frame(frame)
            for event in events:
                if isinstance(event, RequestReceived | TrailersReceived):
                    self._check(event.headers, trailers=isinstance(event, TrailersReceived))
            return frames, events
        self.highest_inbound_stream_id = stream
        self._closed_streams[stream] = StreamClosedBy.SEND_RST_STREAM
        headers = _decode_headers(self.decoder, frame.data)  # its state is the connection's
        return [], [StreamTurnedAway(stream, [(name, value) for name, value in headers])]

    def _check(self, headers: Sequence[tuple[bytes, bytes]], *, trailers: bool) -> None:
        """Have h2 check a header list. A sender's lists mostly differ in their path alone: the rest is looked at once.

        Raises:
            ProtocolError: as RFC 9113 8.2 and 8.3 want it.
        """
        paths = [value for name, value in headers if name == b":path"]
        rest = tuple(one for one in headers if one[0] != b":path")
        plain = len(paths) == 1 and _PLAIN_PATH.fullmatch(paths[0])
        if not (plain and rest in self._checked):
            kind = HeaderValidationFlags(
                is_client=False, is_trailer=trailers, is_response_header=False, is_push_promise=False
            )
            list(validate_headers(headers, kind))
            if plain and not trailers:
                if len(self._checked) >= _REMEMBERED_HEADER_LISTS:
                    self._checked.clear()
                self._checked.add(rest)

    def _receive_data_frame(self, frame: DataFrame) -> tuple[list[Frame], list[Event]]:
        """What comes on a stream after we have reset it: STREAM_CLOSED is said once more, as Apple does (apple.md 1.3).

        So does h2, by way of exceptions that cost as much as serving the request.
        """
        if self._stream_closed_by(frame.stream_id) is not StreamClosedBy.SEND_RST_STREAM:
            return super()._receive_data_frame(frame)
        size = frame.flow_controlled_length
        window = self._inbound_flow_control_window_manager
        window.window_consumed(size)
        frames: list[Frame] = [RstStreamFrame(frame.stream_id, error_code=ErrorCodes.STREAM_CLOSED)]
        if room := window.process_bytes(size):
            frames.append(WindowUpdateFrame(0, window_increment=room))
        return frames, []

    def _receive_rst_stream_frame(self, frame: RstStreamFrame) -> tuple[list[Frame], list[Event]]:
        """A stream that has been answered whole is closed to h2, which says nothing of its reset: the answer waits."""
        frames, events = super()._receive_rst_stream_frame(frame)
        return frames, events or [StreamReset(stream_id=frame.stream_id, error_code=frame.error_code)]

    @property
    def open_inbound_streams(self) -> int:
        """Not the number, which our owner counts. h2 asks for it at every HEADERS and walks all streams each time.

        The walk is also how h2 forgets closed streams, so it is done now and then.
        """
        self._streams_seen += 1
        if self._streams_seen % _STREAMS_BETWEEN_SWEEPS == 0:
            self._open_streams(1)
        return 0

    def _inbound_flow_control_change_from_settings(self, old_value: int | None, new_value: int) -> None:
        """A new initial window holds for all open streams. Each of our frames is a step of it, though mostly none."""
        if old_value != new_value:
            super()._inbound_flow_control_change_from_settings(old_value, new_value)

    def settings_frame(self, settings: Mapping[int, int]) -> bytes:
        """A SETTINGS frame to send; its values hold here once the sender has acknowledged it.

        MAX_CONCURRENT_STREAMS is only announced: h2 would count streams as open that are answered and not yet flushed
        in another way than we do, and end the connection with another error than APNs.
        """
        for code in _ENFORCED:
            # h2 takes an acknowledgement for one step of every setting: so each frame is a step of each.
            with contextlib.suppress(InvalidSettingsValueError):  # told to send what may not be: send it
                self.local_settings[code] = settings.get(code, self._announced[code])
                self._announced[code] = settings.get(code, self._announced[code])
        return SettingsFrame(0, settings=dict(settings)).serialize()


def without_ping_acks(frames: bytes) -> tuple[bytes, bytes]:
    """Take the answers to PING out of a run of whole frames: h2 answers by itself and cannot be told not to.

    Returns:
        The other frames, and the answers.
    """
    kept: list[bytes] = []
    acks: list[bytes] = []
    at = 0
    while at < len(frames):
        end = at + _FRAME_HEADER_BYTES + int.from_bytes(frames[at : at + 3])
        is_ack = frames[at + 3] == _PING and frames[at + 4] & _ACK
        (acks if is_ack else kept).append(frames[at:end])
        at = end
    return b"".join(kept), b"".join(acks)
