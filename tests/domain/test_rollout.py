"""A share of an audience: the size that was asked for, stable, growing, and another one for another salt."""

from hypothesis import given
from hypothesis import strategies as st

from skerry.domain.rollout import PARTS, Rollout

salts = st.text(max_size=20)
DEVICES = range(1, 20_001)


@given(salts, st.integers(0, PARTS), st.integers(0, PARTS), st.integers(1, 2**40))
def test_a_larger_share_only_adds_devices(salt, one, other, device):
    small, large = sorted((one, other))
    if Rollout(small, salt).holds(device):
        assert Rollout(large, salt).holds(device)


@given(salts, st.integers(1, 2**40))
def test_nothing_is_nobody_and_everything_is_everybody(salt, device):
    assert not Rollout(0, salt).holds(device)
    assert Rollout(PARTS, salt).holds(device)


def test_the_share_is_as_large_as_was_asked_for():
    for share in (10, 500, 2500, 5000, 9900):
        for salt in ("", "spring", "ars-liv-2025", "a", "b"):
            rollout = Rollout(share, salt)
            drawn = sum(map(rollout.holds, DEVICES))
            assert abs(drawn / len(DEVICES) - share / PARTS) < 0.01, (share, salt)


def test_salts_draw_independently():
    """Of a half that one salt has drawn, another draws about half again."""
    salts = [f"salt-{number}" for number in range(12)]
    drawn = [set(filter(Rollout(5000, salt).holds, DEVICES)) for salt in salts]
    shares = [len(one & other) / len(one) for place, one in enumerate(drawn) for other in drawn[:place]]
    assert 0.45 < sum(shares) / len(shares) < 0.55
    assert all(0.3 < share < 0.7 for share in shares)


def test_the_draw_stays_what_it_was():
    """A change here would give running rollouts to other devices."""
    assert [device for device in range(1, 200) if Rollout(500, "spring").holds(device)] == [
        11,
        20,
        22,
        31,
        42,
        113,
        122,
        124,
        133,
        144,
    ]
