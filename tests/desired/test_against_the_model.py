"""Random histories against a simple model: after quiet every phone shows what the model says, and nothing twice.

Commands, token reports (late, twice, rotated, never), swipes, crashes, jumps of the clock and faults of APNs are drawn
from a seed, which a failure names: `run(tmp_path, seed)` repeats it.
"""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from random_history import History
from unkind_apple import UnkindApple
from virtual_world import stepped_service

from skerry.simulator.phone.rules import DAY_S, PhoneRules

MOST_EXCUSED = 0.1
"""Share of what is looked at that may be other than the model says, because the world has left nobody a way to know."""
ENOUGH = 500
"""Looks, for that share to mean something."""


async def run(directory: Path, seed: int) -> History:
    directory.mkdir(exist_ok=True)
    async with stepped_service(directory, str(seed), UnkindApple, rules=_rules(seed)) as service:
        history = History(service, seed)
        await history.live()
        return history


def _rules(seed: int) -> PhoneRules:
    """Tokens that have been replaced are dead at once or taken for weeks, and starts may replace the start token."""
    dice = random.Random(f"rules {seed}")
    return PhoneRules(
        start_budget=1_000,
        rotated_token_lives_s=dice.choice([0.0, 14 * DAY_S]),
        start_rotates_start_token=dice.random() < 0.3,
    )


@dataclass
class Tally:
    """Of all histories."""

    looked_at: int = 0
    excused: int = 0


@pytest.fixture(scope="module")
def tally() -> Iterator[Tally]:
    counted = Tally()
    yield counted
    if counted.looked_at > ENOUGH:
        assert counted.excused <= counted.looked_at * MOST_EXCUSED


async def live_through(directory: Path, seeds: Iterable[int], tally: Tally) -> None:
    for seed in seeds:
        try:
            history = await run(directory / str(seed), seed)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        tally.looked_at += history.looked_at
        tally.excused += len(history.excused)


@pytest.mark.parametrize("block", range(20))
async def test_after_quiet_every_phone_shows_what_the_model_says(tmp_path: Path, tally: Tally, block: int) -> None:
    await live_through(tmp_path, range(10 * block, 10 * (block + 1)), tally)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("block", range(100))
async def test_the_same_five_thousand_times(tmp_path: Path, tally: Tally, block: int) -> None:
    await live_through(tmp_path, range(1_000 + 50 * block, 1_000 + 50 * (block + 1)), tally)
