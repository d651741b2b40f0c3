"""A server that breaks HTTP/2: the session says why, ends, and every push has its outcome."""

import hpack
import pytest
from h2_peer import Conversation, Ending, goaway, headers, letter, reset
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    HeadersFrame,
    PingFrame,
    PushPromiseFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

from skerry.apns.frames import ErrorCode
from skerry.apns.session import RECEIVE_WINDOW, REPLY_BOUND
from skerry.domain.push import Outcome


def raw(kind: int, flags: int, stream_id: int, payload: bytes = b"", *, length: int | None = None) -> bytes:
    """A frame of any shape, its length told as `length` where that is given."""
    size = len(payload) if length is None else length
    return size.to_bytes(3, "big") + bytes((kind, flags)) + stream_id.to_bytes(4, "big") + payload


def bare(*found: Frame) -> bytes:
    return b"".join(frame.serialize() for frame in found)


DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
LONG_LIST = hpack.Encoder().encode([(f"x-{number}", "0" * 1_000) for number in range(40)])
VIOLATIONS = {
    "settings-on-a-stream": (raw(SETTINGS, 0, 1), "PROTOCOL_ERROR"),
    "settings-of-five-octets": (raw(SETTINGS, 0, 0, b"12345"), "FRAME_SIZE_ERROR"),
    "settings-ack-with-values": (raw(SETTINGS, 1, 0, b"123456"), "FRAME_SIZE_ERROR"),
    "push-enabled": (bare(SettingsFrame(0, settings={2: 1})), "PROTOCOL_ERROR"),
    "initial-window-too-large": (bare(SettingsFrame(0, settings={4: 2**31})), "FLOW_CONTROL_ERROR"),
    "max-frame-too-small": (bare(SettingsFrame(0, settings={5: 16_383})), "PROTOCOL_ERROR"),
    "max-frame-too-large": (bare(SettingsFrame(0, settings={5: 2**24})), "PROTOCOL_ERROR"),
    "push-promise": (bare(PushPromiseFrame(1, 2, b"\x88", flags=["END_HEADERS"])), "PROTOCOL_ERROR"),
    "ping-on-a-stream": (raw(PING, 0, 1, b"12345678"), "PROTOCOL_ERROR"),
    "ping-of-seven-octets": (raw(PING, 0, 0, b"1234567"), "FRAME_SIZE_ERROR"),
    "goaway-on-a-stream": (raw(GOAWAY, 0, 1, b"\0" * 8), "PROTOCOL_ERROR"),
    "goaway-of-seven-octets": (raw(GOAWAY, 0, 0, b"\0" * 7), "FRAME_SIZE_ERROR"),
    "reset-of-five-octets": (raw(RST_STREAM, 0, 1, b"\0" * 5), "FRAME_SIZE_ERROR"),
    "reset-of-an-idle-stream": (bare(reset(99, 8)), "PROTOCOL_ERROR"),
    "reset-of-no-stream": (raw(RST_STREAM, 0, 0, b"\0\0\0\x08"), "PROTOCOL_ERROR"),
    "answer-on-an-idle-stream": (bare(headers(99, b"\x88")), "PROTOCOL_ERROR"),
    "answer-on-an-even-stream": (bare(headers(2, b"\x88")), "PROTOCOL_ERROR"),
    "answer-on-no-stream": (raw(HEADERS, 5, 0, b"\x88"), "PROTOCOL_ERROR"),
    "body-on-no-stream": (raw(DATA, 0, 0, b"x"), "PROTOCOL_ERROR"),
    "body-on-an-idle-stream": (bare(DataFrame(99, b"x")), "PROTOCOL_ERROR"),
    "padding-without-its-length": (raw(DATA, 8, 1), "FRAME_SIZE_ERROR"),
    "padding-longer-than-the-frame": (raw(DATA, 8, 1, b"\x05abcd"), "PROTOCOL_ERROR"),
    "header-padding-longer-than-the-frame": (raw(HEADERS, 12, 1, b"\x05\x88"), "PROTOCOL_ERROR"),
    "headers-too-short-for-priority": (raw(HEADERS, 0x24, 1, b"\x88"), "FRAME_SIZE_ERROR"),
    "priority-on-no-stream": (raw(PRIORITY, 0, 0, b"\0" * 5), "PROTOCOL_ERROR"),
    "priority-of-four-octets": (raw(PRIORITY, 0, 1, b"\0" * 4), "FRAME_SIZE_ERROR"),
    "no-credit": (raw(WINDOW_UPDATE, 0, 0, b"\0\0\0\0"), "PROTOCOL_ERROR"),
    "credit-of-three-octets": (raw(WINDOW_UPDATE, 0, 0, b"\0\0\1"), "FRAME_SIZE_ERROR"),
    "too-much-credit": (bare(WindowUpdateFrame(0, 2**31 - 1)), "FLOW_CONTROL_ERROR"),
    "credit-for-an-idle-stream": (bare(WindowUpdateFrame(99, 1)), "PROTOCOL_ERROR"),
    "continuation-of-nothing": (bare(ContinuationFrame(1, b"\x88")), "PROTOCOL_ERROR"),
    "continuation-of-another": (bare(HeadersFrame(1, b""), ContinuationFrame(3, b"\x88")), "PROTOCOL_ERROR"),
    "a-frame-inside-a-block": (bare(HeadersFrame(1, b""), PingFrame(0, b"12345678")), "PROTOCOL_ERROR"),
    "an-answer-inside-a-block": (bare(HeadersFrame(1, b""), headers(3, b"\x88")), "PROTOCOL_ERROR"),
    "an-unknown-frame-inside-a-block": (bare(HeadersFrame(1, b"")) + raw(77, 0, 0), "PROTOCOL_ERROR"),
    "a-block-without-end": (bare(HeadersFrame(1, b""), *[ContinuationFrame(1, b"")] * 40), "ENHANCE_YOUR_CALM"),
    "a-block-too-long": (
        bare(HeadersFrame(1, b""), *[ContinuationFrame(1, b"\0" * 16_384)] * 3),
        "ENHANCE_YOUR_CALM",
    ),
    "a-header-list-too-long": (
        bare(HeadersFrame(1, LONG_LIST[:16_000]), ContinuationFrame(1, LONG_LIST[16_000:], flags=["END_HEADERS"])),
        "ENHANCE_YOUR_CALM",
    ),
    "an-index-that-is-not-there": (bare(headers(1, b"\xff\x00")), "COMPRESSION_ERROR"),
    "a-table-too-large": (bare(headers(1, b"\x3f\xff\x7f\x88")), "COMPRESSION_ERROR"),
    "a-block-cut-short": (bare(headers(1, b"\x00\x07:sta")), "COMPRESSION_ERROR"),
    "a-number-without-end": (bare(headers(1, b"\x7f" + b"\xff" * 16_000)), "COMPRESSION_ERROR"),
    "a-frame-too-large": (raw(DATA, 0, 1, b"", length=16_385), "FRAME_SIZE_ERROR"),
    "a-huge-frame": (raw(HEADERS, 5, 1, b"\x88", length=2**24 - 1), "FRAME_SIZE_ERROR"),
    "http-1": (b"HTTP/1.1 400 Bad Request\r\n\r\n", "FRAME_SIZE_ERROR"),
}


@pytest.mark.parametrize("name", VIOLATIONS)
def test_it_ends_the_connection_with_the_code_for_it(name: str) -> None:
    sent, code = VIOLATIONS[name]
    talk = Conversation()
    talk.push(2)
    talk.exchange()
    talk.session.receive(sent)
    assert talk.session.failure is not None
    assert talk.session.failure.startswith(f"{code}: ")
    assert len(talk.session.failure) < 250
    talk.server.receive(talk.session.take_outgoing())
    (said,) = talk.server.goaways
    assert said.error_code == ErrorCode[code]
    talk.settle()
    assert talk.endings == dict.fromkeys(range(2), Ending(Outcome.UNKNOWN, "connection_lost"))
    assert (talk.session.room(0), talk.session.accepting) == (0, False)
    talk.session.receive(b"anything" * 10)
    assert talk.session.take_outgoing() == b""
    talk.end()


WHOLE = ("END_HEADERS", "END_STREAM")


@pytest.mark.parametrize(
    "sent",
    [
        bare(HeadersFrame(3, b""), headers(3, b"\x88", *WHOLE)),
        bare(HeadersFrame(3, b""), headers(5, b"\x88", *WHOLE)),
        bare(headers(4, b"\x88", *WHOLE)),
        bare(headers(99, b"\x88", *WHOLE)),
        raw(HEADERS, 5, 0, b"\x88"),
    ],
    ids=["inside-its-own-block", "inside-another-block", "on-an-even-stream", "on-an-idle-stream", "on-no-stream"],
)
def test_a_plain_200_where_there_must_be_none(sent: bytes) -> None:
    """The fast way of reading must see it as well: it is taken once the server's encoder keeps no table."""
    talk = Conversation()
    talk.push(3)
    talk.exchange()
    talk.server.answer(1)
    talk.exchange()
    talk.session.receive(sent)
    assert talk.session.failure is not None
    assert talk.session.failure.startswith("PROTOCOL_ERROR: ")
    talk.end()


@pytest.mark.parametrize(
    "first", [raw(PING, 0, 0, b"12345678"), raw(SETTINGS, 1, 0), raw(77, 0, 0), raw(WINDOW_UPDATE, 0, 0, b"\0\0\0\1")]
)
def test_the_first_frame_has_to_be_settings(first: bytes) -> None:
    talk = Conversation(begin=False)
    talk.session.receive(first)
    assert talk.session.failure == "PROTOCOL_ERROR: the first frame is not SETTINGS"


@pytest.mark.parametrize("frame", [PingFrame(0, b"12345678"), SettingsFrame(0)])
def test_a_flood_of_questions_is_not_answered_for_ever(frame: Frame) -> None:
    talk = Conversation()
    talk.session.receive(frame.serialize() * REPLY_BOUND)
    assert talk.session.failure is None
    assert len(talk.session.take_outgoing()) == REPLY_BOUND * len(frame.serialize())
    talk.session.receive(frame.serialize() * (REPLY_BOUND + 1))
    assert talk.session.failure == "ENHANCE_YOUR_CALM: too many frames that want an acknowledgement"


def test_more_body_than_the_connection_window_is_a_violation() -> None:
    talk = Conversation()
    talk.push()
    talk.exchange()
    run = talk.session.runs[0]
    talk.session.cancel(run, "shutdown")
    frame = DataFrame(1, b"x" * 16_384).serialize()
    talk.session.receive(frame * (RECEIVE_WINDOW // 16_384))
    assert talk.session.failure is None, "what comes for a closed stream counts, and its credit is given back"
    assert talk.session.take_outgoing()


def blocked() -> Conversation:
    """The connection window is used up; of the last body, on stream 13, a part is unsent."""
    talk = Conversation()
    for count in (6, 1):
        talk.push(count, letter(b"x" * 10_000))
    talk.exchange()
    return talk


@pytest.mark.parametrize(("increment", "code"), [(0, "PROTOCOL_ERROR"), (2**31 - 1, "FLOW_CONTROL_ERROR")])
def test_wrong_credit_for_one_stream_ends_that_stream(increment: int, code: str) -> None:
    talk = blocked()
    talk.session.receive(raw(WINDOW_UPDATE, 0, 13, increment.to_bytes(4, "big")))
    talk.exchange()
    assert talk.endings == {6: Ending(Outcome.UNKNOWN, "malformed_answer")}
    assert talk.server.requests[13].reset == ErrorCode[code]
    assert talk.session.failure is None


def test_settings_that_raise_one_streams_window_too_far_are_a_violation() -> None:
    talk = blocked()
    talk.session.receive(bare(WindowUpdateFrame(13, 2**31 - 1 - 65_535 + 5_535)))
    assert talk.session.failure is None
    talk.session.receive(bare(SettingsFrame(0, settings={4: 65_536})))
    assert talk.session.failure == "FLOW_CONTROL_ERROR: a stream window above 2^31-1"


# Any frames at all

stream_ids = st.sampled_from([0, 1, 3, 5, 7, 9, 11, 2, 99, 2**31 - 1, 2**31 + 3])
blocks = st.sampled_from(
    [
        b"\x88",
        b"\x20\x88",
        b"\x8c",
        b"\x3f\x01\x88",
        b"\x48\x03103",
        b"\x08\x03418\x40\x01a\x01b",
        b"\xbe",
        b"\xff\x00",
        b"",
    ]
) | st.binary(max_size=12)
payloads = blocks | st.binary(max_size=40) | st.sampled_from([b"\0\0\0\0", b"\0\0\0\7", b"\x7f\xff\xff\xff", b"\0" * 8])
any_frame = st.builds(
    raw,
    st.integers(0, 10),
    st.sampled_from([0, 1, 4, 5, 5, 8, 13, 0x24, 0x2D, 0xFF]),
    stream_ids,
    payloads,
)
setting = st.builds(
    lambda key, value: raw(SETTINGS, 0, 0, key.to_bytes(2, "big") + value.to_bytes(4, "big")),
    st.integers(0, 8),
    st.sampled_from([0, 1, 2, 100, 16_384, 65_535, 2**31 - 1, 2**31, 2**32 - 1]),
)
likely_answer = st.builds(
    lambda stream_id, block: raw(HEADERS, 5, stream_id, block), st.sampled_from([1, 3, 5, 7]), blocks
)
ending = st.builds(lambda last: goaway(last).serialize(), st.integers(0, 12))
moves = st.one_of(
    likely_answer,
    likely_answer,
    any_frame,
    any_frame,
    setting,
    ending,
    st.sampled_from(["push", "cancel", "expire", "ping"]),
)


def converse(steps: list[bytes | str], portion: int, *, begun: bool) -> None:
    """Whatever comes, in portions: nothing is raised, what is said is well formed, and every push ends once."""
    talk = Conversation(begin=begun)
    said = bytearray(talk.session.take_outgoing())
    for step in ["push", *steps]:
        if isinstance(step, bytes):
            for place in range(0, len(step), portion):
                talk.session.receive(step[place : place + portion])
        else:
            command(talk, step)
        said += talk.session.take_outgoing()
        talk.settle()
    assert well_formed(bytes(said))
    assert talk.session.failure is None or talk.session.open_streams == 0
    talk.end()


def command(talk: Conversation, name: str) -> None:
    session = talk.session
    if name == "push" and (room := min(4, session.room(73))):
        talk.push(room, deadline=50.0)
    elif name == "cancel" and session.runs:
        session.cancel(session.runs[0], "shutdown")
    elif name == "expire":
        session.expire(60.0)
    elif name == "ping" and session.failure is None:
        session.ping(b"12345678")


def well_formed(said: bytes) -> bool:
    """Whole frames only, and after our GOAWAY nothing."""
    said = said.removeprefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    ended = False
    while said:
        assert not ended
        frame, length = Frame.parse_frame_header(memoryview(said[:9]))
        frame.parse_body(memoryview(said[9 : 9 + length]))
        assert len(said) >= 9 + length
        ended = said[3] == GOAWAY
        said = said[9 + length :]
    return True


conversations = given(
    steps=st.lists(moves, max_size=30),
    portion=st.sampled_from([1, 7, 10_000]),
    begun=st.sampled_from([True, True, False]),
)
noise = given(data=st.binary(max_size=400), portion=st.sampled_from([1, 7, 10_000]), begun=st.booleans())


@settings(max_examples=400, deadline=None, derandomize=True)
@conversations
@example(steps=[raw(HEADERS, 5, 1, b"\x20\x88"), raw(HEADERS, 5, 2**31 + 3, b"\x88")], portion=1, begun=True)
def test_no_frames_make_it_raise_hang_or_forget_a_push(steps: list[bytes | str], portion: int, *, begun: bool) -> None:
    converse(steps, portion, begun=begun)


@settings(max_examples=150, deadline=None, derandomize=True)
@noise
def test_no_octets_make_it_raise_hang_or_forget_a_push(data: bytes, portion: int, *, begun: bool) -> None:
    converse([data], portion, begun=begun)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@settings(max_examples=20_000, deadline=None)
@conversations
def test_the_same_with_many_more_frames(steps: list[bytes | str], portion: int, *, begun: bool) -> None:
    converse(steps, portion, begun=begun)


@pytest.mark.slow
@pytest.mark.timeout(600)
@settings(max_examples=5_000, deadline=None)
@noise
def test_the_same_with_many_more_octets(data: bytes, portion: int, *, begun: bool) -> None:
    converse([data], portion, begun=begun)


# Portions


@settings(max_examples=60, deadline=None, derandomize=True)
@given(cuts=st.lists(st.integers(0, 2_000), max_size=40), one_by_one=st.booleans())
def test_the_portions_of_a_conversation_do_not_matter(cuts: list[int], *, one_by_one: bool) -> None:
    said = _a_conversation_with_everything()
    places = range(len(said)) if one_by_one else sorted({*cuts, 0})
    whole, parts = _heard([said]), _heard([said[a:b] for a, b in zip(places, [*places[1:], None], strict=True)])
    assert parts == whole


def _heard(portions: list[bytes]) -> tuple[object, ...]:
    talk = Conversation()
    talk.push(30, letter(b"x"))
    talk.session.take_outgoing()
    for portion in portions:
        talk.session.receive(portion)
    talk.settle()
    session = talk.session
    return (
        talk.endings,
        session.goaway,
        session.stream_limit,
        session.take_outgoing(),
        session.failure,
        session.answered,
    )


def _a_conversation_with_everything() -> bytes:
    talk = Conversation()
    talk.push(30, letter(b"x"))
    talk.server.receive(talk.session.take_outgoing())
    server = talk.server
    server.answer(1)
    server.answer(3, 400, b'{"reason":"BadDeviceToken"}')
    server.settings(max_concurrent_streams=1)
    for stream_id in range(5, 31, 2):
        server.answer(stream_id)
    server.h2.send_headers(31, [(":status", "103")])
    server.h2.send_headers(31, [(":status", "410"), ("x-long", "y" * 60)])
    server.h2.send_data(31, b'{"reason":', pad_length=5)
    server.reset(33, 7)
    server.reset(35, 8)
    server.h2.ping(b"12345678")
    server.h2.send_data(31, b'"Unregistered"}', end_stream=True)
    said = server.h2.data_to_send()
    return said + bare(
        HeadersFrame(37, b""),
        ContinuationFrame(37, b"\x88", flags=["END_HEADERS"]),
        DataFrame(37, b"", flags=["END_STREAM"]),
        reset(33, 5),
        goaway(51, 0, b'{"reason":"Shutdown"}'),
        headers(39, b"\x88", "END_HEADERS", "END_STREAM"),
    )
