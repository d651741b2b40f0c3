"""Figures of the benchmarks in pages: what stands between `<!-- bench:CASE -->` and `<!-- /bench -->`.

They come from `bench/results/latest.json`: case → size → client → figures, or `{"absent": why}`; and "about".
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from reference import markdown

BLOCK = re.compile(r"(<!-- bench(?::(\w+))? -->\n).*?(<!-- /bench -->)", re.DOTALL)
OURS = "skerry"
_WIDE = 100
"""From here on a number needs no decimals."""
RATES = ("per_cpu_second", "per_second")
COLUMNS = {
    "per_cpu_second": "per CPU-second",
    "per_second": "per second",
    "p50_ms": "p50, ms",
    "p99_ms": "p99, ms",
    "api_p99_ms": "API p99, ms",
    "of_calm": "of the calm rate",
    "cost_of_largest": "cost, of that at the largest size",
    "times_one": "times one process",
    "share_used": "of their CPU used",
    "cpu_of_shared": "CPU, of the shared update",
    "peak_rss_mb": "peak MB",
    "lost": "lost",
    "doubled": "doubled",
}
CASES = {
    "wire": "pushes on one connection",
    "whole_path": "one update, from commit to settled verdicts",
    "fairness": "single updates meanwhile",
    "real_network": "a network like the real one",
    "courier": "activities of one card each",
}

Entries = Mapping[str, Mapping[str, Any]]


def filled(text: str, document: Mapping[str, Any] | None) -> str:
    """The page with its blocks as the figures are; without any measured yet, they say how to measure."""
    return BLOCK.sub(lambda found: f"{found[1]}{_block(found[2], document)}{found[3]}", text)


def _block(case: str | None, document: Mapping[str, Any] | None) -> str:
    if document is None:
        return "*`make bench` measures this on your machine.*\n"
    if case is None:
        return f"{_summary(document)}\n\n{_where(document)}\n"
    sizes = document.get(case)
    if not sizes:
        return f"*Not measured in the run of {_when(document)}: `make bench` does.*\n"
    return f"{_table(sizes)}\n\n{_where(document, case)}\n"


def _table(sizes: Mapping[str, Entries]) -> str:
    measured = [
        (size, client, entry)
        for size, clients in sizes.items()
        for client, entry in sorted(clients.items(), key=_ours_first)
        if "absent" not in entry
    ]
    columns = [name for name in COLUMNS if any(name in entry for _, _, entry in measured)]
    rows = [
        [size, client.replace("_", " "), *(_number(entry.get(name)) for name in columns)]
        for size, client, entry in measured
    ]
    return markdown.table(["size", "client", *(COLUMNS[name] for name in columns)], rows)


def _summary(document: Mapping[str, Any]) -> str:
    """One line a case and size: ours, and the best of the others."""
    table = markdown.table(["measured", "size", "unit", "Skerry", "the best other"], list(_lines(document)))
    commands = dict.fromkeys(_command(document, case) for case in CASES if case in document)
    if len(commands) < 2:  # noqa: PLR2004 - one is said below
        return table
    said = ", ".join(f"`{one}`" for one in commands)
    return f"{table}\n\n*From several runs: {said}; [each case with its own](bench/results/latest.md).*"


def _lines(document: Mapping[str, Any]) -> Iterator[list[str]]:
    for case, title in CASES.items():
        for size, clients in document.get(case, {}).items():
            ours = clients.get(OURS, {})
            measure = next((name for name in (*RATES, "p99_ms") if name in ours), None)
            if measure is None:
                continue
            others = {name: one[measure] for name, one in clients.items() if not _is_ours(name) and measure in one}
            best = (min if measure == "p99_ms" else max)(others, key=lambda name: others[name], default=None)
            other = "–" if best is None else f"{_number(others[best])} ({best})"
            yield [title, size, COLUMNS[measure], f"**{_number(ours[measure])}**", other]


def _where(document: Mapping[str, Any], case: str | None = None) -> str:
    machine = document["about"].get("machine", {})
    on = ", ".join(
        f"{name} {value}" if name == "Python" else str(value)
        for name, value in machine.items()
        if name in {"processor", "Python"}
    )
    return f"*`{_command(document, case)}`, {_when(document, case)}{f', on {on}' if on else ''}.*"


def _about(document: Mapping[str, Any], case: str | None) -> Mapping[str, Any]:
    about = document["about"]
    if case in about:
        return about[case]
    return next((one for name, one in about.items() if name in CASES), {})


def _when(document: Mapping[str, Any], case: str | None = None) -> str:
    return str(_about(document, case).get("measured_at", "the last run"))


def _command(document: Mapping[str, Any], case: str | None) -> str:
    return str(_about(document, case).get("command", "make bench"))


def _ours_first(item: tuple[str, Mapping[str, Any]]) -> tuple[bool, float]:
    name, entry = item
    return not _is_ours(name), -next((entry[rate] for rate in RATES if rate in entry), 0.0)


def _is_ours(client: str) -> bool:
    """Skerry, also under other conditions, such as `skerry_first`."""
    return client.startswith(OURS)


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= _WIDE or value == int(value) else f"{value:,.2f}"
