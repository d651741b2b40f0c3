"""The writing half of a connection: frames gathered, held back by the sender's windows, and written in one go."""

import socket
import ssl
import struct
from asyncio import Transport
from collections.abc import Mapping

from h2.events import DataReceived, Event
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes

from skerry.simulator.apns.http2 import ServerFraming, without_ping_acks

_DEFAULT_WINDOW = 65_535
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Wire:
    """One TLS transport and the HTTP/2 framing on it.

    Nothing is written before the first SETTINGS, nor before `flush`: the answers to one read leave in one write.

    Args:
        max_header_list: bytes of a request's header list.
    """

    def __init__(self, max_header_list: int) -> None:
        self._framing = ServerFraming(max_header_list)
        self._transport: Transport | None = None
        self._greeted = False
        self._out: list[bytes] = []
        self._unflushed = 0
        self._blocked_bodies: dict[int, bytes] = {}
        self._withheld: list[DataReceived] = []
        self.ignore_ping = False
        self.withhold_credit = False

    @property
    def open(self) -> bool:
        """Whether there is a transport to write to."""
        return self._transport is not None

    @property
    def greeted(self) -> bool:
        """Whether the first SETTINGS has been sent."""
        return self._greeted

    @property
    def unfinished_answers(self) -> int:
        """Streams whose answer the sender cannot have seen whole: not flushed yet, or short of window."""
        return self._unflushed + len(self._blocked_bodies)

    def connect(self, transport: Transport) -> str | None:
        """Take the transport; tells the protocol that ALPN has negotiated."""
        self._transport = transport
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        return tls.selected_alpn_protocol() if tls is not None else None

    def forget(self) -> None:
        """The transport is gone."""
        self._transport = None

    def receive(self, data: memoryview) -> list[Event]:
        """Parse what has come.

        Raises:
            H2Error: if the sender broke the protocol; the GOAWAY that says so is ready to be flushed.
        """
        return self._framing.receive_data(data)

    def greet(self, settings: Mapping[SettingCodes, int], connection_window: int | None) -> None:
        """Send the first SETTINGS, ahead of whatever has been gathered, and widen the connection's window."""
        if self._greeted:
            return
        self._out.insert(0, self._framing.settings_frame(settings))
        if connection_window is not None and connection_window > _DEFAULT_WINDOW:
            self._framing.increment_flow_control_window(connection_window - _DEFAULT_WINDOW)
        self._greeted = True

    def settings(self, settings: Mapping[SettingCodes, int]) -> None:
        """Send SETTINGS."""
        self.collect()
        self._out.append(self._framing.settings_frame(settings))

    def goaway(self, code: int, debug: bytes, last_stream: int) -> None:
        """Send GOAWAY; the framing goes on."""
        self._framing.close_connection(code, debug, last_stream)

    def respond(self, stream: int, headers: list[tuple[bytes, bytes]], body: bytes) -> bool:
        """Send an answer. False if the sender has cancelled the stream meanwhile."""
        try:
            self._framing.send_headers(stream, headers, end_stream=not body)
        except ProtocolError:
            return False
        self._unflushed += 1
        if body:
            self._send_body(stream, body)
        return True

    def reset(self, stream: int, code: int) -> None:
        """Send RST_STREAM, unless the stream is closed already."""
        try:
            self._framing.reset_stream(stream, code)
        except ProtocolError:
            return
        self._unflushed += 1

    def cancelled(self, stream: int) -> None:
        """The sender has reset a stream: what is left of its answer has no taker."""
        self._blocked_bodies.pop(stream, None)

    def received_credit(self) -> None:
        """The sender has opened a window: go on with answers that waited for it."""
        for stream, body in list(self._blocked_bodies.items()):
            del self._blocked_bodies[stream]
            self._send_body(stream, body)

    def give_credit(self, event: DataReceived) -> None:
        """Let the sender send as much again as it has sent, now or when credit is no longer withheld."""
        if self.withhold_credit:
            self._withheld.append(event)
        else:
            self._framing.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)

    def give_withheld_credit(self) -> None:
        """Give back what was withheld, unless it still is."""
        if not self.withhold_credit:
            withheld, self._withheld = self._withheld, []
            for event in withheld:
                self.give_credit(event)

    def collect(self) -> None:
        """Take over what h2 has ready; it throws that away when it reads a GOAWAY."""
        if data := self._framing.data_to_send():
            self._out.append(data)

    def flush(self) -> None:
        """Hand everything to the transport; before the first SETTINGS nothing is."""
        if not self._greeted or self._transport is None:
            return
        self.collect()
        self._unflushed = 0
        if self._out:
            data = b"".join(self._out)
            self._out.clear()
            self._transport.write(without_ping_acks(data) if self.ignore_ping else data)

    def close(self) -> None:
        """Write what is due, then close_notify and FIN."""
        self.flush()
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def abort(self) -> None:
        """Reset the TCP connection: what was written and has not arrived is lost."""
        if self._transport is None:
            return
        sock: socket.socket | None = self._transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()
        self._transport = None

    def pause_reading(self) -> None:
        """Take nothing more from the sender for now."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take from the sender again."""
        if self._transport is not None:
            self._transport.resume_reading()

    def _send_body(self, stream: int, body: bytes) -> None:
        """Send as much as the sender's windows allow; the rest waits for credit."""
        while body:
            try:
                room = min(self._framing.local_flow_control_window(stream), self._framing.max_outbound_frame_size)
                if room <= 0:
                    self._blocked_bodies[stream] = body
                    return
                self._framing.send_data(stream, body[:room], end_stream=room >= len(body))
            except ProtocolError:
                return  # cancelled by the sender meanwhile
            body = body[room:]
