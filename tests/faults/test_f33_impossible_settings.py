"""F33: a configuration that cannot work is refused where it is made."""

from dataclasses import FrozenInstanceError, fields

import pytest

from skerry.apns import PoolSettings

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", [one.name for one in fields(PoolSettings) if isinstance(one.default, int | float)])
@pytest.mark.parametrize("value", [0, -1])
def test_f33_nothing_may_be_nought_or_negative(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=name):
        PoolSettings(**{name: value})


def test_f33_settings_do_not_change_afterwards() -> None:
    with pytest.raises(FrozenInstanceError):
        PoolSettings().max_connections = 0  # type: ignore[misc]


def test_f33_back_off_has_an_order() -> None:
    with pytest.raises(ValueError, match="max_back_off"):
        PoolSettings(back_off=10, max_back_off=5)
