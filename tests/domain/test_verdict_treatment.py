"""What a refusal asks for, reason by reason (apple.md 3.7)."""

import pytest

from skerry.domain.push import Rejected
from skerry.domain.verdict import Cure, RetryPolicy, Treatment, treat

POLICY = RetryPolicy()


@pytest.mark.parametrize(
    ("status", "reason", "cure", "delay"),
    [
        (400, "DeviceTokenNotForTopic", Cure.DROP_TOKEN, 0),
        (410, "Unregistered", Cure.DROP_TOKEN, 0),
        (410, "ExpiredToken", Cure.DROP_TOKEN, 0),
        (400, "PayloadTooLarge", Cure.GIVE_UP, 0),
        (403, "Forbidden", Cure.GIVE_UP, 0),
        (400, "TopicDisallowed", Cure.GIVE_UP, 0),
        (429, "TooManyRequests", Cure.RETRY, 30),
        (429, "TooManyProviderTokenUpdates", Cure.RETRY, 300),
        (403, "InvalidProviderToken", Cure.RETRY, 300),
        (403, "BadEnvironmentKeyInToken", Cure.RETRY, 300),
        (500, "InternalServerError", Cure.RETRY, 900),
        (503, "ServiceUnavailable", Cure.RETRY, 900),
        (503, "Shutdown", Cure.RETRY, 5),
    ],
)
def test_each_reason_has_its_cure(status: int, reason: str, cure: Cure, delay: float) -> None:
    treatment = treat(Rejected(status, reason), 0, POLICY, other_environment_tried=False)
    assert (treatment.cure, treatment.delay) == (cure, delay)


def test_a_bad_device_token_tries_the_other_environment_once() -> None:
    bad = Rejected(400, "BadDeviceToken")
    assert treat(bad, 0, POLICY, other_environment_tried=False).cure is Cure.OTHER_ENVIRONMENT
    assert treat(bad, 1, POLICY, other_environment_tried=True).cure is Cure.DROP_TOKEN


def test_delays_grow_up_to_a_ceiling_and_retry_after_is_heard() -> None:
    delays = [treat(Rejected(503, "X"), n, POLICY, other_environment_tried=False).delay for n in range(4)]
    assert delays == [900, 1800, 3600, 3600]
    long = Rejected(503, "X", retry_after=9_000)
    assert treat(long, 0, POLICY, other_environment_tried=False).delay == 9_000


def test_a_push_that_is_tried_for_days_is_still_tried() -> None:
    for attempt in (10, 1_000, 100_000):
        treatment = treat(Rejected(503, "ServiceUnavailable"), attempt, POLICY, other_environment_tried=False)
        assert treatment == Treatment(Cure.RETRY, POLICY.ceiling)
