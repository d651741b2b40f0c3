"""What is kept of a session, and what is said of it."""

import json
from pathlib import Path

from bench.figures import Absent, Figure, Run
from bench.session import Case, Session

from bench import results


async def nothing(session: Session) -> list[Figure]:
    del session
    return []


WIRE = Case("wire", "The wire", "pushes", nothing)
UPDATES = Case("updates", "Updates", "requests", nothing)


def figure(client: str, *cpu: float, lost: tuple[int, ...] = (), case: str = "wire") -> Figure:
    runs = [Run(100, one, 2 * one, {"lost": lost[place] if lost else 0}) for place, one in enumerate(cpu)]
    return Figure(case, "100", client, "pushes", runs)


def write(directory: Path, case: Case, *findings: Figure | Absent) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    results.write(directory, [case], findings, {"processor": "quick"}, "python -m bench")
    read: dict[str, dict[str, dict[str, dict[str, float]]]] = json.loads((directory / "latest.json").read_text())
    return read


def test_a_figure_is_the_median_of_its_runs_but_the_worst_of_what_was_lost(tmp_path: Path) -> None:
    entry = write(tmp_path, WIRE, figure("skerry", 1.0, 2.0, 4.0, lost=(0, 3, 0)))["wire"]["100"]["skerry"]
    assert entry["per_cpu_second"] == 50
    assert entry["per_second"] == 25
    assert entry["lost"] == 3


def test_a_session_of_one_case_leaves_the_others_figures(tmp_path: Path) -> None:
    write(tmp_path, WIRE, figure("skerry", 1.0), figure("h2load", 2.0))
    document = write(tmp_path, UPDATES, figure("skerry", 1.0, case="updates"))
    assert set(document["wire"]["100"]) == {"skerry", "h2load"}
    document = write(tmp_path, WIRE, figure("skerry", 0.5))
    assert document["wire"]["100"]["skerry"]["per_cpu_second"] == 200
    assert document["wire"]["100"]["h2load"]["per_cpu_second"] == 50


def test_a_client_that_is_ahead_of_ours_is_named(tmp_path: Path) -> None:
    write(tmp_path, WIRE, figure("skerry", 2.0), figure("faster", 1.0), figure("slower", 4.0))
    page = (tmp_path / "latest.md").read_text()
    assert "ahead of Skerry per CPU-second: faster." in page


def test_an_absent_client_takes_the_place_of_an_old_figure_and_says_why(tmp_path: Path) -> None:
    write(tmp_path, WIRE, figure("skerry", 1.0), figure("pushy", 1.0))
    document = write(tmp_path, WIRE, Absent("wire", "100", "pushy", "there is no java on the PATH"))
    assert document["wire"]["100"]["pushy"] == {"absent": "there is no java on the PATH"}
    assert "pushy is absent (100): there is no java on the PATH" in (tmp_path / "latest.md").read_text()
