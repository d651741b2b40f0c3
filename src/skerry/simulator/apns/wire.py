"""The writing half of a connection: frames gathered, held back by the sender's windows, and written in one go."""

import contextlib
import socket
import ssl
from asyncio import Transport, get_running_loop
from collections.abc import Callable, Iterator, Mapping

from h2.errors import ErrorCodes
from h2.events import DataReceived, Event
from h2.exceptions import ProtocolError

from skerry.simulator.apns.door import reset
from skerry.simulator.apns.http2 import ServerFraming, without_ping_acks

_DEFAULT_WINDOW = 65_535


class Wire:
    """One TLS transport and the HTTP/2 framing on it.

    Nothing is written before the first SETTINGS, nor before `flush`: the answers to one read leave in one write.

    Args:
        max_header_list: bytes of a request's header list.
        turns_away: whether a stream that is opened now is refused; see `refuse`.
    """

    def __init__(self, max_header_list: int, turns_away: Callable[[], bool]) -> None:
        self._framing = ServerFraming(max_header_list, turns_away)
        self._transport: Transport | None = None
        self._greeted = False
        self._out: list[bytes] = []
        self._unflushed: set[int] = set()
        self._blocked_bodies: dict[int, bytes] = {}
        self._withheld: list[tuple[int | None, int]] = []
        self._mute = False
        self.stop_reading = False
        self.ignore_ping = False
        self.ping_delay_s = 0.0
        self.withhold_credit: bool | str = False

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
        return len(self._unflushed) + len(self._blocked_bodies)

    def connect(self, transport: Transport) -> str | None:
        """Take the transport; tells the protocol that ALPN has negotiated."""
        self._transport = transport
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        return tls.selected_alpn_protocol() if tls is not None else None

    def forget(self) -> None:
        """The transport is gone."""
        self._transport = None

    def receive(self, data: memoryview) -> Iterator[Event]:
        """Parse what has come, a frame at a time.

        Raises:
            H2Error: if the sender broke the protocol; the GOAWAY that says so is ready to be flushed.
        """
        return self._framing.events(data)

    def greet(self, settings: Mapping[int, int], connection_window: int | None) -> None:
        """Send the first SETTINGS, ahead of whatever has been gathered, and widen the connection's window."""
        if self._greeted:
            return
        self._out.insert(0, self._framing.settings_frame(settings))
        if connection_window is not None and connection_window > _DEFAULT_WINDOW:
            self._framing.increment_flow_control_window(connection_window - _DEFAULT_WINDOW)
        self._greeted = True

    def settings(self, settings: Mapping[int, int]) -> None:
        """Send SETTINGS."""
        self.say(self._framing.settings_frame(settings))

    def say(self, frames: bytes) -> None:
        """Send frames that the framing knows nothing of."""
        self.collect()
        self._out.append(frames)

    def goaway(self, code: int, debug: bytes, last_stream: int) -> None:
        """Send GOAWAY; the framing goes on."""
        self._framing.close_connection(code, debug, last_stream)

    def respond(
        self,
        stream: int,
        headers: list[tuple[bytes, bytes]],
        body: bytes,
        bend: Callable[[bytes], bytes] | None = None,
    ) -> bool:
        """Send an answer. False if the sender has cancelled the stream meanwhile.

        Args:
            stream: an open one.
            headers: `:status` first.
            body: may be empty.
            bend: makes other frames of those that are the answer; not asked where the body has to wait for credit.
        """
        if bend is not None:
            self.collect()
        before = len(self._out)
        try:
            self._framing.send_headers(stream, headers, end_stream=not body)
        except ProtocolError:
            return False
        self._unflushed.add(stream)
        if body:
            self._send_body(stream, body)
        if bend is not None and stream not in self._blocked_bodies:
            self.collect()
            straight = b"".join(self._out[before:])
            self._out[before:] = [bend(straight)]
        return True

    def reset(self, stream: int, code: int, *, twice: bool = False) -> None:
        """Send RST_STREAM, unless the stream is closed already; and STREAM_CLOSED after it."""
        try:
            self._framing.reset_stream(stream, code)
        except ProtocolError:
            return
        self._unflushed.add(stream)
        if twice:
            self.say(_rst_stream(stream, ErrorCodes.STREAM_CLOSED))

    def refuse(self, stream: int) -> None:
        """Send RST_STREAM with REFUSED_STREAM for a stream that was turned away."""
        self._unflushed.add(stream)
        self.say(_rst_stream(stream, ErrorCodes.REFUSED_STREAM))

    def cancelled(self, stream: int) -> None:
        """The sender has reset a stream: what is left of its answer has no taker, and it counts no more."""
        self._unflushed.discard(stream)
        self._blocked_bodies.pop(stream, None)

    def received_credit(self) -> None:
        """The sender has opened a window: go on with answers that waited for it."""
        for stream, body in list(self._blocked_bodies.items()):
            del self._blocked_bodies[stream]
            self._unflushed.add(stream)
            self._send_body(stream, body)

    def give_credit(self, event: DataReceived) -> None:
        """Let the sender send as much again as it has sent, now or when credit is no longer withheld."""
        size = event.flow_controlled_length or 0
        if not self.withhold_credit:
            self._framing.acknowledge_received_data(size, event.stream_id)
            return
        for name, stream in (("connection", None), ("stream", event.stream_id)):
            if self.withhold_credit in (True, name):
                self._withheld.append((stream, size))
            else:
                self._widen(stream, size)

    def give_withheld_credit(self) -> None:
        """Give back what was withheld, unless it still is."""
        withheld, self._withheld = self._withheld, []
        for stream, size in withheld:
            if self.withhold_credit in (True, "connection" if stream is None else "stream"):
                self._withheld.append((stream, size))
            else:
                self._widen(stream, size)

    def _widen(self, stream: int | None, size: int) -> None:
        if size:
            with contextlib.suppress(ProtocolError):  # the stream may be closed
                self._framing.increment_flow_control_window(size, stream)

    def collect(self) -> None:
        """Take over what h2 has ready."""
        if data := self._framing.data_to_send():
            self._out.append(data)

    def flush(self, *, ungreeted: bool = False) -> None:
        """Hand everything to the transport; before the first SETTINGS nothing is, unless that is wanted."""
        if self._transport is None or not (self._greeted or ungreeted):
            return
        self.collect()
        self._unflushed.clear()
        if self._out:
            data = b"".join(self._out)
            self._out.clear()
            if self._mute:
                return
            if self.ignore_ping or self.ping_delay_s:
                data, acks = without_ping_acks(data)
                if acks and not self.ignore_ping:
                    get_running_loop().call_later(self.ping_delay_s, self._write_late, acks)
            if data:
                self._transport.write(data)

    def _write_late(self, frames: bytes) -> None:
        if self._transport is not None and not self._mute:
            self._transport.write(frames)

    def close(self) -> None:
        """Write what is due, then close_notify and FIN."""
        self.flush()
        if self._transport is not None:
            # asyncio's TLS, told of the end while reading is paused, waits for it to go on before it closes.
            self._transport.resume_reading()
            self._transport.close()
            self._transport = None

    def abort(self) -> None:
        """Reset the TCP connection: what was written and has not arrived is lost."""
        if self._transport is not None:
            reset(self._transport)
            self._transport = None

    def end_half(self) -> None:
        """FIN without a word of TLS; nothing more is written, and what comes is still read."""
        self.flush()
        self._mute = True
        sock: socket.socket | None = self._transport.get_extra_info("socket") if self._transport else None
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_WR)

    def vanish(self) -> None:
        """Neither read nor write any more, and say nothing of it."""
        self._mute = True
        self.pause_reading()

    def forget_and_close(self) -> None:
        """Close a connection that has fallen silent before."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def pause_reading(self) -> None:
        """Take nothing more from the sender for now."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take from the sender again."""
        if self._transport is not None and not (self.stop_reading or self._mute):
            self._transport.resume_reading()

    def _send_body(self, stream: int, body: bytes) -> None:
        """Send as much as the sender's windows allow; the rest waits for credit."""
        while body:
            try:
                room = min(self._framing.local_flow_control_window(stream), self._framing.max_outbound_frame_size)
                if room <= 0:
                    self._unflushed.discard(stream)  # it counts among those that wait, and once
                    self._blocked_bodies[stream] = body
                    return
                self._framing.send_data(stream, body[:room], end_stream=room >= len(body))
            except ProtocolError:
                return  # cancelled by the sender meanwhile
            body = body[room:]


def _rst_stream(stream: int, code: int) -> bytes:
    return b"\x00\x00\x04\x03\x00" + stream.to_bytes(4) + code.to_bytes(4)
