"""The statements use the indexes that were made for them, and none reads a whole table."""

import re
import sqlite3
from collections.abc import Sequence
from types import ModuleType

import pytest

from skerry.domain.audience import (
    Audience,
    ProfileCondition,
    ProfileGroup,
    Quantifier,
    Segment,
    SegmentCondition,
    TagCondition,
)
from skerry.domain.ids import ActivityId, AppId, CardNumber, DeviceId, Millis
from skerry.domain.location import Circle
from skerry.domain.preview import Run
from skerry.domain.rollout import Rollout
from skerry.store.sqlite import (
    activities,
    activity_receipts,
    audiences,
    cards,
    devices,
    events,
    notifications,
    outbox,
    parcels,
    recipients,
    rejections,
    retention,
    rounds,
    schedule,
    scripts,
    segments,
    senders,
    timers,
)
from skerry.store.sqlite.audiences import preview_statement, slice_statement, users_statement
from skerry.store.sqlite.membership import Membership
from skerry.store.sqlite.rows import Rows

MODULES = (
    activities,
    activity_receipts,
    audiences,
    cards,
    devices,
    events,
    notifications,
    outbox,
    parcels,
    recipients,
    rejections,
    retention,
    rounds,
    schedule,
    scripts,
    segments,
    senders,
    timers,
)


def _statements(module: ModuleType) -> list[tuple[str, str]]:
    found = []
    for name, value in vars(module).items():
        if name.startswith("_") or not name.isupper():
            continue
        texts = value if isinstance(value, tuple) else (value.statement(8) if isinstance(value, Rows) else value,)
        for place, text in enumerate(texts):
            if isinstance(text, str) and re.match(r"\s*(WITH|SELECT|INSERT|UPDATE|DELETE)\b", text):
                found.append((f"{module.__name__.rsplit('.', 1)[1]}.{name}[{place}]", text))
    return found


STATEMENTS = dict(statement for module in MODULES for statement in _statements(module))

SMALL = {
    "SCAN CONSTANT ROW": "no table at all",
    "SCAN json_each VIRTUAL TABLE INDEX 1:": "the caller's own list",
    "SCAN wanted VIRTUAL TABLE INDEX 1:": "the caller's own list",
    "SCAN leased VIRTUAL TABLE INDEX 1:": "the caller's own list",
    "SCAN settled VIRTUAL TABLE INDEX 1:": "the caller's own list",
    "SCAN 8 CONSTANT ROWS": "the caller's own rows",
    "SCAN (subquery-8)": "the caller's own rows",
    "SCAN new": "the caller's own rows",
    "SCAN alone": "the caller's own list",
    "SCAN shown": "one page of cards",
    "SCAN chunks USING INDEX ix_chunks_leased": "what is being sent this moment",
    "SCAN chunks USING INDEX ix_chunks_ready": "counts what waits",
    "SCAN plans": "starts that are being spread out: a handful",
    "SCAN plans USING COVERING INDEX ix_plans_due_at": "starts that are being spread out: a handful",
    "SCAN waiting": "what waits of one activity: its newest revisions",
    "SCAN oldest": "one slice",
    "SCAN events": "the oldest, as far as a slice goes",
    "SCAN webhook_attempts": "the oldest, as far as a slice goes",
    "SCAN senders": "the processes that send: a handful",
    "SCAN (subquery-1)": "one slice",
    "SCAN (subquery-2)": "one slice",
    "SCAN (subquery-3)": "one page of events",
    "SCAN (subquery-6)": "one page of events",
}

EXPECTED = {
    "activities.BY_GROUP[0]": "activity_names USING PRIMARY KEY (app_id=? AND group_id=?)",
    "activities.NAMELESS_CARRYING[0]": "nameless_values USING PRIMARY KEY (app_id=? AND value=?)",
    "audiences.STARTABLE[0]": "start_tokens USING COVERING INDEX ix_start_tokens_audience (app_id=?)",
    "audiences.RUNNING[0]": "cards USING PRIMARY KEY (activity_id=? AND number>?)",
    "audiences.WINDOW_END[0]": "devices USING COVERING INDEX ix_devices_audience (app_id=? AND device_id>?)",
    "cards.NEWEST[0]": "cards USING INDEX ix_cards_device_id (device_id=? AND activity_id=?)",
    "cards.NAMELESS_STARTING[0]": "cards USING INDEX ix_cards_device_id (device_id=?)",
    "cards.RUNNING_ON[0]": "cards USING INDEX ix_cards_device_id (device_id=? AND activity_id=? AND number>?)",
    "devices.HOLDER_BY_START[0]": "start_tokens USING INDEX ix_start_tokens_app_id_token (app_id=? AND token=?)",
    "devices.HOLDER_BY_CARD[0]": "cards USING INDEX ix_cards_token (token=?)",
    "devices.RELEASE_CARD[0]": "cards USING INDEX ix_cards_token (token=?)",
    "outbox.CLAIM[0]": "chunks USING INDEX ix_chunks_ready (lane=? AND due_at<?)",
    "outbox.SUPERSEDABLE[0]": "chunks USING INDEX ix_chunks_waiting (activity_id=? AND revision<?)",
    "outbox.SUPERSEDE_UNTOUCHED[0]": "chunks USING INDEX ix_chunks_waiting (activity_id=? AND revision<?)",
    "outbox.COVERING[0]": "chunks USING INDEX ix_chunks_waiting (activity_id=? AND revision=? AND first>? AND first<?)",
    "outbox.VERDICT_OF[0]": "chunks USING INDEX ix_chunks_activity_id_revision (activity_id=? AND revision=?",
    "outbox.NEXT_DUE[0]": "chunks USING INDEX ix_chunks_ready (lane=?)",
    "outbox.DUE_PLANS[0]": "plans USING INDEX ix_plans_due_at (due_at<?)",
    "parcels.READ[0]": "chunks USING INTEGER PRIMARY KEY (rowid=?)",
    "parcels.ALONE[0]": "other USING COVERING INDEX ix_chunks_activity_id_revision (activity_id=? AND revision=?)",
    "parcels.NOTE_SETTLED[0]": "revisions USING COVERING INDEX sqlite_autoindex_revisions_1 (activity_id=?",
    "parcels.SETTLE_ALIKE[0]": "chunks USING INTEGER PRIMARY KEY (rowid=?)",
    "recipients.START_RECIPIENTS[0]": "cards USING PRIMARY KEY (activity_id=? AND number>? AND number<?)",
    "recipients.CARD_RECIPIENTS[0]": "cards USING PRIMARY KEY (activity_id=? AND number>? AND number<?)",
    "retention.SETTLED_CHUNKS[0]": "chunks USING INDEX ix_chunks_activity_id_revision (activity_id=?)",
    "retention.OLD_ANSWERS[0]": "idempotency USING COVERING INDEX ix_idempotency_created_at (created_at<?)",
    "events.OF_DEVICE[0]": "events USING INDEX ix_events_phone (activity_id=? AND device_id=? AND event_id>?",
    "rounds.LOOK[0]": "activity_names USING PRIMARY KEY (app_id=? AND group_id=?)",
    "rounds.LOOK_AT_WANTED[0]": "cards USING PRIMARY KEY (activity_id=? AND number=?)",
    "rounds.ADVANCE[0]": "activities USING INTEGER PRIMARY KEY (rowid=?)",
    "retention.OLD_CHANGES[0]": "scheduled_changes USING COVERING INDEX ix_scheduled_changes_settled (settled_at<?)",
    "schedule.DUE[0]": "scheduled_changes USING INDEX ix_scheduled_changes_due (due_at<?)",
    "schedule.NEXT_DUE[0]": "scheduled_changes USING INDEX ix_scheduled_changes_due",
    "schedule.OF_APP[0]": "scheduled_changes USING INDEX ix_scheduled_changes_state (app_id=? AND state=? AND",
    "schedule.OF_ACTIVITY[0]": "scheduled_changes USING INDEX ix_scheduled_changes_group (app_id=? AND group_id=?",
    "schedule.WAITING[0]": "scheduled_changes USING COVERING INDEX ix_scheduled_changes_group (app_id=? AND group_id=?",
    "schedule.OVERTAKING[0]": "scheduled_changes USING INDEX ix_scheduled_changes_group (app_id=? AND group_id=? AND",
    "scripts.DUE[0]": "scripts USING COVERING INDEX ix_scripts_due (due_at<?)",
    "scripts.NEXT_DUE[0]": "scripts USING COVERING INDEX ix_scripts_due",
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
    count = max(numbered, default=0) + len(re.findall(r"\?(?!\d)", statement))
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


ANY = Quantifier.ANY
EVERY_MEMBER = Audience(
    tags=TagCondition(Quantifier.ALL, ("a", "b")),
    profile=ProfileGroup(ANY, (ProfileCondition("city", ("Rome",)), ProfileCondition("vip", exists=True))),
    segments=SegmentCondition(ANY, (Segment("s", Audience(tags=TagCondition(ANY, ("a", "b", "c")))),)),
    location=Circle(41.0, 29.0, 10.0),
    exclude=Audience(device_tokens=("ab" * 32,), installation_ids=("i-1",)),
    rollout=Rollout(1000, "spring"),
)
NAMED = Audience(ext_ids=("u-1", "u-2"), tags=TagCondition(Quantifier.NONE, ("a",)))
RUN = Run(ActivityId(1), CardNumber(1), Millis(0), Millis(0))


def _explained(connection: sqlite3.Connection, statement: tuple[str, list[object]]) -> list[str]:
    text, values = statement
    return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", values)]


def _whole_tables(steps: list[str]) -> list[str]:
    lists = re.compile(r"SCAN (json_each|p|i|found) ")
    return [step for step in steps if step.startswith("SCAN") and step not in SMALL and not lists.match(f"{step} ")]


def test_a_slice_of_an_audience_is_a_range_of_devices(connection):
    steps = _explained(connection, slice_statement(AppId(1), EVERY_MEMBER, "Match", (DeviceId(5), DeviceId(9)), 10))
    assert _whole_tables(steps) == []
    ranges = [step for step in steps if "SEARCH d USING" in step]
    assert ranges == ["SEARCH d USING COVERING INDEX ix_devices_audience (app_id=? AND device_id>? AND device_id<?)"]
    assert not any("TEMP B-TREE FOR ORDER BY" in step for step in steps)
    assert any("device_locations USING COVERING INDEX ix_device_locations_circle (app_id=? AND z>?" in s for s in steps)


def test_an_audience_that_names_its_users_begins_with_them(connection):
    for statement in (
        slice_statement(AppId(1), NAMED, "Match", (DeviceId(0), DeviceId(9)), 10),
        users_statement(None, "count(*)", AppId(1), NAMED, "IOS"),
        preview_statement(None, AppId(1), NAMED, "Match", None),
    ):
        steps = _explained(connection, statement)
        assert _whole_tables(steps) == []
        assert any(step.startswith("SEARCH d USING INDEX ix_devices_user_id (user_id=?)") for step in steps), steps


def test_a_preview_reads_devices_and_start_tokens_from_indexes_alone(connection):
    selects: list[str] = []
    members = Membership(connection)

    def noted(column: str, select: str, values: Sequence[object]) -> tuple[str, object]:
        selects.extend(_explained(connection, (select, list(values))))
        return members(column, select, values)

    steps = _explained(connection, preview_statement(noted, AppId(1), EVERY_MEMBER, "Match", RUN))
    assert _whole_tables(steps) == []
    assert any("SEARCH d USING COVERING INDEX ix_devices_audience (app_id=?" in step for step in steps), steps
    tokens = [step for step in (*steps, *selects) if " s USING" in step or "start_tokens" in step]
    assert tokens
    assert all("COVERING INDEX" in step for step in tokens), tokens
    assert _whole_tables(selects) == []
    assert any("user_tags USING PRIMARY KEY" in step or " t USING PRIMARY KEY" in step for step in selects), selects


def test_an_audience_that_names_its_devices_begins_with_them(connection):
    for audience in (
        Audience(installation_ids=("i-1",)),
        Audience(device_tokens=("ab" * 32,), location=Circle(1, 2, 3)),
    ):
        for statement in (
            slice_statement(AppId(1), audience, "Match", (DeviceId(0), DeviceId(9)), 10),
            preview_statement(None, AppId(1), audience, "Match", None),
        ):
            steps = _explained(connection, statement)
            assert _whole_tables(steps) == []
            assert any(step.startswith("SEARCH d USING INTEGER PRIMARY KEY (rowid=?)") for step in steps), steps
