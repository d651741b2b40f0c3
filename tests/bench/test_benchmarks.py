"""The benchmarks work: each case runs at a size that takes seconds and says nothing about speed.

Only clients that need no toolchain take part here; the others are built by `make bench-peers`.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(300)  # a dozen processes are started, on a machine that may have other work

ROOT = Path(__file__).parents[2]
MEASURED = {
    "wire": {"100": {"skerry", "h2load"}},
    "whole_path": {"1200": {"skerry", "skerry_first", "skerry_two_senders"}},
    "scaling": {"1200": {f"skerry_{processes}" for processes in (1, 2, 3, 4)}},
    "personal": {"1200": {"skerry", "skerry_five_languages", "skerry_placeholders"}},
    "fairness": {"idle": {"skerry"}, "2500": {"skerry"}},
    "real_network": {"200_calm": {"skerry"}, "200": {"skerry", "h2load"}},
    "courier": {"single_60": {"skerry"}, "bulk_60": {"skerry"}},
    "updates": {"60": {"skerry"}},
    "token_events": {"60": {"skerry"}},
}


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments], cwd=ROOT, text=True, capture_output=True, timeout=280, check=False
    )


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("results")
    done = bench("--sizes", "smoke", "--client", "skerry", "--client", "h2load", "--results", str(directory))
    assert done.returncode == 0, done.stderr
    return directory


@pytest.fixture(scope="module")
def document(results: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((results / "latest.json").read_text())
    return read


def test_figures_stand_by_case_size_and_client(document: dict[str, Any]) -> None:
    found = {case: {size: set(clients) for size, clients in document[case].items()} for case in MEASURED}
    assert found == MEASURED


def test_a_rate_comes_with_its_spread_and_memory(document: dict[str, Any]) -> None:
    for case, size in (("wire", "100"), ("whole_path", "1200"), ("courier", "single_60")):
        entry = document[case][size]["skerry"]
        least, most = entry["spread"]["per_cpu_second"]
        assert 0 < least <= entry["per_cpu_second"] <= most
        assert entry["per_second"] > 0
        assert entry["peak_rss_mb"] > 10


def test_a_push_weighs_more_than_its_token_and_payload_and_less_than_twice_that_and_some(
    document: dict[str, Any],
) -> None:
    assert 293 < document["wire"]["100"]["skerry"]["bytes_per_push"] < 600


def test_nothing_is_lost_or_doubled_over_a_network_like_the_real_one(document: dict[str, Any]) -> None:
    for size in ("200_calm", "200"):
        entry = document["real_network"][size]["skerry"]
        assert (entry["lost"], entry["doubled"], entry["unfinished"]) == (0, 0, 0)
    assert document["real_network"]["200"]["skerry"]["refused"] > 0


def test_waiting_is_told_in_milliseconds(document: dict[str, Any]) -> None:
    for entry in (document["fairness"][size]["skerry"] for size in ("idle", "2500")):
        assert 0 <= entry["p50_ms"] <= entry["p99_ms"] <= entry["worst_ms"]
        assert "per_second" not in entry  # the pace was given


def test_with_two_senders_the_memory_of_both_is_counted(document: dict[str, Any]) -> None:
    alone, both = (document["whole_path"]["1200"][client] for client in ("skerry", "skerry_two_senders"))
    assert both["peak_rss_mb"] > 1.3 * alone["peak_rss_mb"]
    assert (both["lost"], both["doubled"]) == (0, 0)


def test_the_results_say_how_they_came_about(document: dict[str, Any], results: Path) -> None:
    about = document["about"]
    page = (results / "latest.md").read_text()
    for case in MEASURED:
        assert about[case]["command"] == "python -m bench --sizes smoke --client skerry --client h2load"
        assert about[case]["title"] in page
    assert {"processor", "disk", "Python", "SQLite", "uvicorn", "h2load"} <= about["machine"].keys()


def test_a_case_can_be_run_alone_and_profiled_without_leaving_figures(tmp_path: Path) -> None:
    profile = tmp_path / "updates.pstats"
    done = bench(
        *("--sizes", "smoke", "--only", "updates", "--profile", str(profile), "--results", str(tmp_path / "results"))
    )
    assert done.returncode == 0, done.stderr
    assert "cumtime" in done.stdout
    assert profile.exists()
    assert not (tmp_path / "results").exists()


def test_a_profile_of_several_cases_at_once_is_refused(tmp_path: Path) -> None:
    done = bench("--profile", str(tmp_path / "all.pstats"))
    assert done.returncode != 0
    assert "--only" in done.stderr
