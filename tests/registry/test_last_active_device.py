"""`lastActiveDevice`: of a user's devices the one that was heard of last, however recently the others were."""

from pathlib import Path

from whole_service import whole_service

USER = "two-phones"


async def test_a_report_that_changes_nothing_still_makes_its_device_the_last_active_one(tmp_path: Path) -> None:
    message = {
        "title": "T",
        "text": "t",
        "platforms": ["IOS"],
        "contentState": {},
        "liveActAttr": {},
        "liveActAttrType": "T",
    }
    async with whole_service(tmp_path) as house:
        for installation, digit in (("old", "a"), ("new", "b"), ("old", "a"), ("old", "a")):
            event = {"name": "n:lst", "token": digit * 64}
            assert (await house.report(installation, event, extId=USER)).status_code == 200
        body = {
            "message": message,
            "type": "LIVE_ACTIVITY",
            "target": {"extId": USER},
            "lastActiveDevice": True,
        }
        await house.rest("sendBulkNotification", body)
        (activity,) = (await house.service.receipts.activities(house.app.app_id, ended=False, maximum=10)).items
        cards = (await house.service.receipts.cards(activity.activity, after=0, maximum=10)).items
        assert [card.installation_id for card in cards] == ["old"]
