"""The script of a plan, and controls that a whole connection feels: on real sockets, as `PUT /simulator/chaos` sets
them."""

import asyncio
import json
import ssl

import pytest
from hyperframe.frame import ContinuationFrame, DataFrame, Frame, HeadersFrame, PingFrame

from skerry.domain.push import Environment
from skerry.simulator.apns import Limits


def of_stream(sender, stream: int) -> list[Frame]:
    return [one for one in sender.frames if one.stream_id == stream]


async def test_a_script_waits_for_its_time_for_requests_and_for_rejections(start):
    apns = await start(
        plan={
            "script": [
                {"after_requests": 2, "set": {"reject": {"reason": "BadTopic", "times": 1}}},
                {"after_rejections": 1, "goaway": {"reason": None, "code": 7, "close": "never"}},
                {"at_s": 1.0, "drop": "rst"},
            ]
        }
    )
    sender = await apns.sender()
    answers = [(await sender.push()).status for _ in range(3)]
    assert answers == [200, 200, 400]
    await sender.until(lambda: sender.goaways)
    assert (sender.goaways[0].error_code, sender.goaways[0].additional_data) == (7, b"")
    await sender.ended()


async def test_a_repeated_step_comes_again_after_as_many(start):
    apns = await start(plan={"script": {"after_requests": 2, "repeat": True, "frames": {"type": 0x42, "stream": 0}}})
    sender = await apns.sender()
    for _ in range(6):
        await sender.push()
    await sender.sync()
    assert sum(getattr(one, "type", None) == 0x42 for one in sender.frames) == 3


async def test_a_script_moves_the_oldest_or_the_newest_connection(start):
    apns = await start()
    first, second = await apns.sender(), await apns.sender()
    for sender in (first, second):
        await sender.sync()
    apns.chaos.update_from({"script": {"at_s": 0, "goaway": {}, "connections": "newest"}})
    await second.until(lambda: second.goaways)
    await first.sync()
    assert not first.goaways


async def test_a_goaway_may_come_twice_keep_some_and_answer_nobody(start):
    apns = await start(plan={"latency_ms": 50})
    sender = await (await apns.sender()).ready()
    streams = sender.post_many([apns.phones.update] * 10)
    await sender.sync()
    goaway = {"kept": 4, "serve": False, "close_after_s": 0.1, "close": "fin"}
    apns.chaos.update_from(
        {"script": [{"at_s": 0, "goaway": {"last_stream": "max", "close": "never"}}, {"at_s": 0, "goaway": goaway}]}
    )
    await sender.ended()
    assert [one.last_stream_id for one in sender.goaways] == [2**31 - 1, streams[3]]
    assert sender.finished == {1}
    assert apns.ledger.counts()["endings"]["ignored"] == 6


@pytest.mark.parametrize("mode", ["half_close", "fin"])
async def test_a_bare_fin_ends_what_the_sender_hears(start, mode):
    apns = await start()
    sender = await (await apns.sender()).ready()
    apns.chaos.update_from({"script": {"at_s": 0, "drop": mode}})
    await sender.ended()


async def test_a_black_hole_says_nothing(start):
    apns = await start()
    sender = await (await apns.sender()).ready()
    apns.chaos.update_from({"script": {"at_s": 0, "drop": "black_hole"}})
    await asyncio.sleep(0.02)
    sender.post()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(sender.reader.read(1), 0.1)
    assert apns.ledger.counts()["requests"] == 1


async def test_a_body_in_pieces_with_padding_and_trailers_is_the_same_answer(start):
    form = {"pieces": 3, "padding": 7, "continuation": 2, "trailers": True, "apns_id": "missing", "date_skew_s": 60}
    apns = await start(plan={"reply": form})
    sender = await apns.sender()
    stream = sender.post(apns.phones.unknown)
    await sender.sync()
    head, *more, trailers = of_stream(sender, stream)
    assert [type(one) for one in more] == [ContinuationFrame] * 2 + [DataFrame] * 3
    assert head.pad_length == 7
    block = head.data + b"".join(one.data for one in more[:2])
    headers = dict(sender.decoder.decode(block))
    assert (headers[":status"], "apns-id" in headers) == ("400", False)
    assert headers["date"] == "Mon, 21 Sep 2026 14:14:20 GMT"
    assert json.loads(b"".join(one.data for one in more[2:])) == {"reason": "BadDeviceToken"}
    assert "END_STREAM" in trailers.flags


async def test_interim_headers_come_before_and_frames_after_the_end(start):
    apns = await start(plan={"reply": {"interim": 2, "then": "data"}})
    sender = await apns.sender()
    stream = sender.post()
    await sender.until(lambda: len(of_stream(sender, stream)) == 4)
    *heads, late = of_stream(sender, stream)
    assert [bytes(one.data[:5]) for one in heads[:2]] == [b"\x08\x03103"] * 2
    assert ["END_STREAM" in one.flags for one in heads] == [False, False, True]
    assert isinstance(late, DataFrame)


@pytest.mark.parametrize(("end", "kinds"), [("headers", [HeadersFrame]), ("data", [HeadersFrame, DataFrame])])
async def test_the_end_may_be_said_in_headers_or_in_empty_data(start, end, kinds):
    apns = await start(plan={"reply": {"end": end}})
    sender = await apns.sender()
    stream = sender.post(apns.phones.unknown if end == "headers" else apns.phones.update)
    await sender.until(lambda: stream in sender.finished)
    assert [type(one) for one in of_stream(sender, stream)] == kinds


@pytest.mark.parametrize("when", ["headers", "answer_headers", "answer_data"])
async def test_a_stream_is_reset_before_or_within_its_answer(start, when):
    apns = await start(plan={"reset": {"code": 8, "when": when, "twice": when == "headers"}})
    sender = await apns.sender()
    stream = sender.post(apns.phones.unknown)
    await sender.until(lambda: sender.resets)
    await sender.sync()
    assert sender.resets[0] == (stream, 8)
    if when == "headers":
        assert sender.resets[1] == (stream, 5)
    body = sender.answers[stream].body if stream in sender.answers else None
    assert body == {"headers": None, "answer_headers": b"", "answer_data": b'{"reason":"Ba'}[when]


async def test_late_answers_hold_nobody_up(start):
    apns = await start(plan={"late": {"times": 1, "ms": 100}, "initial_streams": 2})
    sender = await apns.sender()
    late = sender.post()
    await sender.push()
    assert late not in sender.finished
    await sender.answer(late)


async def test_settings_of_any_kind_are_announced_and_held(start):
    apns = await start(plan={"settings": {"max_frame_size": 20_000, "99": 7}})
    sender = await (await apns.sender()).ready()
    assert (sender.settings[0][5], sender.settings[0][99]) == (20_000, 7)
    apns.chaos.update_from({"window": {"stream": 10}})
    await sender.sync()
    assert sender.settings[-1] == {4: 10}
    sender.post(body=b"x" * 11)
    await sender.ended()
    assert sender.goaways[0].error_code == 3  # the narrower window is enforced


async def test_credit_can_be_withheld_for_streams_alone(start):
    apns = await start(plan={"window": {"withhold": "stream"}})
    sender = await (await apns.sender()).ready()
    _, (head, data) = sender.frames_of(sender.headers(), b"x" * 4000)
    data.flags.discard("END_STREAM")
    sender.send(head, data)
    await sender.sync()
    assert sender.credit.get(0, 0) >= 4000
    assert head.stream_id not in sender.credit


async def test_a_ping_may_be_answered_late(start):
    apns = await start(plan={"ping_delay_ms": 50})
    sender = await apns.sender()
    began = asyncio.get_running_loop().time()
    sender.send(PingFrame(0, b"are you?"))
    await sender.until(lambda: sender.pongs)
    assert asyncio.get_running_loop().time() - began > 0.045


async def test_nothing_is_read_until_it_is_again(start):
    apns = await start(plan={"stop_reading": True})
    sender = await apns.sender()
    sender.post()
    await asyncio.sleep(0.05)
    assert apns.ledger.counts()["requests"] == 0
    apns.chaos.update_from({})
    await sender.until(lambda: sender.finished)


async def test_new_connections_may_be_told_to_go(start):
    goaway = {"reason": "BadCertificateEnvironment", "last_stream": 0, "close_after_s": 0, "times": 2}
    apns = await start(plan={"at_open": {"goaway": goaway, "before_settings": True}})
    sender = await apns.sender()
    await sender.ended()
    assert sender.settings == []
    assert [json.loads(one.additional_data)["reason"] for one in sender.goaways] == ["BadCertificateEnvironment"] * 2


async def test_settings_may_never_come(start):
    apns = await start(plan={"omit_settings": True})
    sender = await apns.sender()
    sender.post()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(sender.reader.read(1), 0.1)


@pytest.mark.parametrize(
    ("accept", "complaint"),
    [
        ({"how": "rst"}, "reset|EOF|Connection lost"),
        ({"how": "eof"}, "EOF|reset|Connection lost|^$"),
        ({"how": "alert", "alert": "certificate_expired"}, "certificate expired"),
        ({"how": "flawed", "flaw": "untrusted"}, "certificate"),
        ({"how": "flawed", "flaw": "wrong_name"}, "Hostname mismatch"),
        ({"how": "flawed", "flaw": "expired"}, "certificate has expired"),
    ],
)
async def test_a_connection_is_turned_away_before_http(start, accept, complaint):
    apns = await start(plan={"accept": {**accept, "times": 1}})
    with pytest.raises((OSError, ssl.SSLError), match=complaint):
        await apns.sender()
    assert (await (await apns.sender()).push()).status == 200


async def test_a_handshake_may_stall(start):
    apns = await start(plan={"accept": {"how": "stall", "times": 1}})
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(apns.sender(), 0.1)
    assert (await (await apns.sender()).push()).status == 200


async def test_whoever_connects_too_often_is_blocked_for_a_while(start):
    apns = await start(plan={"connection_rate": {"connections": 2, "per_s": 60, "block_s": 60}})
    for _ in range(2):
        await apns.sender()
    with pytest.raises(OSError, match=r"reset|lost"):
        await apns.sender()
    apns.clock.advance(61)
    await apns.sender()


async def test_updates_of_the_token_may_be_counted_per_team(start):
    apns = await start(plan={"auth": {"per_team": True}})
    for count, reason in enumerate([None, None, "TooManyProviderTokenUpdates"]):
        sender = await apns.sender(token=apns.token(claims={"iss": "SKERRYTEAM", "iat": 1_790_000_000 - count}))
        assert (await sender.push()).reason == reason


async def test_tokens_expire_on_command(start):
    apns = await start(Limits(expired_token_wedges=False))
    sender = await (await apns.sender()).ready()
    apns.chaos.update_from({"script": {"at_s": 0, "expire_tokens": True}})
    await sender.sync()
    assert (await sender.push()).reason == "ExpiredProviderToken"
    apns.clock.advance(10)
    fresh = await apns.sender(Environment.SANDBOX, token=apns.token(claims={"iss": "SKERRYTEAM", "iat": 1_790_000_009}))
    assert (await fresh.push()).status == 200
