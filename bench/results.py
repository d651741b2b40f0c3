"""The results on disk: latest.json for machines, latest.md for people."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.figures import Figure, Run

_WIDE = 1_000
"""From here on a number needs no decimals."""


def write(directory: Path, figures: Sequence[Figure], machine: Mapping[str, str], command: str) -> None:
    """Write both files."""
    directory.mkdir(parents=True, exist_ok=True)
    measured_at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    document = {
        "command": command,
        "measured_at": measured_at,
        "machine": dict(machine),
        "figures": [_entry(figure) for figure in figures],
    }
    (directory / "latest.json").write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    (directory / "latest.md").write_text(_page(figures, machine, command, measured_at))


def table(figures: Sequence[Figure]) -> str:
    """The figures as a Markdown table: medians, and in brackets the least and the most of all runs."""
    lines = ["| | per CPU-second of the service | per second | runs |", "| --- | --- | --- | --- |"]
    for figure in figures:
        cpu, wall = [run.per_cpu_second for run in figure.runs], [run.per_second for run in figure.runs]
        first = f"**{figure.per_cpu_second:,.0f}** {figure.unit}{_spread(cpu)}"
        second = f"{figure.per_second:,.0f}{_spread(wall)}"
        lines.append(f"| {figure.title} | {first} | {second} | {len(figure.runs)} |")
    return "\n".join(lines)


def _page(figures: Sequence[Figure], machine: Mapping[str, str], command: str, measured_at: str) -> str:
    terms = (
        f"`{command}`, {measured_at}. Medians; in brackets the least and the most of all runs. CPU time is that of "
        "the service's process with all its threads, user and system, read from /proc. Service, load and nginx share "
        "the machine: what a second brings is what they leave each other."
    )
    parts = [
        "# Measured",
        terms,
        table(figures),
        "## What happened",
        "\n".join(f"- **{figure.title}**: {figure.how}. {_told(figure)}" for figure in figures),
        "## On what",
        "\n".join(f"- {name}: {value}" for name, value in machine.items()),
    ]
    return "\n\n".join(parts) + "\n"


def _told(figure: Figure) -> str:
    wall = sorted(run.wall for run in figure.runs)[len(figure.runs) // 2]
    told = [f"{_number(wall)} s a run", *(f"{name} {_number(value)}" for name, value in figure.others.items())]
    return "Medians: " + ", ".join(told) + "."


def _entry(figure: Figure) -> dict[str, Any]:
    return {
        "name": figure.name,
        "title": figure.title,
        "unit": figure.unit,
        "how": figure.how,
        "per_cpu_second": round(figure.per_cpu_second, 1),
        "per_second": round(figure.per_second, 1),
        "others": {name: round(value, 3) for name, value in figure.others.items()},
        "runs": [_rounded(run) for run in figure.runs],
    }


def _rounded(run: Run) -> dict[str, Any]:
    entry = asdict(run)
    others = {name: round(value, 3) for name, value in entry.pop("others").items()}
    return {name: round(value, 3) for name, value in entry.items()} | others


def _spread(values: Sequence[float]) -> str:
    return "" if len(values) == 1 else f" ({min(values):,.0f} – {max(values):,.0f})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= _WIDE or value == int(value) else f"{value:,.2f}"
