"""Metrics, from what a service exposes."""

from collections.abc import Iterator

from reference import markdown

INTRODUCTION = """
`GET /metrics` answers in Prometheus' text format, without a key: keep it inside your network.
[Running in production](../how-to/run-in-production.md#monitoring) says which of these are worth an alert.
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
            if not name.endswith("_created"):  # the moment that a counter began, beside each counter
                yield [f"`{name}`", kinds[name], meaning]
