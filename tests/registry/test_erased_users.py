"""`deleteUsersPermanently` over the whole service: nothing of the person is left on disk, and others keep theirs."""

from pathlib import Path
from typing import Any

from whole_service import REST, Whole, whole_service

ALICE, BOB = "alice-0815", "bob-4711"


def message(reference: str, said: str) -> dict[str, Any]:
    return {
        "title": f"For {said}",
        "text": f"Hello {said}",
        "platforms": ["IOS"],
        "contentState": {"said": said},
        "liveActAttr": {"referenceId": reference},
        "liveActAttrType": "T",
    }


async def bulk(house: Whole, ext_ids: list[str], reference: str, said: str, **more: Any) -> int:
    body = {"message": message(reference, said), "type": "LIVE_ACTIVITY", "target": {"extId": ext_ids}, **more}
    answer = await house.rest("sendBulkNotification", body)
    assert answer.status_code == 200, answer.text
    return int(answer.json()["notificationKey"])


async def register(house: Whole, ext_id: str, digit: str) -> None:
    user = {"extId": ext_id, "platform": "IOS", "deviceToken": digit * 64, "tags": [f"tag-{ext_id}"]}
    await house.rest(
        "registerUsers", [user | {"email": f"{ext_id}@example.com", "profile": {"city": f"city of {ext_id}"}}]
    )
    event = {"name": "n:lst", "token": digit * 62 + "5e"}
    await house.report(f"phone-of-{ext_id}", event, extId=ext_id, deviceModel=f"model-{ext_id}")


def contents(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.iterdir() if path.is_file())


async def test_nothing_of_an_erased_user_is_left_on_disk(tmp_path: Path) -> None:
    async with whole_service(tmp_path) as house:
        await register(house, ALICE, "a")
        await register(house, BOB, "b")
        key = await bulk(house, [ALICE], "order-0815", "only-alice-0815")
        await bulk(house, [ALICE, BOB], "match", "both-of-them")
        await bulk(house, [ALICE, BOB], "later", "still-to-come", schedule={"startTime": "2099-01-01T00:00:00"})
        await house.report(f"phone-of-{ALICE}", {"name": "n:lut", "token": "a" * 62 + "77", "groupId": "order-0815"})
        update = {"groupId": "order-0815", "action": "UPDATE", "contentState": {"x": "0815"}}
        await house.rest("update-live-activity", update)
        desired = {"type": "T", "attributes": {}, "state": {"a": 1}, "audience": {"users": [ALICE, BOB]}}
        answer = await house.client.put("/v1/activities/wanted", json=desired, headers={"X-netmera-api-key": REST})
        assert answer.is_success, answer.text
        assert (await house.rest("deleteUsersPermanently", {"extIds": [ALICE]})).status_code == 200
        stats = (await house.rest(f"getPushStats?notificationKey={key}", None)).json()
        assert stats["notificationKey"] == key
        results = (await house.rest(f"getPushResult?notificationKey={key}", None)).json()
        assert "0815" not in str(results)
        assert (await house.rest(f"getDevices?extId={BOB}", None)).json()["devices"]
    left = contents(tmp_path)
    for trace in (b"0815", b"a" * 40, b"only-alice"):
        assert trace not in left
    assert b"both-of-them" in left
    assert BOB.encode() in left


async def test_an_update_for_an_erased_users_own_group_is_for_nobody(tmp_path: Path) -> None:
    async with whole_service(tmp_path) as house:
        await register(house, ALICE, "a")
        await bulk(house, [ALICE], "order", "x")
        await house.report(f"phone-of-{ALICE}", {"name": "n:lut", "token": "a" * 62 + "77", "groupId": "order"})
        await house.rest("deleteUsersPermanently", {"extIds": [ALICE]})
        for action in ("UPDATE", "END"):
            body = {"groupId": "order", "action": action, "contentState": {}}
            assert (await house.rest("update-live-activity", body)).status_code == 200
        metrics = (await house.client.get("/metrics")).text
        assert "skerry_unknown_groups_total 2.0" in metrics


async def test_a_desired_activity_that_is_for_everybody_outlives_its_only_card(tmp_path: Path) -> None:
    async with whole_service(tmp_path) as house:
        await register(house, ALICE, "a")
        headers = {"X-netmera-api-key": REST}
        for name, audience in (("open", {"all": True}), ("hers", {"users": [ALICE]})):
            desired = {"type": "T", "attributes": {}, "state": {"a": 1}, "audience": audience}
            assert (await house.client.put(f"/v1/activities/{name}", json=desired, headers=headers)).is_success
        await house.rest("deleteUsersPermanently", {"extIds": [ALICE]})
        assert (await house.client.get("/v1/activities/open", headers=headers)).json()["state"] == {"a": 1}
        assert (await house.client.get("/v1/activities/hers", headers=headers)).status_code == 404
