"""Streams one by one: what opens, what is answered, and what becomes of it."""

import json

import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from h2_peer import BODY, Conversation, Ending, goaway, headers, letter, reset, token
from hyperframe.frame import ContinuationFrame, DataFrame, Frame, HeadersFrame, PriorityFrame

from skerry.apns.answer import BODY_LIMIT
from skerry.apns.frames import LARGEST_STREAM_ID, ErrorCode
from skerry.domain.push import Outcome

ACCEPTED = Ending(Outcome.ACCEPTED)


class TestRequests:
    def test_the_server_sees_what_was_sent(self) -> None:
        talk = Conversation()
        talk.push(3)
        talk.exchange()
        assert list(talk.server.requests) == [1, 3, 5]
        for place, request in enumerate(talk.server.requests.values()):
            assert request.ended
            assert bytes(request.body) == BODY
            assert list(request.headers.items()) == [
                (b":method", b"POST"),
                (b":scheme", b"https"),
                (b":authority", b"api.push.apple.com"),
                (b":path", b"/3/device/" + token(place)),
                (b"authorization", b"bearer " + b"e" * 180),
                (b"apns-topic", b"com.example.app.push-type.liveactivity"),
                (b"apns-push-type", b"liveactivity"),
                (b"apns-priority", b"10"),
            ]

    def test_tokens_of_any_length_go_out_together_in_their_order(self) -> None:
        talk = Conversation()
        tokens = [b"a" * length for length in (64, 64, 160, 117, 116, 1, 118, 500, 64, 3_000)]
        talk.push(len(tokens), tokens=tokens)
        talk.exchange()
        assert [request.token for request in talk.server.requests.values()] == tokens

    def test_each_push_may_have_a_body_of_its_own(self) -> None:
        talk = Conversation()
        bodies = [b"%d" % number * (number + 1) for number in range(20)]
        tokens = [token(number, 64 if number % 4 else 160) for number in range(20)]
        talk.push(20, letter(max(bodies, key=len)), tokens=tokens, bodies=bodies)
        talk.exchange()
        assert [bytes(request.body) for request in talk.server.requests.values()] == bodies
        assert [request.token for request in talk.server.requests.values()] == tokens
        assert all(request.ended for request in talk.server.requests.values())
        assert talk.session.window == 65_535 - sum(map(len, bodies))

    def test_bodies_of_their_own_wait_for_their_windows(self) -> None:
        talk = Conversation(settings={SettingCodes.INITIAL_WINDOW_SIZE: 3})
        bodies = [b"a" * 10, b"b", b"c" * 7]
        talk.push(3, letter(b"a" * 10), bodies=bodies)
        talk.exchange()
        assert [bytes(request.body) for request in talk.server.requests.values()] == [b"aaa", b"b", b"ccc"]
        for stream_id in talk.server.requests:
            talk.server.credit(10, stream_id)
        talk.exchange()
        assert [bytes(request.body) for request in talk.server.requests.values()] == bodies

    def test_what_is_accepted_can_be_had_before_the_rest_of_its_run_is_answered(self) -> None:
        talk = Conversation()
        talk.push(3)
        talk.exchange()
        talk.server.answer(1)
        talk.server.answer(5)
        talk.exchange()
        assert talk.outcomes == {}
        talk.hand_out()
        talk.hand_out()
        assert talk.outcomes == {0: Outcome.ACCEPTED, 2: Outcome.ACCEPTED}
        talk.server.answer(3)
        talk.exchange()
        assert talk.outcomes == dict.fromkeys(range(3), Outcome.ACCEPTED)

    def test_nothing_goes_out_before_the_servers_settings(self) -> None:
        talk = Conversation(begin=False)
        assert talk.session.room(1) == 0
        with pytest.raises(ValueError, match="do not fit"):
            talk.push()
        talk.exchange()
        assert talk.session.room(1) == 1000

    @pytest.mark.parametrize(
        "parts",
        [
            {"to": letter(b"x" * 16_385)},
            {"to": letter(topic=b"t" * 10_000)},
            {"to": letter(passing=b"p" * 16_384)},
            {"authorization": b"bearer " + b"a" * 10_000},
            {"tokens": [b"a", b"a" * 20_000]},
        ],
    )
    def test_what_fits_no_frame_is_refused_and_leaves_no_trace(self, parts: dict[str, object]) -> None:
        talk = Conversation(settings={SettingCodes.MAX_CONCURRENT_STREAMS: 2})
        with pytest.raises(ValueError, match=r"octets; at most 16384 fit one frame"):
            talk.push(2, **parts)
        assert talk.session.take_outgoing() == b""
        assert talk.session.room(1) == 2
        talk.push(2)
        talk.exchange()
        assert len(talk.server.requests) == 2

    def test_never_more_streams_than_the_owner_wants(self) -> None:
        talk = Conversation(stream_bound=7)
        assert talk.session.room(10) == 7
        talk.push(5)
        assert talk.session.room(10) == 2
        with pytest.raises(ValueError, match="3 pushes do not fit"):
            talk.push(3)

    def test_a_body_may_be_empty(self) -> None:
        talk = Conversation(settings={SettingCodes.INITIAL_WINDOW_SIZE: 0})
        talk.push(2, letter(b""))
        talk.exchange()
        assert [request.ended for request in talk.server.requests.values()] == [True, True]


class TestAnswers:
    def test_thousands_in_any_order(self) -> None:
        talk = Conversation()
        for _ in range(3):
            first, second = talk.push(400, letter(b"x")), talk.push(600, letter(b"x"))
            talk.exchange()
            ids = [run.stream_id(position) for run in (second, first) for position in range(run.open)]
            for stream_id in reversed(ids):
                talk.server.answer(stream_id)
            talk.exchange()
            talk.server.credit(10_000)
        assert set(talk.endings.values()) == {ACCEPTED}
        assert talk.session.answered == len(talk.endings) == 3_000
        assert talk.session.open_streams == 0

    def test_a_rejection_has_apples_reason(self) -> None:
        talk = Conversation()
        talk.push(3)
        talk.exchange()
        talk.server.answer(3, 410, b'{"reason":"Unregistered","timestamp":1790000000000}')
        talk.server.answer(1, 400, b'{"reason":"BadDeviceToken"}')
        talk.server.answer(5)
        talk.exchange()
        assert list(talk.outcomes.values()) == [Outcome.REJECTED, Outcome.REJECTED, Outcome.ACCEPTED]
        assert talk.endings[0].rejected.reason == "BadDeviceToken"
        assert talk.endings[1].rejected.invalid_since == 1_790_000_000_000

    def test_a_body_may_come_in_pieces_with_padding_and_empty_frames(self) -> None:
        talk = Conversation()
        talk.push()
        talk.exchange()
        talk.server.h2.send_headers(1, [(":status", "400")])
        for piece in (b'{"rea', b"", b'son":"Bad', b'Topic"}'):
            talk.server.h2.send_data(1, piece, pad_length=9)
        talk.server.h2.end_stream(1)
        talk.exchange()
        assert talk.endings[0].rejected.reason == "BadTopic"

    def test_trailers_end_an_answer(self) -> None:
        talk = Conversation()
        talk.push(2)
        talk.exchange()
        for stream_id, status in ((1, "200"), (3, "503")):
            talk.server.h2.send_headers(stream_id, [(":status", status)])
            talk.server.h2.send_data(stream_id, b'{"reason":"Shutdown"}')
            talk.server.h2.send_headers(stream_id, [("grpc-status", "0")], end_stream=True)
        talk.exchange()
        assert talk.endings[0] == ACCEPTED
        assert talk.endings[1].rejected.reason == "Shutdown"

    def test_interim_answers_are_no_answers(self) -> None:
        talk = Conversation()
        talk.push()
        talk.exchange()
        for status in ("100", "103", "103"):
            talk.server.h2.send_headers(1, [(":status", status)])
        talk.exchange()
        assert talk.endings == {}
        talk.server.answer(1)
        talk.exchange()
        assert talk.endings == {0: ACCEPTED}

    def test_header_blocks_in_many_frames(self) -> None:
        talk = Conversation()
        talk.push(2)
        talk.exchange()
        block = talk.server.h2.encoder.encode([(":status", "200"), ("x-long", "y" * 300)])
        talk.frames(
            HeadersFrame(3, block[:1], flags=["END_STREAM", "PADDED"], pad_length=200),
            *(ContinuationFrame(3, block[place : place + 20]) for place in range(1, len(block), 20)),
            ContinuationFrame(3, b"", flags=["END_HEADERS"]),
        )
        assert talk.endings == {}
        talk.server.answer(1)
        talk.exchange()
        assert talk.endings == {0: ACCEPTED, 1: ACCEPTED}

    def test_padding_and_priority_around_a_200(self) -> None:
        talk = Conversation()
        talk.push(2)
        talk.exchange()
        talk.server.answer(1)
        talk.exchange()  # the server's encoder has said that it keeps no table
        frame = HeadersFrame(
            3, b"\x88", flags=["END_HEADERS", "END_STREAM", "PADDED", "PRIORITY"], pad_length=3, stream_weight=1
        )
        talk.frames(PriorityFrame(3, depends_on=1), frame)
        assert talk.endings == {0: ACCEPTED, 1: ACCEPTED}

    def test_a_huge_body_is_cut_off_and_says_what_it_says_so_far(self) -> None:
        talk = Conversation()
        talk.push(2)
        talk.exchange()
        talk.server.h2.send_headers(1, [(":status", "502")])
        talk.server.h2.send_headers(3, [(":status", "200")])
        for _ in range(BODY_LIMIT // 1000 + 1):
            talk.server.h2.send_data(1, b"<html>" + b"x" * 994)
            talk.server.h2.send_data(3, b"y" * 1000)
        talk.exchange()
        assert talk.endings[0].rejected.status == 502
        assert talk.endings[0].rejected.reason == ("<html>" + "x" * 994)[:200]
        assert talk.endings[1] == ACCEPTED
        assert [request.reset for request in talk.server.requests.values()] == [ErrorCodes.CANCEL] * 2

    def test_however_many_rejections_do_not_use_up_the_connection(self) -> None:
        """We give receive credit back for every body, whoever it was for (F25)."""
        talk = Conversation()
        body = json.dumps({"reason": "BadDeviceToken" + "x" * 1000}).encode()
        for _ in range(8):
            talk.push(300, letter(b""))
            talk.exchange()
            for stream_id in list(talk.server.requests)[-300:]:
                talk.server.answer(stream_id, 400, body)
            talk.exchange()
        assert len(talk.endings) == 2_400
        assert talk.server.h2.outbound_flow_control_window > 500_000

    def test_an_answer_before_the_body_is_out_counts_and_calls_the_rest_off(self) -> None:
        talk = Conversation(settings={SettingCodes.INITIAL_WINDOW_SIZE: 10})
        talk.push(2)
        talk.exchange()
        talk.server.answer(1, 413, b'{"reason":"PayloadTooLarge"}')
        talk.server.answer(3)
        talk.exchange()
        assert talk.endings[0].rejected.reason == "PayloadTooLarge"
        assert talk.endings[1] == ACCEPTED
        assert [request.reset for request in talk.server.requests.values()] == [ErrorCodes.CANCEL] * 2
        talk.server.credit(10_000)
        talk.exchange()
        assert [bytes(request.body) for request in talk.server.requests.values()] == [BODY[:10]] * 2

    @pytest.mark.parametrize(
        "frames",
        [
            [DataFrame(1, b"x")],
            [DataFrame(1, b"x", flags=["END_STREAM"])],
            [headers(1, b"\x00\x07:status\x0220", "END_HEADERS", "END_STREAM")],
            [headers(1, b"\x00\x07:status\x04+200", "END_HEADERS", "END_STREAM")],
            [headers(1, b"\x00\x07:status\x03099", "END_HEADERS", "END_STREAM")],
            [headers(1, b"\x00\x07:status\x03103", "END_HEADERS", "END_STREAM")],
            [headers(1, b"\x00\x01a\x01b", "END_HEADERS", "END_STREAM")],
            [headers(1, b"", "END_HEADERS", "END_STREAM")],
        ],
        ids=["body-first", "only-a-body", "two-digits", "a-sign", "below-100", "only-interim", "no-status", "nothing"],
    )
    def test_an_answer_that_is_none_is_unknown_and_harms_nobody(self, frames: list[Frame]) -> None:
        talk = Conversation()
        talk.push(2)
        talk.exchange()
        talk.frames(*frames)
        assert talk.endings == {0: Ending(Outcome.UNKNOWN, "malformed_answer")}
        assert talk.server.requests[1].reset == ErrorCode.PROTOCOL_ERROR
        talk.server.answer(3)
        talk.exchange()
        assert talk.endings[1] == ACCEPTED

    def test_header_fields_after_the_answer_that_do_not_end_it_end_it_all_the_same(self) -> None:
        talk = Conversation()
        talk.push()
        talk.exchange()
        talk.frames(headers(1, b"\x88"), headers(1, b"\x88"))
        assert talk.endings == {0: ACCEPTED}, "the status had come"
        assert talk.server.requests[1].reset == ErrorCode.PROTOCOL_ERROR

    def test_the_first_status_is_the_answer_whatever_the_trailers_say(self) -> None:
        talk = Conversation()
        talk.push(2)
        talk.exchange()
        talk.server.answer(1)
        talk.server.h2.send_headers(3, [(":status", "400")])
        talk.exchange()
        talk.frames(headers(3, b"\x88", "END_HEADERS", "END_STREAM"))
        assert talk.endings[1].rejected.status == 400


class TestResets:
    @pytest.mark.parametrize("code", [*ErrorCode, 99])
    def test_only_a_refused_stream_was_certainly_not_processed(self, code: int) -> None:
        talk = Conversation()
        talk.push()
        talk.exchange()
        talk.frames(reset(1, code))
        expected = (
            Ending(Outcome.NOT_PROCESSED, "refused_stream")
            if code == ErrorCode.REFUSED_STREAM
            else Ending(Outcome.UNKNOWN, "reset")
        )
        assert talk.endings == {0: expected}

    @pytest.mark.parametrize("code", [ErrorCode.NO_ERROR, ErrorCode.CANCEL, ErrorCode.REFUSED_STREAM])
    @pytest.mark.parametrize("body", [b"", b'{"reason":"Inter'])
    def test_after_a_status_it_only_ends_the_answer(self, code: int, body: bytes) -> None:
        talk = Conversation()
        talk.push(2)
        talk.exchange()
        for stream_id, status in ((1, "200"), (3, "500")):
            talk.server.h2.send_headers(stream_id, [(":status", status)])
            talk.server.h2.send_data(stream_id, body)
            talk.server.reset(stream_id, code)
        talk.exchange()
        assert talk.endings[0] == ACCEPTED
        assert talk.endings[1].rejected.status == 500

    def test_a_second_one_is_ignored_whatever_it_says(self) -> None:
        """APNs resets a refused stream for its HEADERS and again for its DATA (F09)."""
        talk = Conversation()
        talk.push(2)
        talk.exchange()
        talk.frames(reset(1, ErrorCode.REFUSED_STREAM), reset(1, ErrorCode.STREAM_CLOSED), reset(1, ErrorCode.CANCEL))
        assert talk.endings == {0: Ending(Outcome.NOT_PROCESSED, "refused_stream")}
        assert talk.session.open_streams == 1
        talk.server.answer(3)
        talk.exchange()
        talk.frames(reset(3, ErrorCode.STREAM_CLOSED))
        assert talk.endings[1] == ACCEPTED
        assert talk.session.failure is None

    def test_frames_for_a_closed_stream_do_no_harm(self) -> None:
        talk = Conversation()
        run = talk.push(2)
        talk.exchange()
        talk.session.cancel(run, "shutdown")
        talk.frames(
            headers(1, b"\x20\x88\x00\x05x-one\x03two"),
            DataFrame(1, b"late", flags=["END_STREAM"]),
            headers(3, b"\x88", "END_HEADERS", "END_STREAM"),
            headers(3, b"\x88", "END_HEADERS", "END_STREAM"),
        )
        assert talk.session.failure is None
        assert set(talk.endings.values()) == {Ending(Outcome.UNKNOWN, "shutdown")}
        talk.push()
        talk.exchange()
        talk.server.answer(5)
        talk.exchange()
        assert talk.endings[2] == ACCEPTED

    def test_nor_do_frames_for_runs_that_are_over_between_those_that_are_not(self) -> None:
        talk = Conversation()
        for _ in range(3):
            talk.push(2)
        talk.exchange()
        for stream_id in (5, 7):
            talk.server.answer(stream_id)
        talk.exchange()
        whole = ("END_HEADERS", "END_STREAM")
        talk.frames(reset(5, 8), headers(7, b"\x88", *whole), headers(7, b"\x8c", *whole), DataFrame(5, b"x"))
        assert talk.outcomes == {2: Outcome.ACCEPTED, 3: Outcome.ACCEPTED}
        assert talk.session.failure is None
        assert talk.session.open_streams == 4


class TestGivingUp:
    def test_a_cancelled_run_is_reset_and_its_place_is_free_at_once(self) -> None:
        talk = Conversation(settings={SettingCodes.MAX_CONCURRENT_STREAMS: 3})
        run = talk.push(3)
        talk.exchange()
        talk.server.answer(3)
        talk.exchange()
        talk.session.cancel(run, "shutdown")
        assert talk.session.room(1) == 3
        talk.push(3)
        talk.exchange()  # the server would raise at a stream too many
        unknown = Ending(Outcome.UNKNOWN, "shutdown")
        assert talk.endings == {0: unknown, 1: ACCEPTED, 2: unknown}
        assert [talk.server.requests[one].reset for one in (1, 3, 5)] == [ErrorCodes.CANCEL, None, ErrorCodes.CANCEL]

    def test_an_answer_that_has_begun_counts_though_it_is_given_up(self) -> None:
        talk = Conversation()
        run = talk.push(2)
        talk.exchange()
        talk.server.h2.send_headers(1, [(":status", "200")])
        talk.server.h2.send_headers(3, [(":status", "429")])
        talk.exchange()
        talk.session.cancel(run, "timeout")
        talk.exchange()
        assert talk.endings[0] == ACCEPTED
        assert talk.endings[1].rejected.status == 429

    def test_only_what_is_overdue_expires(self) -> None:
        talk = Conversation()
        for deadline in (5.0, 7.0, 6.0):
            talk.push(2, deadline=deadline)
        talk.exchange()
        talk.session.expire(4.9)
        talk.exchange()
        assert talk.endings == {}
        talk.session.expire(6.0)
        talk.exchange()
        timeout = Ending(Outcome.UNKNOWN, "timeout")
        assert talk.endings == {0: timeout, 1: timeout, 4: timeout, 5: timeout}
        assert [run.deadline for run in talk.session.runs] == [7.0]

    def test_what_was_half_written_is_not_continued(self) -> None:
        talk = Conversation(settings={SettingCodes.INITIAL_WINDOW_SIZE: 10})
        run = talk.push(1)
        talk.exchange()
        talk.session.cancel(run, "timeout")
        talk.server.settings(initial_window_size=65_535)
        talk.exchange()
        assert bytes(talk.server.requests[1].body) == BODY[:10]

    def test_a_lost_connection_leaves_nothing_open_and_says_nothing_more(self) -> None:
        talk = Conversation()
        talk.push(3)
        talk.exchange()
        talk.server.answer(1)
        talk.exchange()
        talk.session.ping(b"12345678")
        talk.end()
        assert talk.endings[0] == ACCEPTED
        assert talk.endings[1] == talk.endings[2] == Ending(Outcome.UNKNOWN, "connection_lost")
        assert talk.session.take_outgoing() == b""
        assert talk.session.failure == "connection_lost"
        talk.session.lost("again")
        talk.session.receive(b"\0" * 9)
        assert talk.session.failure == "connection_lost"
        assert talk.session.room(0) == 0


class TestStreamIds:
    def test_they_run_out_and_nothing_fails(self) -> None:
        talk = Conversation(first_stream_id=LARGEST_STREAM_ID - 6)
        assert talk.session.room(1) == 4
        talk.push(3)
        assert talk.session.room(1) == 1
        assert talk.session.accepting
        talk.push(1)
        assert talk.session.room(1) == 0
        assert not talk.session.accepting
        talk.exchange()
        assert list(talk.server.requests)[-1] == LARGEST_STREAM_ID
        for stream_id in talk.server.requests:
            talk.server.answer(stream_id)
        talk.exchange()
        assert list(talk.outcomes.values()) == [Outcome.ACCEPTED] * 4
        assert talk.session.failure is None


class TestGoaway:
    def test_what_lies_above_was_not_processed_and_what_lies_below_is_awaited(self) -> None:
        talk = Conversation()
        talk.push(500, letter(b"x"))
        talk.exchange()
        talk.frames(goaway(599, 0, b'{"reason":"Shutdown"}'))
        assert talk.session.goaway.reason == "Shutdown"
        assert not talk.session.accepting
        assert talk.session.room(1) == 0
        assert set(talk.endings) == set(range(300, 500))
        assert set(talk.endings.values()) == {Ending(Outcome.NOT_PROCESSED, "goaway")}
        for stream_id in range(1, 601, 2):
            talk.server.answer(stream_id)
        talk.exchange()
        assert list(talk.outcomes.values()) == [Outcome.ACCEPTED] * 300 + [Outcome.NOT_PROCESSED] * 200

    def test_a_graceful_end_says_it_twice(self) -> None:
        talk = Conversation()
        talk.push(4)
        talk.exchange()
        talk.frames(goaway(LARGEST_STREAM_ID))
        assert talk.endings == {}
        assert talk.session.room(1) == 0
        talk.frames(goaway(3, 0, b"bye"))
        assert set(talk.endings) == {2, 3}
        assert (talk.session.goaway.last_stream_id, talk.session.goaway.reason) == (3, "bye")

    def test_a_later_one_does_not_raise_the_id_again(self) -> None:
        talk = Conversation()
        talk.push(2)
        talk.exchange()
        talk.frames(goaway(1, 0, b"IdleTimeout"), goaway(LARGEST_STREAM_ID, 2))
        assert talk.session.goaway.last_stream_id == 1
        assert talk.session.goaway.reason == "IdleTimeout"
        assert talk.endings == {1: Ending(Outcome.NOT_PROCESSED, "goaway")}

    def test_an_answer_that_has_begun_above_it_counts(self) -> None:
        talk = Conversation()
        talk.push()
        talk.push()
        talk.exchange()
        talk.server.h2.send_headers(3, [(":status", "200")])
        talk.exchange()
        talk.frames(goaway(1))
        assert talk.endings == {1: ACCEPTED}

    def test_one_before_the_settings_is_heard(self) -> None:
        talk = Conversation(begin=False)
        talk.session.receive(goaway(0, 11, b"too many connections").serialize())
        assert talk.session.failure is None
        assert talk.session.goaway.reason == "too many connections"
        assert not talk.session.accepting


class TestGoodbye:
    def test_we_say_that_nothing_is_wrong_and_still_hear_the_answers(self) -> None:
        talk = Conversation()
        talk.push()
        talk.session.shut_down()
        assert talk.session.room(1) == 0
        outgoing = talk.session.take_outgoing()
        talk.server.h2.receive_data(outgoing[: -len(goaway(0).serialize())])
        assert outgoing.endswith(goaway(0).serialize())
        talk.server.answer(1)
        talk.session.receive(talk.server.h2.data_to_send())
        talk.settle()
        assert talk.endings == {0: ACCEPTED}

    def test_a_draining_one_takes_nothing_new(self) -> None:
        talk = Conversation()
        talk.push()
        talk.session.drain()
        assert (talk.session.accepting, talk.session.room(1)) == (False, 0)
        talk.exchange()
        talk.server.answer(1)
        talk.exchange()
        assert talk.endings == {0: ACCEPTED}


class TestPing:
    def test_ours_is_answered(self) -> None:
        talk = Conversation()
        talk.session.ping(b"sign-of?")
        assert talk.session.ping_outstanding == b"sign-of?"
        talk.exchange()
        assert talk.server.pings == [b"sign-of?"]
        assert talk.session.ping_outstanding is None

    def test_theirs_is_answered(self) -> None:
        talk = Conversation()
        talk.server.h2.ping(b"there???")
        talk.exchange()
        assert talk.server.pongs == [b"there???"]

    def test_an_answer_to_another_one_is_no_sign(self) -> None:
        talk = Conversation()
        talk.session.ping(b"sign-of?")
        talk.session.receive(b"\0\0\x08\x06\x01\0\0\0\0somebody")
        assert talk.session.ping_outstanding == b"sign-of?"
