"""Figures in pages are those that were measured, and say on what."""

import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from reference.figures import CASES, filled  # noqa: E402 - scripts are no package of ours

DOCUMENT: dict[str, Any] = {
    "wire": {
        "1,000 streams": {
            "h2load": {"per_cpu_second": 120_000.0, "runs": 3},
            "skerry": {"per_cpu_second": 168_000.4, "lost": 0, "runs": 3},
            "pushy": {"absent": "no Java here"},
        }
    },
    "fairness": {"one card": {"skerry": {"p99_ms": 9.25, "p50_ms": 2}}},
    "about": {
        "wire": {"title": "t", "how": "h", "command": "make bench", "measured_at": "2026-10-01 10:00 UTC"},
        "machine": {"processor": "a processor, 2 cores", "memory": "8 GiB", "Python": "3.11.2"},
    },
}
PAGE = "before\n<!-- bench:wire -->\nold | text\n<!-- /bench -->\nafter <!-- bench -->\n<!-- /bench -->\n"


def test_the_pages_have_the_figures_of_the_last_run() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/write-figures", "--check"], cwd=ROOT, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_case_is_a_table_with_ours_first_and_without_who_was_absent() -> None:
    text = filled(PAGE, DOCUMENT)
    head, _, ours, theirs, *_ = text.split("<!-- bench:wire -->\n")[1].splitlines()
    assert head == "| size | client | per CPU-second | lost |"
    assert ours == "| 1,000 streams | skerry | 168,000 | 0 |"
    assert theirs == "| 1,000 streams | h2load | 120,000 |  |"
    assert "pushy" not in text
    assert "*`make bench`, 2026-10-01 10:00 UTC, on a processor, 2 cores, Python 3.11.2.*" in text


def test_the_summary_sets_us_beside_the_best_of_the_others() -> None:
    text = filled(PAGE, DOCUMENT)
    assert f"| {CASES['wire']} | 1,000 streams | per CPU-second | **168,000** | 120,000 (h2load) |" in text
    assert f"| {CASES['fairness']} | one card | p99, ms | **9.25** | – |" in text


def test_filling_twice_changes_nothing_and_what_is_around_stays() -> None:
    once = filled(PAGE, DOCUMENT)
    assert filled(once, DOCUMENT) == once
    assert once.startswith("before\n")
    assert "old | text" not in once


def test_what_was_not_measured_says_how_to_measure_it() -> None:
    assert "`make bench` measures this on your machine" in filled(PAGE, None)
    assert "Not measured in" in filled("<!-- bench:courier -->\n<!-- /bench -->", DOCUMENT)
