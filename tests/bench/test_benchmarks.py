"""The benchmarks work: each case runs at a size that takes seconds and says nothing about speed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FIGURES = {"updates", "updates_one_card", "token_events", "fan_out", "fan_out_first"}


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments], cwd=ROOT, text=True, capture_output=True, timeout=60, check=False
    )


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("results")
    done = bench("--sizes", "smoke", "--results", str(directory))
    assert done.returncode == 0, done.stderr
    return directory


@pytest.fixture(scope="module")
def document(results: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((results / "latest.json").read_text())
    return read


def test_every_case_gives_its_figures(document: dict[str, Any]) -> None:
    assert {figure["name"] for figure in document["figures"]} == FIGURES
    for figure in document["figures"]:
        assert figure["per_cpu_second"] > 0
        assert figure["per_second"] > 0
        assert figure["how"]
        assert figure["runs"]


def test_the_results_say_how_they_came_about(document: dict[str, Any], results: Path) -> None:
    assert document["command"] == "python -m bench --sizes smoke"
    assert {"processor", "disk", "Python", "SQLite", "uvicorn"} <= document["machine"].keys()
    page = (results / "latest.md").read_text()
    for figure in document["figures"]:
        assert figure["title"] in page


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
