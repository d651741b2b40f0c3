"""The statements use the indexes that were made for them, and none reads a whole table."""

import re
import sqlite3
from types import ModuleType

import pytest

from skerry.store.sqlite import (
    activities,
    activity_receipts,
    cards,
    events,
    notifications,
    outbox,
    recipients,
    rejections,
    retention,
    timers,
)

MODULES = (
    activities,
    activity_receipts,
    cards,
    events,
    notifications,
    outbox,
    recipients,
    rejections,
    retention,
    timers,
)


def _statements(module: ModuleType) -> list[tuple[str, str]]:
    found = []
    for name, value in vars(module).items():
        if name.startswith("_") or not name.isupper():
            continue
        for place, text in enumerate(value if isinstance(value, tuple) else (value,)):
            if isinstance(text, str) and re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE)\b", text):
                found.append((f"{module.__name__.rsplit('.', 1)[1]}.{name}[{place}]", text))
    return found


STATEMENTS = dict(statement for module in MODULES for statement in _statements(module))

SMALL = {
    "SCAN CONSTANT ROW": "no table at all",
    "SCAN json_each VIRTUAL TABLE INDEX 1:": "the caller's own list",
    "SCAN wanted VIRTUAL TABLE INDEX 1:": "the caller's own list",
    "SCAN chunks USING INDEX ix_chunks_leased": "what is being sent this moment",
    "SCAN chunks USING INDEX ix_chunks_ready": "counts what waits",
    "SCAN plans": "starts that are being spread out: a handful",
    "SCAN plans USING COVERING INDEX ix_plans_due_at": "starts that are being spread out: a handful",
    "SCAN waiting": "what waits of one activity: its newest revisions",
    "SCAN oldest": "one slice",
    "SCAN events": "the oldest, as far as a slice goes",
    "SCAN webhook_attempts": "the oldest, as far as a slice goes",
    "SCAN (subquery-1)": "one slice",
    "SCAN (subquery-2)": "one slice",
    "SCAN (subquery-3)": "one page of events",
}

EXPECTED = {
    "activities.BY_GROUP[0]": "activity_names USING PRIMARY KEY (app_id=? AND group_id=?)",
    "activities.NAMELESS_CARRYING[0]": "nameless_values USING PRIMARY KEY (app_id=? AND value=?)",
    "cards.NEWEST[0]": "cards USING INDEX ix_cards_device_id (device_id=? AND activity_id=?)",
    "cards.NAMELESS_STARTING[0]": "cards USING INDEX ix_cards_device_id (device_id=?)",
    "cards.RUNNING_ON[0]": "cards USING INDEX ix_cards_device_id (device_id=? AND activity_id=? AND number>?)",
    "outbox.CLAIM[0]": "chunks USING INDEX ix_chunks_ready (lane=? AND due_at<?)",
    "outbox.SUPERSEDABLE[0]": "chunks USING INDEX ix_chunks_waiting (activity_id=? AND revision<?)",
    "outbox.SUPERSEDE_UNTOUCHED[0]": "chunks USING INDEX ix_chunks_waiting (activity_id=? AND revision<?)",
    "outbox.COVERING[0]": "chunks USING INDEX ix_chunks_waiting (activity_id=? AND revision=? AND first>? AND first<?)",
    "outbox.VERDICT_OF[0]": "chunks USING INDEX ix_chunks_activity_id_revision (activity_id=? AND revision=?",
    "outbox.NEXT_DUE[0]": "chunks USING INDEX ix_chunks_ready (lane=?)",
    "outbox.DUE_PLANS[0]": "plans USING INDEX ix_plans_due_at (due_at<?)",
    "recipients.START_RECIPIENTS[0]": "cards USING PRIMARY KEY (activity_id=? AND number>? AND number<?)",
    "recipients.CARD_RECIPIENTS[0]": "cards USING PRIMARY KEY (activity_id=? AND number>? AND number<?)",
    "retention.SETTLED_CHUNKS[0]": "chunks USING INDEX ix_chunks_activity_id_revision (activity_id=?)",
    "retention.OLD_ANSWERS[0]": "idempotency USING COVERING INDEX ix_idempotency_created_at (created_at<?)",
    "timers.DUE[0]": "timers USING INDEX ix_timers_due_at (due_at<?)",
    "timers.NEXT_DUE[0]": "timers USING COVERING INDEX ix_timers_due_at",
}


@pytest.fixture(scope="module")
def connection(migrated):
    connection = sqlite3.connect(migrated)
    yield connection
    connection.close()


def _plan(connection: sqlite3.Connection, statement: str) -> list[str]:
    named = dict.fromkeys(re.findall(r":([a-z_]+)", statement), 1)
    numbered = [int(number) for number in re.findall(r"\?(\d+)", statement)]
    count = max(numbered) if numbered else statement.count("?")
    values = named or ("[]",) * count
    return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)]


@pytest.mark.parametrize("name", STATEMENTS)
def test_no_statement_reads_a_whole_table(connection, name):
    scans = [step for step in _plan(connection, STATEMENTS[name]) if step.startswith("SCAN") and step not in SMALL]
    assert scans == []


@pytest.mark.parametrize("name", EXPECTED)
def test_the_hot_statements_use_the_intended_index(connection, name):
    steps = _plan(connection, STATEMENTS[name])
    assert any(step.startswith("SEARCH " + EXPECTED[name]) for step in steps), steps


@pytest.mark.parametrize("name", ["outbox.CLAIM[0]", "cards.NEWEST[0]", "timers.DUE[0]", "outbox.DUE_PLANS[0]"])
def test_what_is_ordered_comes_out_of_the_index_in_order(connection, name):
    assert not any("TEMP B-TREE" in step for step in _plan(connection, STATEMENTS[name]))
