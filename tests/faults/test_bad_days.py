"""Faults at random, in pairs and more: most real incidents were pairs. And the days that once went wrong, again."""

import json
from pathlib import Path

import pytest
from bad_days import as_text, draw, outcome_of, play_script, shrink

KEPT = Path(__file__).parent / "kept"
RUNS, PART = 2_000, 100


def must_be_good(seeds: range, directory: Path) -> None:
    """Play the days of these seeds; of the first bad one, a script as small as it gets is written down."""
    for seed in seeds:
        script = draw(seed)
        if outcome_of(script) is None:
            continue
        small = shrink(script, outcome_of)
        path = directory / f"day-{seed}.json"
        path.write_text(as_text(small))
        pytest.fail(
            f"seed {seed}: {outcome_of(small)}\n{as_text(small)}"
            f"\nwritten to {path}; once it is mended, keep it in {KEPT}"
        )


@pytest.mark.parametrize("path", sorted(KEPT.glob("*.json")), ids=lambda path: path.stem)
def test_a_day_that_once_went_wrong_goes_well(path: Path) -> None:
    play_script(json.loads(path.read_text()))


def test_some_bad_days_end_well(tmp_path: Path) -> None:
    must_be_good(range(40), tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("first", range(0, RUNS, PART))
def test_two_thousand_bad_days_end_well(first: int, tmp_path: Path) -> None:
    must_be_good(range(first, first + PART), tmp_path)


@pytest.mark.parametrize("seed", [3, 14, 159])
def test_a_day_repeats_exactly(seed: int) -> None:
    def ledger() -> list[tuple[object, ...]]:
        bed = play_script(draw(seed))
        return [(e.time, e.connection, e.stream, e.token, e.ending, e.status, e.reason) for e in bed.entries()]

    first = ledger()
    assert first
    assert ledger() == first


def test_a_bad_day_is_shrunk_to_what_makes_it_bad() -> None:
    script = draw(7)
    script["events"] += [{"at_s": 19.9, "net": {"how": "silent", "which": 0}}]

    def fails(one: dict) -> str | None:
        return "bad" if any(event.get("net", {}).get("how") == "silent" for event in one["events"]) else None

    small = shrink(script, fails)
    assert [event["net"]["how"] for event in small["events"]] == ["silent"]
    assert (small["addresses"], small["connections"]) == (1, 1)
    assert json.loads(as_text(small)) == small
