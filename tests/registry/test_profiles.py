"""Profiles over the whole service: what is pushed, pulled and deleted, value for value as JSON tells them apart."""

from pathlib import Path
from typing import Any

from whole_service import Whole, whole_service


async def profile(house: Whole, ext_id: str) -> dict[str, Any]:
    answer = await house.rest(f"getProfileAttributes?extId={ext_id}", None)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["profile"]
    return found


async def change(house: Whole, operation: str, body: Any) -> None:
    answer = await house.rest(operation, body)
    assert answer.status_code == 200, answer.text


async def registered(house: Whole, ext_id: str, attributes: dict[str, Any]) -> None:
    await change(
        house,
        "registerUsers",
        [{"extId": ext_id, "platform": "IOS", "deviceToken": "a" * 64, "profile": attributes}],
    )


async def test_true_is_not_one_where_values_are_pushed_and_pulled(tmp_path: Path) -> None:
    async with whole_service(tmp_path) as house:
        await registered(house, "u", {"list": [1]})
        await change(house, "pushProfileAttributes", [{"extId": "u", "profile": {"list": [True, 1]}}])
        assert repr((await profile(house, "u"))["list"]) == "[1, True]"
        await change(house, "pullProfileAttributes", [{"extId": "u", "profile": {"list": [True]}}])
        assert repr((await profile(house, "u"))["list"]) == "[1]"


async def test_deleting_a_value_leaves_what_only_looks_alike(tmp_path: Path) -> None:
    async with whole_service(tmp_path) as house:
        await registered(house, "u", {"member": True, "tries": 1})
        await change(house, "deleteProfileAttributeValue", [{"key": "member", "value": 1}])
        await change(house, "deleteProfileAttributeValue", [{"key": "tries", "value": 1}])
        assert await profile(house, "u") == {"member": True}
