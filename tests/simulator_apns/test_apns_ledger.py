"""The book: what it keeps, finds, counts and lets go of."""

import json

import pytest

from skerry.domain.push import Environment
from skerry.simulator.apns.ledger import Ending, Entry, Ledger, read_body
from skerry.simulator.apns.rules import Answer, Request

ID = "0b9f4c6a-6f6e-4f57-9d6f-1f7d7f0c1a2b"


def arrive(ledger: Ledger, token: str = "ab", event: str = "update", body: bytes | None = None) -> Entry:
    body = json.dumps({"aps": {"event": event, "timestamp": 17}}).encode() if body is None else body
    headers = {
        ":method": "POST",
        ":path": f"/3/device/{token}",
        "apns-topic": "t",
        "apns-push-type": "liveactivity",
        "apns-id": ID,
    }
    request = Request.read([(name.encode(), value.encode()) for name, value in headers.items()], body)
    return ledger.arrived(request, time=1.5, environment=Environment.SANDBOX, connection=1, stream=3)


def test_an_entry_says_what_the_request_said_and_what_became_of_it():
    ledger = Ledger()
    entry = arrive(ledger)
    ledger.delivered(entry)
    ledger.answered(entry, Answer(200, ID))
    assert entry.to_json() == {
        "number": 1,
        "time": 1.5,
        "environment": "sandbox",
        "connection": 1,
        "stream": 3,
        "operation": "push",
        "token": "ab",
        "bundle_id": None,
        "channel_id": None,
        "topic": "t",
        "push_type": "liveactivity",
        "priority": 10,
        "expiration": None,
        "apns_id": ID,
        "collapse_id": None,
        "event": "update",
        "timestamp": 17,
        "body": '{"aps": {"event": "update", "timestamp": 17}}',
        "body_bytes": 45,
        "ending": "answered",
        "status": 200,
        "reason": None,
        "delivered": True,
    }
    assert json.dumps(ledger.to_json())


def test_entries_are_found_by_number_token_event_status_and_ending():
    ledger = Ledger()
    for number in range(6):
        entry = arrive(ledger, token=f"0{number % 2}", event=("start", "end")[number % 2])
        ledger.answered(entry, Answer(200, ID) if number < 3 else Answer(400, ID, "BadTopic"))
    ledger.ended(arrive(ledger), Ending.REFUSED)

    def numbers(**wanted: object) -> list[int]:
        return [entry.number for entry in ledger.entries(**wanted)]  # type: ignore[arg-type]

    assert numbers(since=2, limit=3) == [3, 4, 5]
    assert numbers(token="01") == [2, 4, 6]
    assert numbers(event="start", status=400) == [5]
    assert numbers(ending=Ending.REFUSED) == [7]
    assert numbers(since=7) == []


def test_a_page_says_where_the_next_one_begins():
    ledger = Ledger()
    for _ in range(5):
        arrive(ledger)
    assert ledger.to_json(limit=2)["next"] == 2
    assert ledger.to_json(since=4, limit=2)["next"] == 5
    assert ledger.to_json(token="none")["next"] == 5


@pytest.mark.parametrize("wanted", [{"since": -1}, {"limit": 0}, {"limit": 10_001}])
def test_numbers_out_of_range_are_refused_by_name(wanted):
    with pytest.raises(ValueError, match=next(iter(wanted))):
        Ledger().entries(**wanted)


def test_the_oldest_rows_go_and_the_totals_stay():
    ledger = Ledger(max_entries=10)
    for _ in range(25):
        ledger.answered(arrive(ledger), Answer(200, ID))
    assert [entry.number for entry in ledger.entries()] == list(range(16, 26))
    assert [entry.number for entry in ledger.entries(since=20, limit=2)] == [21, 22]
    counts = ledger.counts()
    assert (counts["requests"], counts["dropped"], counts["statuses"]) == (25, 15, {"200": 25})


def test_the_oldest_bodies_go_before_the_rows():
    ledger = Ledger(max_body_chars=100)
    for number in range(4):
        arrive(ledger, body=b"%d" % number * 40)
    assert [entry.body and entry.body[0] for entry in ledger.entries()] == [None, None, "2", "3"]


def test_an_entry_ends_once():
    ledger = Ledger()
    entry = arrive(ledger)
    ledger.ended(entry, Ending.NO_ANSWER)
    ledger.ended(entry, Ending.RESET)
    assert entry.ending is Ending.NO_ANSWER
    assert ledger.counts()["endings"] == {
        "pending": 0,
        "answered": 0,
        "no answer": 1,
        "refused": 0,
        "reset": 0,
        "ignored": 0,
    }


def test_clearing_forgets_rows_and_totals_but_never_a_number():
    ledger = Ledger()
    open_entry = arrive(ledger)
    ledger.clear()
    ledger.answered(open_entry, Answer(200, ID))
    assert arrive(ledger).number == 2
    counts = ledger.counts()
    assert (counts["requests"], counts["endings"]["pending"], counts["endings"]["answered"]) == (1, 1, 0)


@pytest.mark.parametrize(
    ("body", "event", "timestamp"),
    [
        (b'{"aps":{"event":"end","timestamp":12.5}}', "end", 12.5),
        (b'{"aps":{"event":7,"timestamp":"12"}}', None, None),
        (b'{"aps":[]}', None, None),
        (b"[]", None, None),
        (b"\xff\xfe", None, None),
        (b"[" * 5000, None, None),
    ],
)
def test_a_body_that_says_nothing_is_no_crash(body, event, timestamp):
    assert read_body(body)[1:] == (event, timestamp)
