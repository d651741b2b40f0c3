"""HTTP/2 frames as bytes (RFC 9113, section 4 and 6): numbers, limits, and the few frames that a client writes."""

import struct
from enum import IntEnum, IntFlag
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_HEADER_LENGTH: Final = 9
DEFAULT_WINDOW: Final = 65_535
DEFAULT_MAX_FRAME: Final = 16_384
LARGEST_WINDOW: Final = 2**31 - 1
LARGEST_STREAM_ID: Final = 2**31 - 1
LARGEST_MAX_FRAME: Final = 2**24 - 1


class FrameType(IntEnum):
    """The frame types of RFC 9113; any other number is ignored (section 4.1)."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Flag(IntFlag):
    """Frame flags. `END_STREAM` and `ACK` are the same bit on different frames."""

    ACK = 0x01
    END_STREAM = 0x01
    END_HEADERS = 0x04
    PADDED = 0x08
    PRIORITY = 0x20


class Setting(IntEnum):
    """The settings of RFC 9113, section 6.5.2."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


class ErrorCode(IntEnum):
    """Error codes of GOAWAY and RST_STREAM (RFC 9113, section 7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


class PeerViolationError(Exception):
    """The peer broke HTTP/2 in a way that ends the connection. Stays inside the session."""

    def __init__(self, code: ErrorCode, text: str) -> None:
        super().__init__(f"{code.name}: {text}")
        self.code = code
        self.text = text


unpack_frame_header = struct.Struct(">IBI").unpack_from
"""`(length << 8 | type, flags, stream id with the reserved bit)` from nine bytes at an offset: one call, no slices."""

_pack_frame_header = struct.Struct(">IBI").pack
pack_stream_id = struct.Struct(">I").pack
unpack_settings = struct.Struct(">HI").iter_unpack
_pack_setting = struct.Struct(">HI").pack


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """One whole frame; the caller keeps `payload` within the peer's MAX_FRAME_SIZE."""
    return _pack_frame_header(len(payload) << 8 | kind, flags, stream_id) + payload


def frame_opening(kind: int, flags: int, length: int) -> bytes:
    """The first five bytes of a frame header, which frames of one shape share; the stream id follows."""
    return _pack_frame_header(length << 8 | kind, flags, 0)[:5]


def settings_frame(settings: dict[Setting, int]) -> bytes:
    """SETTINGS with these values."""
    return frame(FrameType.SETTINGS, 0, 0, b"".join(_pack_setting(key, value) for key, value in settings.items()))


def reset_frame(stream_id: int, code: ErrorCode) -> bytes:
    """RST_STREAM."""
    return frame(FrameType.RST_STREAM, 0, stream_id, pack_stream_id(code))


def window_update_frame(stream_id: int, increment: int) -> bytes:
    """WINDOW_UPDATE; stream 0 is the connection."""
    return frame(FrameType.WINDOW_UPDATE, 0, stream_id, pack_stream_id(increment))


def goaway_frame(code: ErrorCode, debug: bytes = b"") -> bytes:
    """GOAWAY of a client: no stream of the peer was ever accepted, so the last stream id is 0."""
    return frame(FrameType.GOAWAY, 0, 0, pack_stream_id(0) + pack_stream_id(code) + debug)
