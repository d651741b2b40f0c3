"""Dashboard and alerts ask for metrics and labels that there are, in PromQL, and each is documented."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from skerry import metrics
from skerry.api.metrics import ApiMetrics
from skerry.metrics import Counted, Gauge, Timed

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "monitor.md").read_text()
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "skerry.json").read_text())
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
RULES = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
PROCESS = {"process_cpu_seconds_total", "process_resident_memory_bytes", "up"}
SCRAPED = {"job", "instance"}
"""Labels that Prometheus gives to everything."""
needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")


def known() -> dict[str, set[str]]:
    """What can be asked for, as it is asked for, with its labels."""
    found: dict[str, set[str]] = {name: set() for name in PROCESS}
    for one in vars(metrics).values():
        match one:
            case Counted():
                found[f"{one.name}_total"] = set(one.labels)
            case Gauge():
                found[one.name] = set(one.labels)
            case Timed():
                found |= {f"{one.name}_sum": set(), f"{one.name}_count": set(), f"{one.name}_bucket": {"le"}}
    for api in vars(ApiMetrics(CollectorRegistry())).values():
        labels = set(api._labelnames)
        if api._type == "counter":
            found[f"{api._name}_total"] = labels
        elif api._type == "gauge":
            found[api._name] = labels
        else:
            found |= {f"{api._name}_{part}": labels | ({"le"} if part == "bucket" else set()) for part in PARTS}
    return found


PARTS = ("sum", "count", "bucket")


def expressions() -> Iterator[tuple[str, str]]:
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for rule in RULES:
        yield rule["alert"], rule["expr"]


@pytest.mark.parametrize(("name", "expression"), list(expressions()), ids=lambda text: text[:40])
def test_every_metric_and_label_that_is_asked_for_is_there(name: str, expression: str) -> None:
    names = set(re.findall(r"\b(?:skerry|process)_[a-z_]+\b|\bup\b", expression))
    assert names, "it asks for something of ours"
    assert names <= set(known())
    labels = {label for one in names for label in known()[one]} | SCRAPED
    for inside in re.findall(r"\{(.*?)\}(?=[\[\s)]|$)", expression):
        assert set(re.findall(r"(\w+)\s*(?:=~|=|!=|!~)", inside)) <= labels
    for inside in re.findall(r"by \((.*?)\)", expression):
        assert {one.strip() for one in inside.split(",")} <= labels


def test_each_panel_is_described_on_its_page_as_in_the_dashboard() -> None:
    for panel in PANELS:
        assert f"| {panel['title']} | {panel['description']} |" in PAGE
    rows = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    assert re.findall(r"^### (.+)$", PAGE, re.MULTILINE) == rows


def test_panels_have_numbers_of_their_own_and_do_not_overlap() -> None:
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(numbers) == len(set(numbers))
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken
        taken |= cells


def test_every_metric_of_ours_is_in_a_panel() -> None:
    asked = " ".join(expression for _, expression in expressions())
    assert not [name for name in known() if not name.endswith(("_sum", "_count")) and name not in asked]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_each_alert_says_what_it_is_about_and_the_page_says_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["annotations"]["summary"]
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert re.search(rf"^\| `{rule['alert']}` \| .+ \| .+ \|$", PAGE, re.MULTILINE)


@needs_promtool
def test_the_alerts_do_what_their_own_tests_say() -> None:
    done = subprocess.run(
        ["promtool", "test", "rules", ALERTS.with_name("alerts_test.yml")], text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_every_query_of_the_dashboard_is_promql(tmp_path: Path) -> None:
    queries = [
        target["expr"].replace("$__rate_interval", "5m").replace("$instance", "i").replace("$job", "j")
        for panel in PANELS
        for target in panel["targets"]
    ]
    rules = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(queries)]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run(["promtool", "check", "rules", file], text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
