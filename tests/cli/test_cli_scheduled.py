"""`skerry activity show` of an activity that has phases to come and changes on the schedule."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from whole_service import REST, whole_service

PUT: dict[str, Any] = {
    "state": {"score": 0},
    "phases": [{"at": "2020-01-01T00:00:00Z", "state": {"score": 1}}, {"at": "2099-01-01T00:00:00Z", "state": {}}],
}


async def fill(data: Path) -> None:
    async with whole_service(data) as whole:
        headers = {"X-netmera-api-key": REST}
        assert (await whole.client.put("/v1/activities/match", json=PUT, headers=headers)).is_success
        for body in ({"at": "2098-06-01T12:00:00Z", "action": "end"}, {"at": "2098-05-01T12:00:00Z", "state": {}}):
            answer = await whole.client.post("/v1/activities/match/schedule", json=body, headers=headers)
            assert answer.status_code == 201, answer.text


@pytest.fixture
def data(tmp_path: Path) -> Path:
    asyncio.run(fill(tmp_path))
    return tmp_path


def test_people_see_the_phase_and_what_is_scheduled(skerry: Any, data: Path) -> None:
    shown = skerry("activity", "show", "match", "--data", str(data))
    assert shown.code == 0, shown.out
    assert "1 of 2, the next one 2099-01-01 00:00:00Z" in shown.out
    lines = [line for line in shown.out.splitlines() if "2098-" in line]
    assert ["starts or updates it" in line for line in lines] == [True, False]
    assert "ends it" in lines[1]


def test_machines_see_the_same(skerry: Any, data: Path) -> None:
    found = json.loads(skerry("activity", "show", "match", "--json", "--data", str(data)).out)
    assert found["script"] == {"phase": 1, "of": 2, "nextAt": 4_070_908_800_000}
    assert [one["action"] for one in found["scheduled"]] == ["put", "end"]
