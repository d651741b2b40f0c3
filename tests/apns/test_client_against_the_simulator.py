"""The client against a server that behaves, and misbehaves, as Apple's does: one outcome per push, whatever happens."""

from collections import Counter

import pytest
from simulated_apple import Apple, batch

from skerry.apns import ApnsClient
from skerry.domain.push import Credential, Endpoint, Outcome, Route


async def test_a_batch_is_accepted_and_each_push_arrives_once(apple: Apple) -> None:
    outcomes = await apple.client.send(apple.route, batch(3_000))
    assert outcomes.counts()[Outcome.ACCEPTED] == 3_000
    assert len({one.token for one in apple.phones.deliveries}) == len(apple.phones.deliveries) == 3_000


async def test_a_refusal_is_a_value_with_apples_reason(apple: Apple) -> None:
    outcomes = await apple.client.send(apple.route, batch(1, prefix="12"))
    assert outcomes.rejections[0].reason == "BadDeviceToken"
    assert outcomes.rejections[0].status == 400


async def test_a_410_says_since_when(apple: Apple) -> None:
    gone = batch(1)
    object.__setattr__(gone, "tokens", ["80" * 30 + "ff"])
    rejected = (await apple.client.send(apple.route, gone)).rejections[0]
    assert (rejected.status, rejected.reason, rejected.invalid_since) == (410, "Unregistered", 1_790_000_000_000)


async def test_refused_streams_go_out_again_and_arrive_once(apple: Apple) -> None:
    apple.chaos.update_from({"refuse": 0.2, "seed": 7})
    outcomes = await apple.client.send(apple.route, batch(1_000))
    assert outcomes.counts()[Outcome.ACCEPTED] == 1_000
    assert max(Counter(one.token for one in apple.phones.deliveries).values()) == 1


async def test_pushes_above_a_goaways_last_stream_move_to_another_connection(apple: Apple) -> None:
    apple.chaos.update_from({"goaway_every": 200})
    outcomes = await apple.client.send(apple.route, batch(1_500))
    assert outcomes.counts()[Outcome.ACCEPTED] == 1_500
    assert max(Counter(one.token for one in apple.phones.deliveries).values()) == 1


async def test_a_limit_that_falls_with_each_refusal_costs_nothing(apple: Apple) -> None:
    apple.chaos.update_from(
        {"reject": {"share": 0.02, "reason": "BadDeviceToken"}, "limit_after_rejection": True, "seed": 3}
    )
    outcomes = await apple.client.send(apple.route, batch(2_000))
    counts = outcomes.counts()
    assert counts[Outcome.ACCEPTED] + counts[Outcome.REJECTED] == 2_000
    assert max(Counter(one.token for one in apple.phones.deliveries).values()) == 1


async def test_a_push_that_is_never_answered_is_unknown_at_its_deadline(apple: Apple) -> None:
    await apple.client.send(apple.route, batch(1))
    apple.chaos.update_from({"silent": 1.0})
    outcomes = await apple.client.send(apple.route, batch(5, deadline=0.4))
    counts = outcomes.counts()
    assert counts[Outcome.UNKNOWN] == 5
    assert counts[Outcome.ACCEPTED] == 0


async def test_a_connection_that_dies_leaves_what_was_written_unknown(apple: Apple) -> None:
    await apple.client.send(apple.route, batch(1))
    apple.chaos.update_from({"drop_answer": 1.0})
    outcomes = await apple.client.send(apple.route, batch(3, deadline=2.0))
    assert outcomes.counts()[Outcome.ACCEPTED] == 0
    assert len(outcomes.codes) == sum(outcomes.counts().values())
    assert outcomes.counts()[Outcome.PENDING] == 0


async def test_a_server_that_is_not_there_is_not_processed_at_the_deadline(apple: Apple) -> None:
    nowhere = Route(apple.route.credential, Endpoint("127.0.0.1", 1, apple.route.endpoint.ca_file))
    outcomes = await apple.client.send(nowhere, batch(3, deadline=0.4))
    assert outcomes.counts()[Outcome.NOT_PROCESSED] == 3


async def test_a_server_that_is_not_trusted_is_refused_at_once_and_named(apple: Apple) -> None:
    stranger = Route(apple.route.credential, Endpoint(apple.route.endpoint.host, apple.route.endpoint.port))
    outcomes = await apple.client.send(stranger, batch(3))
    assert outcomes.counts()[Outcome.NOT_PROCESSED] == 3
    errors = [route.last_error or "" for route in apple.client.stats().routes]
    assert any("is not trusted" in error for error in errors)


async def test_a_key_that_cannot_sign_is_said_without_a_connection(apple: Apple) -> None:
    route = Route(Credential("T", "K", b"nonsense"), apple.route.endpoint)
    outcomes = await apple.client.send(route, batch(2))
    assert outcomes.causes == {0: "credential", 1: "credential"}


async def test_a_wrong_key_surfaces_as_a_refusal(apple: Apple) -> None:
    other = Route(Credential("SKERRYTEAM", "UNKNOWNKEY", apple.route.credential.private_key_pem), apple.route.endpoint)
    outcomes = await apple.client.send(other, batch(1))
    assert outcomes.rejections[0].reason == "InvalidProviderToken"


async def test_after_closing_nothing_goes_out(apple: Apple) -> None:
    await apple.client.close()
    outcomes = await apple.client.send(apple.route, batch(2))
    assert outcomes.causes == {0: "shutdown", 1: "shutdown"}


async def test_a_probe_tells_what_it_found(apple: Apple) -> None:
    async with ApnsClient() as client:
        report = await client.probe(apple.route)
        assert (report.problem, report.tls_version, report.stream_limit) == (None, "TLSv1.3", 1)
        bad = await client.probe(Route(apple.route.credential, Endpoint("127.0.0.1", 1)))
        assert bad.problem is not None
        assert "cannot reach 127.0.0.1:1" in bad.problem


@pytest.mark.parametrize("size", [1, 7, 1_001])
async def test_small_batches_side_by_side_all_arrive(apple: Apple, size: int) -> None:
    import asyncio

    results = await asyncio.gather(*(apple.client.send(apple.route, batch(size)) for _ in range(5)))
    assert sum(one.counts()[Outcome.ACCEPTED] for one in results) == 5 * size
