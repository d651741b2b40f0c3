"""Metrics, from what a service exposes."""

from collections.abc import Iterator

from reference import markdown

INTRODUCTION = """
`GET /metrics` answers in Prometheus' text format, without a key: keep it inside your network.
[Running in production](../how-to/run-in-production.md#monitoring) says which of these are worth an alert,
and [Monitor](../how-to/monitor.md) has a dashboard of them. On Linux there are also the `process_…` metrics of
Prometheus' own client: CPU time, memory, open files.
"""


def page(exposition: str) -> str:
    """The page."""
    return markdown.page(
        "Metrics", INTRODUCTION, markdown.table(["metric", "kind", "meaning"], sorted(_rows(exposition)))
    )


def _rows(exposition: str) -> Iterator[list[str]]:
    kinds = dict(line.split()[2:4] for line in exposition.splitlines() if line.startswith("# TYPE"))
    for line in exposition.splitlines():
        if line.startswith("# HELP"):
            name, meaning = line.removeprefix("# HELP ").split(" ", 1)
            # Beside each counter there is the moment that it began; and the process's own differ between systems.
            if name.startswith("skerry_") and not name.endswith("_created"):
                yield [f"`{name}`", kinds[name], meaning]
