"""HTTP/2 framing by the `h2` library, bent where APNs does what h2 thinks a server should not."""

import contextlib
from collections.abc import Iterable, Mapping

from h2.config import H2Configuration
from h2.connection import ConnectionInputs, H2Connection, H2ConnectionStateMachine
from h2.events import Event
from h2.exceptions import InvalidSettingsValueError
from h2.settings import SettingCodes, Settings
from hpack import Encoder, HeaderTuple
from hyperframe.frame import SettingsFrame

_UNLIMITED = 2**31 - 1
_FRAME_HEADER_BYTES = 9
_PING, _ACK = 0x6, 0x1
_STREAMS_BETWEEN_SWEEPS = 512
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


class ServerFraming(H2Connection):
    """An h2 server connection that leaves the limit of streams, GOAWAY and SETTINGS to its owner.

    Args:
        max_header_list: bytes of a header list (RFC 9113 6.5.2), enforced from the first request on.
    """

    def __init__(self, max_header_list: int) -> None:
        # Outbound headers are our own and known to be well-formed; checking them costs a tenth of an answer.
        super().__init__(
            H2Configuration(client_side=False, validate_outbound_headers=False, normalize_outbound_headers=False)
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
