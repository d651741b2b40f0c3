"""For every reason of Apple's, and for every cause of ours, there is advice; and the page about trouble has it."""

import re
from pathlib import Path

import pytest

from skerry.apns.advice import CAUSES, REASONS, UNDOCUMENTED, Advice, advice
from skerry.apns.reasons import Reason

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "troubleshoot.md").read_text()
ADVICE = {**{reason.value: one for reason, one in REASONS.items()}, **CAUSES}


def test_no_reason_is_without_advice() -> None:
    assert set(REASONS) == set(Reason)


def test_no_cause_that_the_client_gives_is_without_advice() -> None:
    source = "".join(path.read_text() for path in (ROOT / "src" / "skerry" / "apns").glob("*.py"))
    given = set(re.findall(r'(?:give_up|_give_up_all)\("(\w+)"\)|cause="(\w+)"', source))
    causes = {first or second for first, second in given} - {"cancelled"}
    assert {"deadline", "shutdown", "credential", "connect_failed"} <= causes <= set(CAUSES)


@pytest.mark.parametrize(("word", "one"), ADVICE.items(), ids=list(ADVICE))
def test_the_page_about_trouble_says_the_same(word: str, one: Advice) -> None:
    (row,) = [line for line in PAGE.splitlines() if line.startswith("|") and f"`{word}`" in line.split("|")[1]]
    assert row.endswith(f"| {one.means} | {one.mend} |")


def test_what_apple_has_never_said_is_called_so() -> None:
    assert advice("BadDeviceToken") is REASONS[Reason.BAD_DEVICE_TOKEN]
    assert advice("deadline") is CAUSES["deadline"]
    assert advice("SomethingNew") is UNDOCUMENTED
