"""APNs on a good day, over TLS: SETTINGS, streams, answers, provider tokens, the ways a connection ends."""

import asyncio
import json
import re
import ssl

import pytest
from hyperframe.frame import GoAwayFrame, HeadersFrame, PingFrame, RstStreamFrame, SettingsFrame, WindowUpdateFrame

from skerry.domain.push import Environment
from skerry.simulator.apns import Ending, Limits

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ID = "0b9f4c6a-6f6e-4f57-9d6f-1f7d7f0c1a2b"
VIOLATION = b"Maximum active streams violated for this endpoint."


async def test_the_first_settings_are_those_observed_at_apple(apns):
    sender = await apns.sender()
    await sender.until(lambda: sender.settings)
    assert sender.settings[0] == {1: 4096, 3: 1, 4: 65_535, 5: 16_384, 6: 8000}
    assert isinstance(sender.frames[0], SettingsFrame)


async def test_streams_rise_to_1000_with_the_first_valid_provider_token_whatever_the_answer(apns):
    sender = await apns.sender()
    assert (await sender.push(apns.phones.unknown)).reason == "BadDeviceToken"
    assert sender.limits == [1, 1000]


async def test_streams_stay_at_one_without_a_valid_provider_token(apns):
    sender = await apns.sender(token="rubbish")
    for _ in range(3):
        assert (await sender.push()).reason == "InvalidProviderToken"
    assert sender.limits == [1]


async def test_a_good_push_is_a_200_with_headers_only_and_reaches_the_phone(apns):
    sender = await apns.sender()
    answer = await sender.push(apns_id=ID, apns_expiration="1790003600", apns_priority="5")
    assert (answer.status, answer.body, answer.headers["apns-id"]) == (200, b"", ID)
    assert UUID.fullmatch(answer.headers["apns-unique-id"])
    ended = [frame for frame in sender.frames if "END_STREAM" in frame.flags]
    assert isinstance(ended[0], HeadersFrame)
    (delivery,) = apns.phones.delivered
    assert (delivery.token, delivery.priority, delivery.expiration) == (apns.phones.update, 5, 1_790_003_600)
    assert (delivery.apns_id, delivery.accepted_at) == (ID, apns.clock.now())


async def test_an_error_is_json_with_an_id(apns):
    answer = await (await apns.sender()).push(apns.phones.unknown)
    assert (answer.status, answer.body) == (400, b'{"reason":"BadDeviceToken"}')
    assert answer.headers["content-type"] == "application/json"
    assert UUID.fullmatch(answer.headers["apns-id"])
    assert apns.phones.delivered == []


async def test_410_carries_its_timestamp(apns):
    answer = await (await apns.sender()).push(apns.phones.expired)
    assert (answer.status, json.loads(answer.body)) == (
        410,
        {"reason": "ExpiredToken", "timestamp": 1_789_999_999_500},
    )


async def test_production_is_another_world(apns):
    sender = await apns.sender(Environment.PRODUCTION)
    answer = await sender.push()
    assert answer.reason == "BadDeviceToken"
    assert apns.ledger.entries()[0].environment is Environment.PRODUCTION


@pytest.mark.parametrize(("size", "status"), [(4096, 200), (4097, 413), (100_000, 413)])
async def test_payloads_are_counted_to_the_byte(apns, size, status):
    sender = await (await apns.sender()).ready()
    stream, (head, data) = sender.frames_of(sender.headers(), b"x" * size)
    sender.send(head)
    for start in range(0, size, 16_384):
        await sender.sync()  # credit comes back in between
        part = type(data)(stream, data.data[start : start + 16_384])
        if start + 16_384 >= size:
            part.flags.add("END_STREAM")
        sender.send(part)
    assert (await sender.answer(stream)).status == status
    assert apns.ledger.entries()[-1].body_bytes == size


async def test_an_empty_body_is_payload_empty(apns):
    assert (await (await apns.sender()).push(body=b"")).reason == "PayloadEmpty"


async def test_a_repeated_header_is_refused(apns):
    sender = await apns.sender()
    stream, frames = sender.frames_of([*sender.headers(), ("apns-priority", "5")])
    sender.send(*frames)
    assert (await sender.answer(stream)).reason == "DuplicateHeaders"


async def test_signatures_may_be_raw_or_der(apns):
    for der in (False, True):
        sender = await apns.sender(token=apns.token(der=der))
        assert (await sender.push()).status == 200


async def test_a_new_provider_token_per_push_is_too_many(apns):
    sender = await apns.sender()
    reasons = []
    for second in range(4):
        sender.token = apns.token(claims={"iss": "SKERRYTEAM", "iat": 1_790_000_000 + second})
        reasons.append((await sender.push()).reason)
    assert reasons == [None, None, "TooManyProviderTokenUpdates", "TooManyProviderTokenUpdates"]
    apns.clock.advance(20 * 60)
    assert (await sender.push()).status == 200


async def test_a_provider_token_expires_in_simulated_time_and_wedges_the_connection(apns):
    sender = await (await apns.sender()).ready()
    apns.clock.advance(3601)
    assert (await sender.push()).reason == "ExpiredProviderToken"
    fresh = apns.token(claims={"iss": "SKERRYTEAM", "iat": int(apns.clock.now())})
    sender.token = fresh
    assert (await sender.push()).reason == "ExpiredProviderToken"
    assert (await (await apns.sender(token=fresh)).push()).status == 200


async def test_a_key_of_the_other_environment_is_named_as_on_the_wire_or_as_documented(apns):
    apns.keys.register_pem("SKERRYTEAM", "SKERRYDEV1", apns.pem, environments=frozenset({Environment.PRODUCTION}))
    sender = await apns.sender()
    assert (await sender.push()).reason == "BadEnvironmentKeyInToken"
    apns.chaos.update_from({"documented_spellings": True})
    assert (await sender.push()).reason == "BadEnvironmentKeyIdInToken"


async def test_many_streams_in_one_write_are_all_answered(apns):
    sender = await (await apns.sender()).ready()
    streams = sender.post_many([apns.phones.update] * 500)
    for stream in streams:
        assert (await sender.answer(stream)).status == 200
    assert [entry.stream for entry in apns.ledger.entries()] == [1, *streams]
    assert len(apns.phones.delivered) == 501


async def test_a_second_stream_before_the_limit_has_risen_ends_the_connection(apns):
    sender = await apns.sender()
    first, second = sender.post_many([apns.phones.update] * 2)
    await sender.until(lambda: sender.goaways and first in sender.finished)
    (goaway,) = sender.goaways
    assert (goaway.error_code, goaway.last_stream_id, goaway.additional_data) == (7, first, VIOLATION)
    assert second not in sender.answers
    assert [entry.ending for entry in apns.ledger.entries()] == [Ending.ANSWERED, Ending.IGNORED]
    assert len(apns.phones.delivered) == 1


async def test_a_raised_limit_counts_once_it_is_acknowledged(apns):
    sender = await apns.sender(acknowledge=False)
    await sender.ready()
    sender.post_many([apns.phones.update] * 2)
    await sender.until(lambda: sender.goaways)
    assert sender.goaways[0].additional_data == VIOLATION


async def test_more_than_the_raised_limit_ends_the_connection(start):
    apns = await start(Limits(raised_streams=20))
    sender = await (await apns.sender()).ready()
    streams = sender.post_many([apns.phones.update] * 21)
    await sender.until(lambda: sender.goaways)
    assert sender.goaways[0].last_stream_id == streams[-2]


async def test_ping_is_answered_with_its_own_data(apns):
    sender = await apns.sender()
    sender.send(PingFrame(0, b"12345678"))
    await sender.until(lambda: sender.pongs)
    assert sender.pongs == [b"12345678"]


async def test_a_sender_that_cancels_gets_no_answer_and_its_stream_back(start):
    apns = await start(Limits(raised_streams=1), {"latency_ms": 60_000})
    sender = await apns.sender()
    stream = sender.post()
    sender.send(RstStreamFrame(stream, 8))
    await sender.sync()
    assert apns.ledger.entries()[0].ending is Ending.NO_ANSWER
    apns.chaos.update_from({})
    assert (await sender.push()).status == 200


async def test_answers_without_room_in_the_senders_window_wait_for_credit(apns):
    sender = await apns.sender()
    sender.send(SettingsFrame(0, settings={4: 10}))
    stream = sender.post(apns.phones.unknown)
    await sender.sync()
    assert sender.answers[stream].body == b'{"reason":'
    assert stream not in sender.finished
    sender.send(WindowUpdateFrame(stream, 1000))
    assert (await sender.answer(stream)).reason == "BadDeviceToken"


async def test_an_answer_that_waits_for_credit_is_one_open_stream(start):
    apns = await start(Limits(raised_streams=2))
    sender = await (await apns.sender()).ready()
    sender.send(SettingsFrame(0, settings={4: 10}))
    waiting, answered = sender.post_many([apns.phones.unknown, apns.phones.update])  # read in one go
    assert (await sender.answer(answered)).status == 200
    assert waiting not in sender.finished
    sender.post_many([apns.phones.update] * 2)
    await sender.ended()
    assert sender.goaways  # the one that waits, and one more, is all there may be


async def test_rejections_stall_when_the_sender_never_returns_credit_and_go_on_when_it_does(apns):
    """Fault F25: a sender that forgets to return credit for error bodies is found out."""
    sender = await (await apns.sender()).ready()
    streams = []
    for _ in range(5):
        streams += sender.post_many([apns.phones.unknown] * 500)
        await sender.sync()
    answered = sum(stream in sender.finished for stream in streams)
    assert answered == 65_535 // len(b'{"reason":"BadDeviceToken"}')
    sender.send(WindowUpdateFrame(0, 2**20))
    await sender.answer(streams[-1])


async def test_a_senders_goaway_lets_the_streams_in_flight_finish(start):
    apns = await start(plan={"latency_ms": 30})
    sender = await (await apns.sender()).ready()
    streams = sender.post_many([apns.phones.update] * 3)
    sender.send(GoAwayFrame(0, last_stream_id=0, error_code=0))
    for stream in streams:
        assert (await sender.answer(stream)).status == 200


async def test_broken_framing_ends_the_connection_with_the_right_code_and_a_note(apns):
    sender = await apns.sender()
    sender.send(HeadersFrame(2, sender.encoder.encode([(":method", "POST")]), flags=["END_HEADERS"]))
    await sender.ended()
    assert sender.goaways[0].error_code == 1
    assert any("protocol error" in note.what for note in apns.ledger.notes())


async def test_a_header_list_over_8000_bytes_ends_the_connection(apns):
    sender = await apns.sender()
    sender.post(x_padding="x" * 8000)
    await sender.ended()
    assert sender.goaways[0].error_code == 11


@pytest.mark.parametrize("offered", [["http/1.1"], None])
async def test_who_does_not_negotiate_h2_is_refused(apns, offered):
    context = ssl.create_default_context(cafile=str(apns.certificates.ca_file))
    if offered is not None:
        context.set_alpn_protocols(offered)
    async with asyncio.timeout(10):
        try:
            reader, writer = await asyncio.open_connection("localhost", apns.ports[Environment.SANDBOX], ssl=context)
            received = await reader.read()
            writer.transport.abort()
        except ConnectionError:
            received = b""
    assert received == b""
    assert apns.server.open_connections == 0


async def test_an_unfinished_handshake_leaves_nothing_behind(apns):
    _, writer = await asyncio.open_connection("127.0.0.1", apns.ports[Environment.SANDBOX])
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    await writer.drain()
    sender = await (await apns.sender()).ready()
    assert apns.server.open_connections == 1
    writer.transport.abort()
    await sender.close()


async def test_an_idle_connection_ends_in_simulated_time(start):
    apns = await start(Limits(idle_timeout_s=3600, goaway_grace_s=0))
    sender = await (await apns.sender()).ready()
    apns.clock.advance(3599)
    await sender.sync()
    apns.clock.advance(3599)
    apns.server.check_idle()
    assert sender.goaways == []
    apns.clock.advance(1)
    await sender.ended()
    assert json.loads(sender.goaways[0].additional_data) == {"reason": "IdleTimeout"}


async def test_shutdown_is_announced_and_new_connections_are_welcome(start):
    apns = await start(Limits(goaway_grace_s=0))
    sender = await (await apns.sender()).ready()
    assert apns.server.goaway() == 1
    await sender.ended()
    (goaway,) = sender.goaways
    assert (goaway.error_code, goaway.last_stream_id) == (0, 1)
    assert goaway.additional_data == b'{"reason":"Shutdown"}'
    assert (await (await apns.sender()).push()).status == 200


async def test_two_goaways_first_far_then_near(apns):
    sender = await (await apns.sender()).ready()
    apns.server.goaway(None, last_stream=2**31 - 1)
    assert (await sender.push()).status == 200
    apns.server.goaway(debug=b"not json", code=2, last_stream=3)
    late = sender.post()
    await sender.sync()
    assert [(g.last_stream_id, g.error_code, g.additional_data) for g in sender.goaways] == [
        (2**31 - 1, 0, b""),
        (3, 2, b"not json"),
    ]
    assert late not in sender.answers
    assert apns.ledger.entries()[-1].ending is Ending.IGNORED


async def test_a_dropped_connection_leaves_its_requests_unanswered(start):
    apns = await start(plan={"latency_ms": 60_000})
    sender = await apns.sender()
    sender.post()
    await sender.sync()
    assert apns.ledger.counts()["endings"]["pending"] == 1
    assert apns.server.drop_connections("rst") == 1
    await sender.ended()
    assert apns.ledger.entries()[0].ending is Ending.NO_ANSWER
    assert apns.phones.delivered == []


async def test_one_environment_has_one_listener(apns):
    with pytest.raises(RuntimeError, match="listening already"):
        await apns.server.start(Environment.SANDBOX, ssl_context=apns.certificates.server_context())


async def test_a_closed_server_can_be_started_again(apns):
    await (await apns.sender()).ready()
    await apns.server.close()
    assert apns.server.open_connections == 0
    _, apns.ports[Environment.SANDBOX] = await apns.server.start(
        Environment.SANDBOX, ssl_context=apns.certificates.server_context()
    )
    assert (await (await apns.sender()).push()).status == 200
