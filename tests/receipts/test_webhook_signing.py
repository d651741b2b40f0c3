"""Signatures, held against the library that receivers use; and the schedule of attempts."""

import time

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from skerry.domain.event import EventId
from skerry.domain.webhook import RetrySchedule, message_id, new_secret, secret_text, signed_headers

DAY = 86_400


@given(st.dictionaries(st.text(), st.text() | st.integers()))
def test_what_we_sign_the_receivers_library_verifies(content: dict[str, object]) -> None:
    import json

    body = json.dumps(content).encode()
    secret = new_secret()
    headers = signed_headers([secret], message_id(EventId(7)), int(time.time()), body)
    assert standardwebhooks.Webhook(secret_text(secret)).verify(body, headers) == content


def test_after_a_rotation_both_secrets_verify_and_no_other() -> None:
    new, old = new_secret(), new_secret()
    headers = signed_headers([new, old], "evt_1", int(time.time()), b"{}")
    for secret in (new, old):
        standardwebhooks.Webhook(secret_text(secret)).verify(b"{}", headers)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(secret_text(new_secret())).verify(b"{}", headers)


@pytest.mark.parametrize("changed", ["webhook-id", "webhook-timestamp", "body"])
def test_a_changed_message_does_not_verify(changed: str) -> None:
    secret, now = new_secret(), int(time.time())
    headers = signed_headers([secret], "evt_1", now, b"{}")
    body = b'{"a":1}' if changed == "body" else b"{}"
    headers |= {"webhook-id": "evt_2"} if changed == "webhook-id" else {}
    headers |= {"webhook-timestamp": str(now + 1)} if changed == "webhook-timestamp" else {}
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(secret_text(secret)).verify(body, headers)


def test_attempts_go_on_for_a_day() -> None:
    schedule = RetrySchedule()
    waits = [schedule.after(failures, dice=0.0) for failures in range(1, len(schedule.delays) + 1)]
    assert waits == sorted(waits, key=lambda wait: wait or 0)
    assert 0.9 * DAY < sum(wait or 0 for wait in waits) <= DAY
    assert schedule.after(len(schedule.delays) + 1, dice=0.0) is None


def test_jitter_only_makes_it_later_and_retry_after_is_believed_within_bounds() -> None:
    schedule = RetrySchedule((10.0, 100.0), jitter=0.2)
    assert schedule.after(1, dice=0.0) == 10.0
    assert schedule.after(1, dice=1.0) == 12.0
    assert schedule.after(1, dice=0.0, retry_after=30.0) == 30.0
    assert schedule.after(1, dice=0.0, retry_after=10_000.0) == 100.0
