"""Every metric is declared once, with a sentence, and stands on its page."""

import re
from pathlib import Path

import pytest

from skerry import metrics
from skerry.delivery.durations import Durations
from skerry.metrics import Counted, Gauge, Timed

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "metrics.md").read_text()
DECLARED = [one for one in vars(metrics).values() if isinstance(one, Counted | Gauge | Timed)]


@pytest.mark.parametrize("one", DECLARED, ids=lambda one: one.name)
def test_each_metric_is_on_the_page_with_its_sentence(one: Counted | Gauge | Timed) -> None:
    shown = f"{one.name}_total" if isinstance(one, Counted) else one.name
    assert re.search(rf"^\| `{shown}` \| \w+ \| {re.escape(one.meaning)} \|$", PAGE, re.MULTILINE)


def test_no_name_is_declared_twice() -> None:
    source = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    names = re.findall(r'"(skerry_[a-z_]+)"', source)
    assert len(DECLARED) > 15
    assert sorted(names) == sorted(set(names))


def test_a_chunks_pushes_are_counted_at_once_in_the_class_that_ends_with_their_time() -> None:
    durations = Durations((0.01, 0.1))
    durations.add(0.01, 500)
    durations.add(0.05, 2)
    durations.add(7.0, 1)
    durations.add(-3.0, 1)
    assert durations.counts == [501, 2, 1]
    assert durations.total == pytest.approx(12.1)
