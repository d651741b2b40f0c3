"""Odd forms of an answer: the same status and reason, said in frames that a sender may not have thought of. Pure.

An answer is framed as usual and then bent: so the header compression and the windows of the connection stay right.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import formatdate
from typing import NamedTuple

from skerry.simulator.apns.fault import Selector, selecting, selection

_DATA, _HEADERS, _RST_STREAM, _WINDOW_UPDATE, _CONTINUATION = 0x0, 0x1, 0x3, 0x8, 0x9
_END_STREAM, _END_HEADERS, _PADDED = 0x1, 0x4, 0x8
_STREAM_CLOSED = 5
_LARGEST_FRAME = 16_384
"""What every peer must take (RFC 9113 4.2)."""
_HEADER = struct.Struct(">HBBBI")
_STATUS_NAME_INDEX = b"\x08"
"""Literal without indexing, name `:status` of the static table (RFC 7541 6.2.2)."""
_TRAILER = b"\x00\x0cx-apns-debug\x04done"

_ENDS = ("headers", "data")
_IDS = ("missing", "upper", "other")
_AFTERS = ("headers", "data", "rst_stream", "window_update")
OTHER_ID = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply(Selector):
    """How answers are framed. The defaults are APNs' own manner."""

    pieces: int = 1
    """DATA frames that the body comes in."""
    continuation: int = 0
    """CONTINUATION frames that the header block goes on in."""
    padding: int = 0
    """Octets of padding on HEADERS and DATA."""
    interim: int = 0
    """Header sections with status 103 before the final one."""
    trailers: bool = False
    end: str | None = None
    """Where END_STREAM is said: `data` in a DATA frame (an empty one where there is no body), `headers` in HEADERS,
    and the body is left out."""
    apns_id: str | None = None
    """`missing`, in `upper` case, or that of `other` requests."""
    date_skew_s: float | None = None
    """Adds a `date` header that is so far from the simulated world's time."""
    then: str | None = None
    """A frame more on the stream after its end: `headers`, `data`, `rst_stream` or `window_update`."""


PLAIN = Reply()


class Frame(NamedTuple):
    """One HTTP/2 frame."""

    kind: int
    flags: int
    stream: int
    payload: bytes

    def serialize(self) -> bytes:
        """As it goes on the wire; the payload may be longer than any peer must take."""
        return frame(self.kind, self.flags, self.stream, self.payload)


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """A frame of any kind, legal or not."""
    return _HEADER.pack(len(payload) >> 8, len(payload) & 0xFF, kind, flags, stream) + payload


def read_reply(value: object, where: str) -> Reply:
    """A share, or a selector with the fields of `Reply`."""
    fields = selecting(value, where)
    reply = Reply(
        **selection(fields),
        pieces=fields.whole("pieces", 1, 1, 4096) or 1,
        continuation=fields.whole("continuation", 0, 0, 1000) or 0,
        padding=fields.whole("padding", 0, 0, 255) or 0,
        interim=fields.whole("interim", 0, 0, 1000) or 0,
        trailers=fields.flag("trailers", default=False),
        end=fields.text("end", _ENDS),
        apns_id=fields.text("apns_id", _IDS),
        date_skew_s=fields.number("date_skew_s", None, -1e9, 1e9),
        then=fields.text("then", _AFTERS),
    )
    fields.finish()
    return reply


def bent_headers(headers: list[tuple[bytes, bytes]], reply: Reply, now: float) -> list[tuple[bytes, bytes]]:
    """The response headers with another `apns-id`, or with a `date`."""
    bent = list(headers)
    for place, (name, value) in enumerate(headers):
        if name == b"apns-id":
            match reply.apns_id:
                case "missing":
                    del bent[place]
                case "upper":
                    bent[place] = (name, value.upper())
                case "other":
                    bent[place] = (name, OTHER_ID.encode())
    if reply.date_skew_s is not None:
        bent.append((b"date", formatdate(now + reply.date_skew_s, usegmt=True).encode()))
    return bent


def bent_frames(data: bytes, reply: Reply) -> bytes:
    """The frames of one whole answer, bent.

    Args:
        data: HEADERS and DATA of one stream, the last with END_STREAM.
        reply: how to bend them.
    """
    return b"".join(one.serialize() for one in _bent(list(frames_in(data)), reply))


def cut_off(data: bytes, code: int, *, within_body: bool) -> bytes:
    """The beginning of an answer, and RST_STREAM instead of the rest."""
    head, *rest = frames_in(data)
    kept = [head._replace(flags=head.flags & ~_END_STREAM)]
    if within_body and rest:
        kept.append(rest[0]._replace(flags=0, payload=rest[0].payload[: len(rest[0].payload) // 2]))
    kept.append(Frame(_RST_STREAM, 0, head.stream, code.to_bytes(4)))
    return b"".join(one.serialize() for one in kept)


def frames_in(data: bytes) -> Iterator[Frame]:
    """The whole frames of a run of bytes."""
    at = 0
    while at < len(data):
        high, low, kind, flags, stream = _HEADER.unpack_from(data, at)
        end = at + _HEADER.size + (high << 8 | low)
        yield Frame(kind, flags, stream, data[at + _HEADER.size : end])
        at = end


def _bent(answer: list[Frame], reply: Reply) -> Iterator[Frame]:
    head, body = answer[0], b"".join(one.payload for one in answer[1:])
    stream = head.stream
    if reply.end == "headers":
        body = b""
    last = reply.trailers, bool(body) or reply.end == "data"
    for _ in range(reply.interim):
        yield Frame(_HEADERS, _END_HEADERS, stream, _STATUS_NAME_INDEX + b"\x03103")
    yield from _header_block(head, 0 if any(last) else _END_STREAM, reply)
    if last[1]:
        yield from _data_frames(stream, body, reply)
    if reply.trailers:
        yield Frame(_HEADERS, _END_HEADERS | _END_STREAM, stream, _TRAILER)
    yield from _after_the_end(stream, reply)


def _header_block(head: Frame, end_stream: int, reply: Reply) -> Iterator[Frame]:
    block = head.payload
    size = -(-len(block) // (reply.continuation + 1)) or 1
    first, rest = block[:size], [block[at : at + size] for at in range(size, len(block), size)]
    rest += [b""] * (reply.continuation - len(rest))
    flags = end_stream | (0 if rest else _END_HEADERS)
    yield _padded(Frame(_HEADERS, flags, head.stream, first), reply.padding)
    for place, part in enumerate(rest):
        yield Frame(_CONTINUATION, _END_HEADERS if place == len(rest) - 1 else 0, head.stream, part)


def _data_frames(stream: int, body: bytes, reply: Reply) -> Iterator[Frame]:
    size = min(max(1, -(-len(body) // reply.pieces)), _LARGEST_FRAME - reply.padding - 1)
    parts = [body[at : at + size] for at in range(0, len(body), size)] or [b""]
    for place, part in enumerate(parts):
        final = place == len(parts) - 1 and not reply.trailers
        yield _padded(Frame(_DATA, _END_STREAM if final else 0, stream, part), reply.padding)


def _after_the_end(stream: int, reply: Reply) -> Iterator[Frame]:
    match reply.then:
        case "headers":
            yield Frame(_HEADERS, _END_HEADERS | _END_STREAM, stream, b"\x88")
        case "data":
            yield Frame(_DATA, _END_STREAM, stream, b"late")
        case "rst_stream":
            yield Frame(_RST_STREAM, 0, stream, _STREAM_CLOSED.to_bytes(4))
        case "window_update":
            yield Frame(_WINDOW_UPDATE, 0, stream, (1000).to_bytes(4))


def _padded(one: Frame, padding: int) -> Frame:
    if not padding:
        return one
    return one._replace(flags=one.flags | _PADDED, payload=bytes([padding]) + one.payload + bytes(padding))
