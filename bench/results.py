"""The results on disk: latest.json for machines, latest.md for people.

```
latest.json    {case: {size: {client: {value: median, …, "unit", "runs", "spread": {value: [least, most]}}
                                      or {"absent": why}}},
                "about": {case: {"title", "how", "command", "measured_at"}, "machine": {…}}}
```

A session that measures some cases only, or some clients, replaces those and leaves the others.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.figures import Absent, Finding
from bench.session import Case

ABOUT = "about"
FIRST_OF_ALL = "skerry"
RATE = "per_cpu_second"
_COLUMNS = {
    "per_cpu_second": "per CPU-second",
    "per_second": "per second",
    "of_calm": "of the calm rate",
    "cost_of_largest": "cost, of that at the largest size",
    "times_one": "times one process",
    "share_used": "of their CPU used",
    "cpu_of_shared": "CPU, of the shared update",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "worst_ms": "worst ms",
    "api_p50_ms": "API p50 ms",
    "api_p99_ms": "API p99 ms",
    "answered_ms": "answered after ms",
    "peak_rss_mb": "peak RSS MB",
    "bytes_per_push": "bytes a push",
    "lost": "lost",
    "doubled": "doubled",
    "failed": "given back as failed",
    "unfinished": "not finished",
    "refused": "refused, then repeated",
    "connections": "connections",
    "server_busy": "server busy",
    "relay_busy": "relay busy",
}
"""The columns of the tables, in this order, of the values that a case has."""
_TERMS = (
    "Medians of several runs; in brackets the least and the most of them. CPU time is that of the client's or the "
    "service's own process with all its threads, user and system, read from outside. Clients take turns within a run "
    "of the benchmark; all share one machine. Of pushes that were lost, doubled or given back the worst run counts. "
    "How each client is set up, and why so: [peers](../peers/README.md)."
)
_WITH_SPREAD = frozenset({"per_cpu_second", "per_second"})
_WIDE = 100
"""From here on a number needs no decimals."""


def write(
    directory: Path, cases: Sequence[Case], findings: Sequence[Finding], machine: Mapping[str, str], command: str
) -> None:
    """Write both files; what they hold of other cases, sizes and clients stays."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "latest.json"
    document: dict[str, Any] = {}
    with suppress(FileNotFoundError):
        document = json.loads(path.read_text())
    about = document.setdefault(ABOUT, {})
    measured_at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    about["machine"] = dict(machine)
    for case in cases:
        about[case.name] = {"title": case.title, "how": case.how, "command": command, "measured_at": measured_at}
    for finding in findings:
        sizes = document.setdefault(finding.case, {})
        sizes.setdefault(finding.size, {})[finding.client] = _entry(finding)
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    (directory / "latest.md").write_text(page(document))


def as_document(findings: Sequence[Finding]) -> dict[str, Any]:
    """The findings alone, by case, size and client."""
    document: dict[str, Any] = {}
    for finding in findings:
        document.setdefault(finding.case, {}).setdefault(finding.size, {})[finding.client] = _entry(finding)
    return document


def table(sizes: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """One case as a Markdown table: medians, and in brackets the least and the most of all runs."""
    entries = [entry for clients in sizes.values() for entry in clients.values()]
    columns = [name for name in _COLUMNS if any(name in entry for entry in entries)]
    lines = [
        "| size | client | " + " | ".join(_COLUMNS[name] for name in columns) + " | runs |",
        "| --- | --- | " + "--- | " * len(columns) + "--- |",
    ]
    for size, clients in sizes.items():
        measured = {name: entry for name, entry in clients.items() if "absent" not in entry}
        for name in sorted(measured, key=lambda name, of=measured: _order(name, of[name])):  # type: ignore[misc]
            cells = [_cell(measured[name], column) for column in columns]
            lines.append(f"| {size} | {name} | " + " | ".join(cells) + f" | {measured[name]['runs']} |")
    return "\n".join(lines)


def page(document: Mapping[str, Any]) -> str:
    """Everything for people."""
    about = document[ABOUT]
    parts = ["# Measured", _TERMS]
    for name, case in about.items():
        if name == "machine" or name not in document:
            continue
        parts += [f"## {case['title']}", f"`{case['command']}`, {case['measured_at']}. {_sentence(case['how'])}"]
        parts += [table(document[name]), *_remarks(document[name])]
    parts += ["## On what", "\n".join(f"- {name}: {value}" for name, value in about["machine"].items())]
    return "\n\n".join(part for part in parts if part) + "\n"


def _remarks(sizes: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    """Who is ahead of us, and who is not there."""
    remarks = []
    for size, clients in sizes.items():
        ours = clients.get(FIRST_OF_ALL, {}).get(RATE)
        ahead = [
            name
            for name, entry in clients.items()
            if ours and not name.startswith("skerry") and entry.get(RATE, 0) > ours
        ]
        if ahead:
            remarks.append(f"- At {size}, ahead of Skerry per CPU-second: {', '.join(ahead)}.")
    missing: dict[tuple[str, str], list[str]] = {}
    for size, clients in sizes.items():
        for name, entry in clients.items():
            if "absent" in entry:
                missing.setdefault((name, " ".join(entry["absent"].split())), []).append(size)
    remarks += [f"- {name} is absent ({', '.join(where)}): {why}" for (name, why), where in missing.items()]
    return ["\n".join(remarks)]


def _entry(finding: Finding) -> dict[str, Any]:
    if isinstance(finding, Absent):
        return {"absent": finding.why}
    return {
        **{name: _rounded(value) for name, value in finding.values().items()},
        "unit": finding.unit,
        "runs": len(finding.runs),
        "spread": {name: [_rounded(value) for value in ends] for name, ends in finding.spread().items()},
    }


def _order(name: str, entry: Mapping[str, Any]) -> tuple[bool, float]:
    return name != FIRST_OF_ALL, -entry.get(RATE, entry.get("per_second", 0))


def _cell(entry: Mapping[str, Any], column: str) -> str:
    if column not in entry:
        return ""
    text = _number(entry[column])
    if column in _WITH_SPREAD and entry["runs"] > 1:
        least, most = entry["spread"][column]
        text += f" ({_number(least)} – {_number(most)})"
    return f"**{text}**" if column == RATE else text


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:].rstrip(".") + "."


def _rounded(value: float) -> float:
    return round(value, 1) if value >= _WIDE else round(value, 3)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= _WIDE or value == int(value) else f"{value:,.2f}"
