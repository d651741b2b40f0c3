"""F34: odd replies."""

from typing import Any

import pytest
from testbed import Bed, scenario

from skerry.apns import PoolSettings
from skerry.domain.push import Outcome

pytestmark = pytest.mark.slow

BAD = {"reason": "BadDeviceToken"}


@scenario(settings=PoolSettings(max_connections=1))
@pytest.mark.parametrize(
    "form",
    [
        {"pieces": 3},
        {"end": "data"},
        {"continuation": 3},
        {"padding": 200},
        {"padding": 1, "continuation": 5, "pieces": 20},
        {"interim": 3},
        {"trailers": True},
        {"apns_id": "missing"},
        {"apns_id": "upper"},
        {"apns_id": "other"},
        {"date_skew_s": 10_000},
        {"then": "data"},
        {"then": "rst_stream"},
        {"then": "window_update"},
        {"then": "headers"},
    ],
    ids=str,
)
async def test_f34_an_answer_in_any_form_is_the_answer(bed: Bed, form: dict[str, Any]) -> None:
    await bed.warm()
    bed.chaos.update_from({"reply": form, "reject": {**BAD, "share": 0.5}, "seed": 34})
    sent = await bed.push(100)
    assert sent.count(Outcome.ACCEPTED) + sent.count(Outcome.REJECTED) == 100
    assert sent.count(Outcome.REJECTED) > 30
    assert sent.reasons == {"BadDeviceToken"}
    assert len(bed.notes("opened")) == 1


@scenario(settings=PoolSettings(max_connections=1))
@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ({"reason": "BadDeviceToken", "body": ""}, ""),
        ({"reason": "BadDeviceToken", "body": "<html>"}, "<html>"),
        ({"reason": "BadDeviceToken", "body": '{"reason": 5}'}, '{"reason": 5}'),
        ({"reason": "BadDeviceToken", "body": '["reason"]'}, '["reason"]'),
        ({"reason": "BadDeviceToken", "body": '{"reason":"BadDeviceToken"}   \n'}, "BadDeviceToken"),
        ({"reason": "NeverHeardOf", "status": 418}, "NeverHeardOf"),
        ({"reason": "Moved", "status": 302, "body": "elsewhere"}, "elsewhere"),
        ({"reason": "Odd", "status": 204, "body": ""}, ""),
        ({"reason": "Huge", "status": 400, "body": "y" * 1_000_000}, "y" * 200),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_f34_what_is_not_apples_json_keeps_its_status_and_its_text(
    bed: Bed, reply: dict[str, Any], reason: str
) -> None:
    await bed.warm()
    bed.chaos.update_from({"reject": {**reply, "times": 20}})
    sent = await bed.push(20)
    assert sent.count(Outcome.REJECTED) == 20
    assert sent.reasons == {reason}
    assert (await bed.push(100)).count(Outcome.ACCEPTED) == 100


@scenario(settings=PoolSettings(max_connections=1))
@pytest.mark.parametrize("when", ["headers", "request", "answer_headers", "answer_data"])
@pytest.mark.parametrize("code", [0, 1, 2, 5, 7, 8, 0xFFFF])
async def test_f34_a_reset_at_any_moment_ends_its_own_stream_only(bed: Bed, when: str, code: int) -> None:
    await bed.warm()
    bed.chaos.update_from(
        {"reset": {"share": 0.3, "when": when, "code": code}, "reject": {**BAD, "share": 0.5}, "seed": 34}
    )
    sent = await bed.push(200, deadline=10)
    assert sent.count(Outcome.PENDING) == 0
    if when in ("headers", "request") and code != 7:
        assert 20 < sent.count(Outcome.UNKNOWN) < 100
    bed.chaos.update_from({})
    assert (await bed.push(200)).count(Outcome.ACCEPTED) == 200
