"""The gate of a route: it stops what would only be refused, and one accepted push opens it again."""

import pytest

from skerry.apns.gate import STORM_LEAST, Closed, Gate, GateSettings

SETTINGS = GateSettings(pause=60.0, credential_probe=300.0, storm_probe=1.0, storm_probe_most=15.0)


@pytest.fixture
def gate() -> Gate:
    return Gate(SETTINGS, jitter=lambda: 1.0)


def storm(gate: Gate, now: float = 0.0) -> None:
    for _ in range(STORM_LEAST):
        gate.answered(now, 503, probe=False)


def test_an_open_gate_lets_everything_through(gate: Gate) -> None:
    assert gate.allowance(0.0) is None


def test_server_errors_among_accepted_pushes_are_no_storm(gate: Gate) -> None:
    for _ in range(10 * STORM_LEAST):
        gate.answered(0.0, 503, probe=False)
        gate.answered(0.0, 200, probe=False)
    assert gate.allowance(0.0) is None


def test_in_a_storm_single_probes_go_out_at_growing_distances(gate: Gate) -> None:
    storm(gate)
    now, distances = 0.0, []
    for _ in range(6):
        assert gate.allowance(now) == 0
        distances.append(gate.opens_at - now)
        now = gate.opens_at
        assert gate.allowance(now) == 1
        gate.sent_probe()
        assert gate.allowance(now + 100.0) == 0
        gate.answered(now, 503, probe=True)
    assert distances == [1.0, 2.0, 4.0, 8.0, 15.0, 15.0]


def test_a_storm_is_over_with_the_first_accepted_push(gate: Gate) -> None:
    storm(gate)
    gate.sent_probe()
    gate.answered(2.0, 200, probe=True)
    assert gate.allowance(2.0) is None


def test_pushes_wait_out_a_storm_and_are_not_handed_back(gate: Gate) -> None:
    storm(gate)
    assert not gate.hands_back(0.0)


def test_a_probe_without_an_answer_is_followed_by_another(gate: Gate) -> None:
    storm(gate)
    gate.sent_probe()
    gate.lost_probe(1.0)
    assert gate.allowance(1.0) == 0
    assert gate.allowance(20.0) == 1


def test_a_refused_credential_hands_everything_back_until_the_next_probe(gate: Gate) -> None:
    gate.refused_credential(0.0, "InvalidProviderToken")
    assert gate.closed is Closed.CREDENTIAL
    assert gate.hands_back(299.0)
    assert not gate.hands_back(300.0)
    assert gate.allowance(300.0) == 1


def test_answers_to_what_was_under_way_do_not_put_the_probe_off(gate: Gate) -> None:
    gate.refused_credential(0.0, "InvalidProviderToken")
    gate.refused_credential(200.0, "InvalidProviderToken")
    gate.answered(200.0, 200, probe=False)
    assert gate.opens_at == 300.0


def test_a_credential_that_is_accepted_again_opens_the_gate(gate: Gate) -> None:
    gate.refused_credential(0.0, "InvalidProviderToken")
    gate.sent_probe()
    gate.answered(301.0, 200, probe=True)
    assert gate.allowance(301.0) is None


def test_a_probe_refused_again_waits_the_full_time_again(gate: Gate) -> None:
    gate.refused_credential(0.0, "InvalidProviderToken")
    gate.sent_probe()
    gate.refused_credential(301.0, "InvalidProviderToken")
    assert gate.opens_at == 601.0
    assert gate.hands_back(302.0)


def test_too_many_provider_tokens_is_a_pause_for_all(gate: Gate) -> None:
    gate.too_many_tokens(0.0, "TooManyProviderTokenUpdates")
    assert gate.allowance(59.0) == 0
    assert not gate.hands_back(59.0)
    assert gate.allowance(60.0) is None


def test_a_pause_goes_before_a_storm_and_ends_its_probe(gate: Gate) -> None:
    storm(gate)
    gate.sent_probe()
    gate.too_many_tokens(2.0, "TooManyProviderTokenUpdates")
    assert gate.allowance(61.0) == 0
    assert gate.allowance(62.0) is None


def test_a_server_error_for_a_credentials_probe_is_followed_by_another_probe(gate: Gate) -> None:
    gate.refused_credential(0.0, "InvalidProviderToken")
    gate.sent_probe()
    gate.answered(301.0, 503, probe=True)
    assert gate.allowance(320.0) == 1
