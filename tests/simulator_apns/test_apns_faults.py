"""APNs on a bad day: each fault of a chaos plan as a sender meets it."""

import asyncio
import json

import pytest
from hyperframe.frame import HeadersFrame, PingFrame

from skerry.simulator.apns import Ending, Limits


async def endings(apns) -> dict[str, int]:
    return {ending: count for ending, count in apns.ledger.counts()["endings"].items() if count}


async def test_latency_delays_answers_without_holding_up_others(start):
    apns = await start(plan={"latency_ms": {"min": 1, "max": 40}, "seed": 5})
    sender = await (await apns.sender()).ready()
    streams = sender.post_many([apns.phones.update] * 30)
    await sender.until(lambda: len(sender.finished) == 31)
    order = [frame.stream_id for frame in sender.frames if frame.stream_id in streams]
    assert sorted(order) == streams
    assert order != streams


async def test_a_scripted_rejection_comes_instead_of_a_200_only(start):
    apns = await start(plan={"reject": {"reason": "TooManyRequests", "token": "80" + "AB" * 79, "times": 2}})
    sender = await apns.sender()
    assert (await sender.push()).reason == "TooManyRequests"
    assert (await sender.push(apns.phones.start)).status == 200
    assert (await sender.push(apns_topic=None)).reason == "MissingTopic"
    answer = await sender.push()
    assert (answer.status, answer.reason) == (429, "TooManyRequests")
    assert (await sender.push()).status == 200
    assert len(apns.phones.delivered) == 2


async def test_odd_replies_are_sent_as_they_are_scripted(start):
    huge = "x" * 50_000
    apns = await start(
        plan={
            "reject": [
                {"reason": "Moved", "status": 302, "body": "<html>", "times": 1},
                {"reason": "ServiceUnavailable", "retry_after_s": 30, "times": 1},
                {"reason": "Unregistered", "timestamp": "soon", "times": 1},
                {"reason": "InternalServerError", "body": huge},
            ]
        }
    )
    sender = await apns.sender()
    moved = await sender.push()
    assert (moved.status, moved.body) == (302, b"<html>")
    assert (await sender.push()).headers["retry-after"] == "30"
    assert json.loads((await sender.push()).body) == {"reason": "Unregistered", "timestamp": "soon"}
    assert (await sender.push()).body.decode() == huge


async def test_silence_keeps_the_stream_and_delivers_nothing(start):
    apns = await start(plan={"silent": {"share": 1, "times": 1}, "initial_streams": 2})
    sender = await apns.sender()
    silent = sender.post()
    assert (await sender.push()).status == 200
    assert silent not in sender.answers
    assert [entry.ending for entry in apns.ledger.entries()] == [Ending.NO_ANSWER, Ending.ANSWERED]
    assert len(apns.phones.delivered) == 1


@pytest.mark.parametrize(
    ("plan", "code", "ending"),
    [({"refuse": 1}, 7, "refused"), ({"reset": 1}, 2, "reset"), ({"reset": {"code": 8}}, 8, "reset")],
)
async def test_streams_are_reset_unprocessed(start, plan, code, ending):
    apns = await start(plan=plan)
    sender = await apns.sender()
    stream = sender.post()
    await sender.until(lambda: sender.resets)
    assert sender.resets == [(stream, code)]
    assert await endings(apns) == {ending: 1}
    assert apns.phones.delivered == []


async def test_a_goaway_serves_what_is_below_its_id_and_ignores_the_rest(start):
    """Fault F02: 50 streams open, the 30th is the last that counts."""
    apns = await start(Limits(goaway_grace_s=0.2), plan={"goaway_every": 31, "latency_ms": 10})
    sender = await (await apns.sender()).ready()
    streams = sender.post_many([apns.phones.update] * 50)
    await sender.ended()
    (goaway,) = sender.goaways
    assert goaway.last_stream_id == streams[29]
    assert json.loads(goaway.additional_data) == {"reason": "Shutdown"}
    assert sender.finished == {1, *streams[:30]}
    assert await endings(apns) == {"answered": 31, "ignored": 20}
    assert len(apns.phones.delivered) == 31


@pytest.mark.parametrize("mode", ["eof", "rst"])
async def test_a_connection_is_dropped_after_so_many_requests(start, mode):
    apns = await start(plan={"close_after": {"requests": 3, "mode": mode}})
    sender = await (await apns.sender()).ready()
    sender.post_many([apns.phones.update] * 10)
    await sender.ended()
    assert sender.goaways == []
    assert apns.ledger.counts()["requests"] == 3
    assert apns.server.open_connections == 0
    if mode == "eof":
        assert len(sender.finished) == 3


async def test_a_dropped_answer_was_delivered_and_takes_the_connection_with_it(start):
    apns = await start(plan={"drop_answer": {"event": "update"}})
    sender = await apns.sender()
    sender.post()
    await sender.ended()
    (entry,) = apns.ledger.entries()
    assert (entry.ending, entry.delivered, entry.status) == (Ending.NO_ANSWER, True, None)
    assert len(apns.phones.delivered) == 1


async def test_too_many_errors_end_the_connection_and_410_is_none(start):
    apns = await start(Limits(goaway_grace_s=0), plan={"too_many_errors": 3})
    sender = await apns.sender()
    for token in [apns.phones.expired] * 5 + [apns.phones.unknown] * 3:
        await sender.push(token)
    await sender.ended()
    assert json.loads(sender.goaways[0].additional_data) == {"reason": "BadDeviceToken"}
    assert apns.ledger.counts()["statuses"] == {"400": 3, "410": 5}


async def test_a_rejection_drops_the_limit_to_one_and_an_acceptance_restores_it(start):
    apns = await start(plan={"limit_after_rejection": True})
    sender = await (await apns.sender()).ready()
    await sender.push(apns.phones.unknown)
    await sender.sync()
    assert sender.limits == [1, 1000, 1]
    await sender.push(apns.phones.expired)
    await sender.sync()
    assert sender.limits == [1, 1000, 1]
    await sender.push()
    await sender.sync()
    assert sender.limits == [1, 1000, 1, 1000]


async def test_streams_in_flight_beyond_a_dropped_limit_are_refused_and_said_to_be(start):
    apns = await start(plan={"limit_after_rejection": True})
    sender = await (await apns.sender()).ready()
    bad, *others = sender.post_many([apns.phones.unknown] + [apns.phones.update] * 20)
    await sender.sync()
    assert (await sender.answer(bad)).reason == "BadDeviceToken"
    assert {stream for stream, code in sender.resets if code == 7} == set(others)
    assert await endings(apns) == {"answered": 2, "refused": 20}
    assert (await sender.push()).status == 200
    assert not sender.goaways


async def test_the_body_of_a_refused_stream_is_answered_with_stream_closed(start):
    """As was seen at Apple's: one RST_STREAM for HEADERS, one for DATA (apple.md 1.3)."""
    apns = await start(plan={"limit_after_rejection": True})
    sender = await (await apns.sender()).ready()
    pushes = [sender.frames_of(sender.headers(token)) for token in (apns.phones.unknown, apns.phones.update)]
    (_, (head, data)), (late, (late_head, late_data)) = pushes
    sender.send(head, data, late_head)
    await sender.until(lambda: bool(sender.resets))
    sender.send(late_data)
    await sender.sync()
    assert sender.resets == [(late, 7), (late, 5)]


async def test_headers_that_cannot_be_read_end_the_connection_though_their_stream_would_be_refused(start):
    apns = await start(plan={"limit_after_rejection": True})
    sender = await (await apns.sender()).ready()
    (bad, frames), (late, _) = [sender.frames_of(sender.headers(apns.phones.unknown)) for _ in range(2)]
    sender.send(*frames, HeadersFrame(late, b"\xff" * 8, flags=["END_HEADERS"]))
    await sender.ended()
    assert (await sender.answer(bad)).reason == "BadDeviceToken"
    assert any("protocol error" in note.what for note in apns.ledger.notes())


async def test_requests_that_wait_are_refused_too_when_the_limit_drops(start):
    apns = await start(plan={"limit_after_rejection": True, "latency_ms": 20})
    sender = await (await apns.sender()).ready()
    sender.post_many([apns.phones.unknown] + [apns.phones.update] * 20)
    await sender.until(lambda: len(sender.resets) == 19 and len(sender.finished) == 3)
    assert await endings(apns) == {"answered": 3, "refused": 19}
    assert len(apns.phones.delivered) == 2


async def test_surplus_streams_can_be_served_all_the_same(start):
    apns = await start(plan={"limit_after_rejection": True, "refuse_surplus": False})
    sender = await (await apns.sender()).ready()
    streams = sender.post_many([apns.phones.unknown] + [apns.phones.update] * 20)
    await sender.answer(streams[-1])
    assert sender.resets == []


async def test_a_sender_that_ignores_the_dropped_limit_after_acknowledging_it_is_cut_off(start):
    apns = await start(plan={"limit_after_rejection": True})
    sender = await (await apns.sender()).ready()
    await sender.push(apns.phones.unknown)
    await sender.sync()
    await sender.sync()
    sender.post_many([apns.phones.update] * 2)
    await sender.until(lambda: sender.goaways)
    assert sender.goaways[0].error_code == 7


async def test_the_limit_follows_the_plan_on_open_connections(apns):
    sender = await (await apns.sender()).ready()
    idle = await apns.sender()
    await idle.sync()
    apns.chaos.update_from({"max_concurrent_streams": 0})
    await sender.sync()
    apns.chaos.update_from({})
    await sender.sync()
    await idle.sync()
    assert sender.limits == [1, 1000, 0, 1000]
    assert idle.limits == [1]


async def test_withheld_credit_stalls_the_connection_until_it_is_given(start):
    apns = await start(plan={"window": {"withhold": True}})
    sender = await (await apns.sender()).ready()
    streams = sender.post_many([apns.phones.update] * 15, b"x" * 4000)
    await sender.answer(streams[-1])
    assert sender.credit == {}
    apns.chaos.update_from({})
    await sender.until(lambda: sender.credit.get(0, 0) > 32_767)


async def test_a_closed_stream_window_opens_when_the_plan_is_calm(start):
    apns = await start(plan={"window": {"stream": 0, "connection": 100_000}})
    sender = await apns.sender()
    await sender.sync()
    assert sender.settings[0][4] == 0
    assert sender.credit == {0: 100_000 - 65_535}
    apns.chaos.update_from({})
    await sender.sync()
    assert sender.settings[1] == {4: 65_535}
    assert (await sender.push()).status == 200


async def test_a_ping_can_go_unanswered(start):
    apns = await start(plan={"ignore_ping": True})
    sender = await apns.sender()
    sender.send(PingFrame(0, b"are you?"))
    assert (await sender.push()).status == 200
    assert sender.pongs == []


async def test_nothing_is_said_before_a_late_first_settings(start):
    apns = await start(plan={"settings_delay_ms": 60})
    sender = await apns.sender()
    began = asyncio.get_running_loop().time()
    assert (await sender.push()).status == 200
    assert asyncio.get_running_loop().time() - began > 0.05
    assert sender.limits == [1, 1000]


async def test_a_header_table_of_zero_is_announced(start):
    apns = await start(plan={"header_table_size": 0})
    sender = await apns.sender()
    await sender.until(lambda: sender.settings)
    sender.encoder.header_table_size = 0
    assert sender.settings[0][1] == 0
    assert (await sender.push()).status == 200


async def test_unavailability_is_503_for_everything_and_passes(start):
    apns = await start(plan={"unavailable_s": 120})
    sender = await apns.sender()
    for token in (apns.phones.update, apns.phones.unknown):
        answer = await sender.push(token)
        assert (answer.status, answer.reason) == (503, "ServiceUnavailable")
    assert sender.limits == [1]
    apns.clock.advance(121)
    assert (await sender.push()).status == 200


async def test_a_seed_repeats_a_run(start):
    plan = {"seed": 11, "reject": {"share": 0.3, "reason": "TooManyRequests"}, "refuse": 0.2, "silent": 0.1}

    async def run() -> list[tuple[str, int | None]]:
        apns = await start(plan=plan)
        sender = await apns.sender()
        apns.chaos.update_from({})
        await sender.ready()
        apns.chaos.update_from(plan)
        sender.post_many([apns.phones.update] * 100)
        await sender.sync()
        return [(entry.ending.value, entry.status) for entry in apns.ledger.entries(since=1)]

    first = await run()
    assert len({ending for ending, _ in first}) == 3
    assert await run() == first
