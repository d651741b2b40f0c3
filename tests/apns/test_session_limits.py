"""What the server allows, before and while it changes: streams, windows, the header table."""

import hpack
import pytest
from h2.settings import SettingCodes
from h2_peer import AUTHORIZATION, BODY, Conversation, headers, letter, token
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry.apns.frames import LARGEST_WINDOW
from skerry.apns.headers import HeaderReader, HeaderWriter, literal_field, longest_block, path_opening
from skerry.domain.push import Outcome


def bodies(talk: Conversation) -> list[bytes]:
    return [bytes(request.body) for request in talk.server.requests.values()]


class TestStreamLimit:
    def test_it_rises_from_one(self) -> None:
        talk = Conversation(settings={SettingCodes.MAX_CONCURRENT_STREAMS: 1})
        assert talk.session.room(10) == 1
        talk.push()
        assert talk.session.room(10) == 0
        talk.exchange()
        talk.server.answer(1)
        talk.server.settings(max_concurrent_streams=500)
        talk.exchange()
        assert talk.session.room(10) == 500

    def test_it_falls_below_what_is_open_and_nothing_is_lost(self) -> None:
        talk = Conversation()
        talk.push(800, letter(b"x"))
        talk.exchange()
        talk.server.settings(max_concurrent_streams=1)
        talk.exchange()
        assert talk.session.room(1) == 0
        for stream_id in range(1, 1599, 2):
            talk.server.answer(stream_id)
        talk.exchange()
        assert talk.session.room(1) == 0, "one is open still"
        talk.server.answer(1599)
        talk.exchange()
        assert talk.session.room(1) == 1
        assert list(talk.outcomes.values()) == [Outcome.ACCEPTED] * 800

    def test_at_zero_everything_waits(self) -> None:
        talk = Conversation(settings={SettingCodes.MAX_CONCURRENT_STREAMS: 0})
        assert talk.session.room(0) == 0
        assert talk.session.accepting
        talk.server.settings(max_concurrent_streams=3)
        talk.exchange()
        assert talk.session.room(0) == 3

    def test_a_server_that_sets_none_sets_none(self) -> None:
        talk = Conversation(begin=False, stream_bound=40)
        talk.session.receive(b"\0\0\0\x04\0\0\0\0\0")
        assert talk.session.room(0) == 40


class TestWindows:
    def test_no_more_bodies_than_the_connection_window_takes(self) -> None:
        talk = Conversation()
        assert talk.session.room(10_000) == 6
        talk.push(6, letter(b"x" * 10_000))
        talk.exchange()
        assert [len(body) for body in bodies(talk)] == [10_000] * 6
        assert talk.session.room(5_535) == 1
        talk.server.credit(10_000)
        talk.exchange()
        assert talk.session.room(5_000) == 3

    def test_one_body_may_lie_across_its_end(self) -> None:
        talk = Conversation()
        talk.push(6, letter(b"x" * 10_000))
        assert talk.session.room(10_000) == 1
        with pytest.raises(ValueError, match="2 pushes do not fit"):
            talk.push(2, letter(b"x" * 10_000))
        talk.push(1, letter(b"y" * 10_000))
        assert talk.session.room(1) == 0, "the window is used up"
        talk.exchange()
        assert bodies(talk)[6] == b"y" * 5_535
        talk.server.credit(4_464)
        talk.exchange()
        assert not talk.server.requests[13].ended
        talk.server.credit(2)
        talk.exchange()
        assert talk.server.requests[13].ended
        assert bodies(talk)[6] == b"y" * 10_000

    @pytest.mark.parametrize("window", [65_535, 100])
    def test_each_push_may_have_a_body_of_its_own(self, window: int) -> None:
        talk = Conversation(settings={SettingCodes.INITIAL_WINDOW_SIZE: window})
        own = [b"%d " % place * length for place, length in enumerate((1, 40, 3, 40, 70, 1))]
        tokens = [b"a" * length for length in (64, 64, 160, 64, 64, 64)]
        talk.push(6, letter(max(own, key=len)), tokens=tokens, bodies=own)
        talk.exchange()
        talk.server.credit(10_000)
        for stream_id in talk.server.requests:
            talk.server.credit(1_000, stream_id)
        talk.exchange()
        assert bodies(talk) == own
        assert [request.token for request in talk.server.requests.values()] == tokens
        assert all(request.ended for request in talk.server.requests.values())

    def test_bodies_of_their_own_count_by_their_own_lengths(self) -> None:
        talk = Conversation()
        talk.push(6, letter(b"x" * 10_000), bodies=[b"y"] * 5 + [b"x" * 10_000])
        assert talk.session.window == 65_535 - 10_005

    def test_where_no_body_fits_a_streams_window_streams_open_with_what_fits(self) -> None:
        talk = Conversation(settings={SettingCodes.INITIAL_WINDOW_SIZE: 100})
        assert talk.session.room(10_000) == 1_000
        talk.push(655, letter(b"x" * 101))
        talk.exchange()
        assert talk.session.room(10_000) == 345
        talk.push(1, letter(b"x" * 101))
        assert talk.session.room(10_000) == 0, "the connection window is used up"

    def test_nothing_new_lies_across_the_windows_end_while_another_body_waits(self) -> None:
        talk = Conversation(settings={SettingCodes.INITIAL_WINDOW_SIZE: 100})
        talk.push(1, letter(b"x" * 10_000))
        talk.push(654, letter(b"x" * 100))
        assert talk.session.room(35) == 1
        assert talk.session.room(36) == 0

    def test_some_of_it_may_be_kept_free_for_others(self) -> None:
        talk = Conversation()
        assert talk.session.room(10_000, keep=16_000) == 6, "nothing is open: whom should it be kept for?"
        talk.push(1, letter(b"x" * 10_000))
        assert talk.session.room(10_000, keep=16_000) == 3
        assert talk.session.room(10_000) == 5
        talk.push(5, letter(b"x" * 10_000))
        assert (talk.session.room(10_000, keep=16_000), talk.session.room(5_000, keep=16_000)) == (0, 0)

    def test_where_nothing_is_open_what_is_kept_holds_nothing_up(self) -> None:
        """A server may give credit only once its window is used up."""
        talk = Conversation()
        talk.push(6, letter(b"x" * 10_000))
        talk.exchange()
        for stream_id in talk.server.requests:
            talk.server.answer(stream_id)
        talk.exchange()
        assert talk.session.room(10_000, keep=16_000) == 1

    @pytest.mark.parametrize("window", [0, 1, 7, 72])
    def test_in_tiny_stream_windows_bodies_go_out_bit_by_bit(self, window: int) -> None:
        talk = Conversation(settings={SettingCodes.INITIAL_WINDOW_SIZE: window})
        talk.push(3)
        talk.exchange()
        assert bodies(talk) == [BODY[:window]] * 3
        for _ in range(len(BODY)):
            for stream_id, request in talk.server.requests.items():
                if not request.ended:
                    talk.server.credit(1, stream_id)
            talk.exchange()
        assert bodies(talk) == [BODY] * 3
        assert all(request.ended for request in talk.server.requests.values())

    def test_a_window_that_opens_by_settings_lets_all_bodies_go(self) -> None:
        talk = Conversation(settings={SettingCodes.INITIAL_WINDOW_SIZE: 0})
        talk.push(3)
        talk.exchange()
        talk.server.settings(initial_window_size=70)
        talk.exchange()
        assert bodies(talk) == [BODY[:70]] * 3
        talk.server.settings(initial_window_size=71)
        talk.exchange()
        assert bodies(talk) == [BODY[:71]] * 3
        talk.server.settings(initial_window_size=65_535)
        talk.exchange()
        assert bodies(talk) == [BODY] * 3

    def test_a_stream_window_may_fall_below_zero(self) -> None:
        """RFC 9113, section 6.9.2."""
        talk = Conversation(settings={SettingCodes.INITIAL_WINDOW_SIZE: 50})
        talk.push()
        talk.exchange()
        talk.server.settings(initial_window_size=10)
        talk.exchange()
        talk.server.credit(40, 1)
        talk.exchange()
        assert bodies(talk) == [BODY[:50]]
        talk.server.credit(5, 1)
        talk.exchange()
        assert bodies(talk) == [BODY[:55]]
        talk.server.settings(initial_window_size=100)
        talk.exchange()
        assert talk.server.requests[1].ended

    def test_a_new_initial_window_counts_for_the_next_streams(self) -> None:
        talk = Conversation()
        talk.push()
        talk.exchange()
        talk.server.settings(initial_window_size=5)
        talk.exchange()
        talk.push()
        talk.exchange()
        assert bodies(talk) == [BODY, BODY[:5]]

    def test_the_oldest_stream_comes_first_when_there_is_credit(self) -> None:
        talk = Conversation(settings={SettingCodes.INITIAL_WINDOW_SIZE: 0})
        talk.push(3)
        talk.push(1, letter(b"z"))
        talk.exchange()
        talk.server.credit(1, 7)
        talk.exchange()
        assert [request.ended for request in talk.server.requests.values()] == [False, False, False, True]

    def test_a_blocked_body_does_not_keep_others_from_being_answered(self) -> None:
        talk = Conversation(settings={SettingCodes.INITIAL_WINDOW_SIZE: 60})
        talk.push(1, letter(b"x" * 61))
        talk.push(1, letter(b"y" * 60))
        talk.exchange()
        assert [request.ended for request in talk.server.requests.values()] == [False, True]
        talk.server.answer(3)
        talk.exchange()
        assert talk.outcomes == {1: Outcome.ACCEPTED}

    def test_credit_up_to_the_last_octet(self) -> None:
        talk = Conversation()
        talk.server.credit(LARGEST_WINDOW - 65_535)
        talk.exchange()
        assert talk.session.failure is None
        assert talk.session.room(16_384) == 1_000


class TestHeaderTable:
    def test_a_repeated_request_costs_a_few_octets(self) -> None:
        talk = Conversation()
        talk.push(10)
        talk.exchange()
        talk.push(1)
        whole = len(talk.session.take_outgoing())
        assert whole - len(BODY) - len(token(0)) < 40

    @pytest.mark.parametrize("size", [0, 40, 100, 300, 4_096, 65_536])
    def test_whatever_its_size_the_server_reads_the_same(self, size: int) -> None:
        talk = Conversation()
        talk.push(2)
        talk.exchange()
        talk.server.settings(header_table_size=size)
        talk.exchange()
        for topic in (b"com.example.a", b"com.example.b", b"com.example.a"):
            talk.push(3, letter(topic=topic))
            talk.exchange()
        assert [request.headers[b"apns-topic"][-1:] for request in talk.server.requests.values()][2:] == [
            *[b"a"] * 3, *[b"b"] * 3, *[b"a"] * 3,
        ]  # fmt: skip

    @pytest.mark.parametrize("sizes", [(0, 4_096), (0, 0), (4_096, 0), (200, 100), (200, 100, 300), (0, 65_536, 0, 50)])
    def test_several_changes_before_one_block_are_told_as_the_smallest_and_the_last(
        self, sizes: tuple[int, ...]
    ) -> None:
        talk = Conversation()
        talk.push(2)
        talk.exchange()
        for size in sizes:
            talk.server.settings(header_table_size=size)
        talk.exchange()
        talk.push(3)
        talk.exchange()
        assert [request.token for request in talk.server.requests.values()] == [token(place) for place in range(5)]

    def test_a_change_is_told_once(self) -> None:
        writer = HeaderWriter()
        writer.resize(0)
        first, second = (writer.block(letter(), AUTHORIZATION) for _ in range(2))
        assert (first.before[:1], first.steady) == (b"\x20", False)
        assert (second.before, second.steady) == (first.before[1:], True)

    def test_fields_that_do_not_fit_the_table_do_not_churn_it(self) -> None:
        writer = HeaderWriter()
        writer.resize(300)
        blocks = [writer.block(letter(), AUTHORIZATION) for _ in range(3)]
        assert [block.steady for block in blocks] == [False, True, True]
        assert writer.block(letter(topic=b"com.example.b"), AUTHORIZATION).steady

    def test_a_table_is_never_larger_than_the_protocols_default(self) -> None:
        talk = Conversation()
        talk.server.settings(header_table_size=1 << 20)
        talk.exchange()
        for number in range(100):
            talk.push(2, letter(b"", topic=b"com.example.app-number-%d" % number))
        talk.exchange()
        assert talk.server.h2.decoder.header_table_size == 4_096

    def test_a_passing_field_arrives_and_leaves_no_trace(self) -> None:
        talk = Conversation()
        talk.push(2)
        talk.exchange()
        talk.push(2, letter(passing=literal_field(b"apns-expiration", b"1800000000")))
        talk.exchange()
        talk.push(1)
        talk.exchange()
        got = [request.headers.get(b"apns-expiration") for request in talk.server.requests.values()]
        assert got == [None, None, b"1800000000", b"1800000000", None]
        assert b"apns-expiration" not in str(talk.server.h2.decoder.header_table.dynamic_entries).encode()

    def test_the_token_is_in_no_table(self) -> None:
        talk = Conversation()
        talk.push(5)
        talk.exchange()
        names = [name for name, _ in talk.server.h2.decoder.header_table.dynamic_entries]
        assert b":path" not in names
        assert b"authorization" in names

    def test_a_server_that_keeps_a_table_all_the_same_is_decoded_in_full(self) -> None:
        talk = Conversation()
        talk.server.keeps_a_table()
        for status in ("200", "400"):
            for _ in range(3):
                talk.push()
                talk.exchange()
                stream_id = max(talk.server.requests)
                talk.server.answer(stream_id, int(status), headers=[("x-seen", str(stream_id)), ("date", "today")])
                talk.exchange()
        assert list(talk.outcomes.values()) == [Outcome.ACCEPTED] * 3 + [Outcome.REJECTED] * 3

    def test_a_server_may_take_up_its_table_again(self) -> None:
        """It must not (our setting is 0), but it says so in a block that is decoded, and then all of them are."""
        talk = Conversation()
        talk.push(4)
        talk.exchange()
        encoder = hpack.Encoder()
        encoder.header_table_size = 0
        ends = ("END_HEADERS", "END_STREAM")
        talk.frames(headers(1, encoder.encode([(":status", "200"), ("a", "b")]), *ends))
        encoder.header_table_size = 4_096
        talk.frames(headers(3, encoder.encode([(":status", "200"), ("a", "b")]), *ends))
        talk.frames(headers(5, encoder.encode([(":status", "418"), ("a", "b")]), *ends))
        talk.frames(headers(7, encoder.encode([("a", "b"), (":status", "418")]), *ends))
        assert list(talk.outcomes.values()) == [Outcome.ACCEPTED] * 2 + [Outcome.REJECTED] * 2


fields = st.lists(
    st.tuples(st.sampled_from([b"apns-topic", b"apns-priority", b"x"]), st.binary(max_size=300)), max_size=4
)
letters = st.builds(
    lambda fields, authority: letter().__class__(authority, tuple(fields), b""), fields, st.binary(max_size=60)
)


@settings(derandomize=True, max_examples=150, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.just("resize"), st.sampled_from([0, 50, 120, 400, 4_096, 10_000]))
        | st.tuples(st.just("send"), st.integers(0, 3), st.sampled_from([AUTHORIZATION, b"bearer two"])),
        max_size=30,
    ),
    drawn=st.lists(letters, min_size=4, max_size=4),
)
def test_blocks_read_the_same_after_any_changes_of_the_table(
    steps: list[tuple[object, ...]], drawn: list[object]
) -> None:
    """What is written around the token, remembered or not, is what a decoder reads, and never longer than said."""
    writer, decoder = HeaderWriter(), hpack.Decoder(max_header_list_size=1_000_000)
    for kind, *arguments in steps:
        if kind == "resize":
            writer.resize(arguments[0])
            decoder.max_allowed_table_size = max(decoder.max_allowed_table_size, arguments[0])
            continue
        one, authorization = drawn[arguments[0]], arguments[1]
        for _ in range(3):
            block = writer.block(one, authorization)
            whole = block.before + path_opening(80) + token(7, 80) + block.after
            assert decoder.decode(whole, raw=True) == [
                (b":method", b"POST"),
                (b":scheme", b"https"),
                (b":authority", one.authority),
                (b":path", b"/3/device/" + token(7, 80)),
                (b"authorization", authorization),
                *one.fields,
            ]
            assert len(whole) <= longest_block(one, authorization, 80)


@given(length=st.integers(1, 40_000))
@settings(derandomize=True, deadline=None)
def test_a_path_of_any_length(length: int) -> None:
    block = path_opening(length) + b"a" * length
    decoded = hpack.Decoder(max_header_list_size=1_000_000).decode(block, raw=True)
    assert decoded == [(b":path", b"/3/device/" + b"a" * length)]


def test_a_reader_without_a_table_knows_when_it_may_look_at_the_first_octet_only() -> None:
    reader = HeaderReader()
    assert not reader.tableless
    assert reader.decode(b"\x88") == {":status": "200"}
    assert not reader.tableless, "the server has not said so"
    assert reader.decode(b"\x20\x88") == {":status": "200"}
    assert reader.tableless
    assert reader.decode(b"\x3f\x01\x88") == {":status": "200"}
    assert not reader.tableless
