"""`getPushStats` and `getPushResult`: counts, windows, filters and pages of what became of starts."""

import json
from dataclasses import dataclass, replace
from typing import Any

import pytest

from skerry.domain.activity import Start, start
from skerry.domain.chunk import Chunk, ChunkState, Lane
from skerry.domain.commands import Template
from skerry.domain.ids import AppId, CardNumber, ChunkId, DeviceId, Millis, NotificationKey
from skerry.domain.receipt import PushResult, PushStats, Slice
from skerry.domain.verdict import Verdict
from skerry.receipts.service import Receipts
from skerry.store.sqlite import SqliteStore, SqliteTransaction

APP, OTHER_APP = AppId(1), AppId(2)
TEMPLATE = Template("Title", "Text", "Ride", b"{}", b"{}")
EVER = {"start": Millis(0), "end": Millis(10**15)}
ACCEPTED, REJECTED, UNKNOWN, PENDING = Verdict.ACCEPTED, Verdict.REJECTED, Verdict.UNKNOWN, Verdict.PENDING


@dataclass
class Desk:
    """Starts are put into the store as delivery leaves them, and read as the API does."""

    store: SqliteStore
    receipts: Receipts
    devices: int = 0

    async def sql(self, statement: str, *values: Any) -> None:
        await self.store.write(lambda tx: tx.connection.execute(statement, values).rowcount)

    async def key(self, kind: str = "bulk", *, app: AppId = APP, at: int = 100) -> NotificationKey:
        return await self.store.write(lambda tx: tx.notifications.add(app, kind, TEMPLATE, Millis(at)))

    async def start(
        self, key: NotificationKey, *verdicts: Verdict, app: AppId = APP, at: int = 100, settled: int | None = 200
    ) -> tuple[int, list[int]]:
        """A start to as many new devices; its activity and their ids."""
        devices = [await self._device(app) for _ in verdicts]

        def work(tx: SqliteTransaction) -> int:
            activity = tx.activities.create(app, Millis(at))
            activity, revision = start(activity, Start("Ride", b"{}", b"{}", b"{}", notification_key=key), Millis(at))
            tx.activities.add_revision(revision)
            tx.activities.add_cards(
                activity.activity_id, CardNumber(1), revision.number, [DeviceId(one) for one in devices], Millis(at)
            )
            tx.activities.save(replace(activity, next_card=CardNumber(1 + len(devices))))
            if devices:
                tx.outbox.add_chunks(
                    [
                        Chunk(
                            ChunkId(0), app, activity.activity_id, revision.number, CardNumber(1),
                            CardNumber(len(devices)), bytes(verdicts), lane=Lane.SMALL,
                        )
                    ]
                )  # fmt: skip
            return int(activity.activity_id)

        activity = await self.store.write(work)
        state = ChunkState.SETTLED if settled else ChunkState.READY
        await self.sql(
            "UPDATE chunks SET created_at = ?, settled_at = ?, state = ? WHERE activity_id = ?",
            at, settled, int(state), activity,
        )  # fmt: skip
        return activity, devices

    async def _device(self, app: AppId) -> int:
        self.devices += 1
        number = self.devices
        await self.sql(
            "INSERT INTO users (user_id, app_id, ext_id, created_at) VALUES (?, ?, ?, 0)", number, app, f"user-{number}"
        )
        await self.sql(
            "INSERT INTO devices (device_id, app_id, installation_id, user_id, platform, push_token, created_at,"
            " last_active_at) VALUES (?, ?, ?, ?, 'IOS', ?, 0, 0)",
            number, app, f"i-{number}", number, f"{number:064x}",
        )  # fmt: skip
        return number

    async def miss(self, activity: int, reason: str, *, ext_id: str | None = None, device: int | None = None) -> None:
        await self.sql(
            "INSERT INTO misses (activity_id, revision, device_id, ext_id, reason, at) VALUES (?, 1, ?, ?, ?, 150)",
            activity, device, ext_id, reason,
        )  # fmt: skip

    async def refused(self, activity: int, number: int, reason: str) -> None:
        await self.sql(
            "INSERT INTO rejections (activity_id, revision, number, status, reason, at) VALUES (?, 1, ?, 400, ?, 150)",
            activity, number, reason,
        )  # fmt: skip

    async def results(self, **asked: Any) -> Slice[PushResult]:
        defaults: dict[str, Any] = {
            "notification_key": None,
            "ext_id": None,
            "token": None,
            "maximum": 100,
            "offset": 0,
        }
        found = await self.receipts.results(APP, **(defaults | EVER | asked))
        assert found is not None
        return found

    async def stats(self, key: NotificationKey) -> PushStats:
        found = await self.receipts.stats(APP, key)
        assert found is not None
        return found


@pytest.fixture
def desk(store: SqliteStore) -> Desk:
    return Desk(store, Receipts(store))


def installations(found: Slice[PushResult]) -> list[str | None]:
    return [one.installation_id for one in found.items]


class TestStats:
    async def test_apns_answers_are_counted(self, desk: Desk) -> None:
        key = await desk.key()
        await desk.start(key, ACCEPTED, ACCEPTED, REJECTED, UNKNOWN, Verdict.NOT_PROCESSED, Verdict.NO_CARD)
        assert await desk.stats(key) == PushStats(key, "FINISHED", Millis(100), Millis(200), sent=2, failed=2)

    async def test_all_starts_of_a_key_count_together(self, desk: Desk) -> None:
        key = await desk.key("definition")
        await desk.start(key, ACCEPTED, at=300, settled=400)
        await desk.start(key, ACCEPTED, REJECTED, at=100, settled=900)
        assert await desk.stats(key) == PushStats(key, "FINISHED", Millis(100), Millis(900), sent=2, failed=1)

    @pytest.mark.parametrize(
        ("verdicts", "status"),
        [
            ([PENDING, PENDING], "STARTING"),
            ([Verdict.IN_FLIGHT], "STARTING"),
            ([ACCEPTED, PENDING], "SENDING"),
            ([REJECTED, Verdict.RETRY], "SENDING"),
            ([ACCEPTED, UNKNOWN], "FINISHED"),
        ],
    )
    async def test_the_status_follows_what_is_open(self, desk: Desk, verdicts: list[Verdict], status: str) -> None:
        key = await desk.key()
        await desk.start(key, *verdicts, settled=200 if status == "FINISHED" else None)
        found = await desk.stats(key)
        assert (found.status, found.ended_at is None) == (status, status != "FINISHED")

    async def test_a_start_that_is_still_spread_out_is_not_finished(self, desk: Desk) -> None:
        key = await desk.key()
        activity, _ = await desk.start(key, ACCEPTED)
        await desk.sql(
            "INSERT INTO plans (app_id, activity_id, revision, audience, cursor, interval, due_at)"
            " VALUES (1, ?, 1, x'7b7d', 0, 0, 0)",
            activity,
        )
        assert (await desk.stats(key)).status == "SENDING"

    @pytest.mark.parametrize(("kind", "status"), [("definition", "ACTIVE"), ("bulk", "FINISHED")])
    async def test_a_key_without_a_start(self, desk: Desk, kind: str, status: str) -> None:
        key = await desk.key(kind)
        assert await desk.stats(key) == PushStats(key, status, None, None, sent=0, failed=0)

    async def test_who_could_not_be_reached_has_failed(self, desk: Desk) -> None:
        key = await desk.key()
        activity, _ = await desk.start(key, ACCEPTED)
        await desk.miss(activity, "NO_DEVICE", ext_id="nobody")
        await desk.miss(activity, "NO_START_TOKEN", device=1)
        await desk.miss(activity, "ALREADY_RUNNING", device=1)
        found = await desk.stats(key)
        assert (found.sent, found.failed) == (1, 2)

    async def test_another_apps_key_is_no_key(self, desk: Desk) -> None:
        key = await desk.key(app=OTHER_APP)
        assert await desk.receipts.stats(APP, key) is None

    async def test_a_window_has_its_ends_in_it_and_the_newest_first(self, desk: Desk) -> None:
        keys = [await desk.key(at=at) for at in (100, 200, 200, 300)]
        await desk.key(app=OTHER_APP, at=200)
        for start_at, end, expected in ((100, 300, [3, 2, 1, 0]), (200, 299, [2, 1]), (101, 199, []), (300, 100, [])):
            found = await desk.receipts.stats_between(APP, Millis(start_at), Millis(end))
            assert [one.notification_key for one in found] == [keys[place] for place in expected]


class TestResults:
    async def test_each_device_has_its_line(self, desk: Desk) -> None:
        key = await desk.key()
        activity, _ = await desk.start(key, ACCEPTED, REJECTED, REJECTED, UNKNOWN, Verdict.NOT_PROCESSED)
        await desk.refused(activity, 2, "BadDeviceToken")
        await desk.miss(activity, "NO_DEVICE", ext_id="nobody")
        found = await desk.results(notification_key=key)
        lines = [
            (one.installation_id, one.ext_id, one.at, one.succeeded, one.error_code, one.error) for one in found.items
        ]
        assert lines == [
            ("i-1", "user-1", 200, True, None, None),
            ("i-2", "user-2", 200, False, "8", "BadDeviceToken"),
            ("i-3", "user-3", 200, False, "1", "REJECTED"),
            ("i-4", "user-4", 200, False, "1", "NO_ANSWER"),
            ("i-5", "user-5", 200, False, "1", "NOT_PROCESSED"),
            (None, "nobody", 150, False, "1", "NO_DEVICE"),
        ]
        assert {(one.title, one.text) for one in found.items} == {("Title", "Text")}

    @pytest.mark.parametrize("alert_title", [None, "On the phone"])
    async def test_placeholders_are_shown_as_the_user_got_them(self, desk: Desk, alert_title: str | None) -> None:
        template = replace(
            TEMPLATE, title="For @{name|you}", text="@{order} @{missing}, @@{", alert_title=alert_title,
            params={"order": "of the definition"},
        )  # fmt: skip
        key = await desk.store.write(lambda tx: tx.notifications.add(APP, "definition", template, Millis(100)))
        activity, _ = await desk.start(key, ACCEPTED, ACCEPTED)
        alert = {"title": alert_title or template.title, "body": "9 @{missing}, @@{"}
        await desk.sql("UPDATE revisions SET alert = ? WHERE activity_id = ?", json.dumps(alert).encode(), activity)
        await desk.sql("""UPDATE users SET profile = '{"name":"\\u0130lk"}' WHERE ext_id = 'user-1'""")
        found = await desk.results(notification_key=key)
        assert [(one.title, one.text) for one in found.items] == [("For İlk", "9 , @{"), ("For you", "9 , @{")]

    async def test_what_is_open_or_not_a_push_is_not_there(self, desk: Desk) -> None:
        key = await desk.key()
        await desk.start(
            key, PENDING, Verdict.IN_FLIGHT, Verdict.RETRY, Verdict.NO_CARD, Verdict.DEFERRED, ACCEPTED, settled=None
        )
        assert installations(await desk.results()) == ["i-6"]

    async def test_by_user_by_token_and_by_key(self, desk: Desk) -> None:
        first, second = await desk.key(), await desk.key()
        await desk.start(first, ACCEPTED, ACCEPTED)
        activity, _ = await desk.start(second, ACCEPTED)
        await desk.miss(activity, "NO_DEVICE", ext_id="user-2")
        await desk.sql(
            "INSERT INTO start_tokens (app_id, device_id, attributes_type, token, token_time, registered_at)"
            " VALUES (1, 1, '', 'abab', 0, 0)"
        )
        assert installations(await desk.results(notification_key=first)) == ["i-1", "i-2"]
        assert installations(await desk.results(ext_id="user-2")) == ["i-2", None]
        assert installations(await desk.results(ext_id="user-2", notification_key=first)) == ["i-2"]
        assert installations(await desk.results(token=f"{3:064x}")) == ["i-3"]
        assert installations(await desk.results(token="abab")) == ["i-1"]
        assert installations(await desk.results(token="cdcd")) == []
        assert installations(await desk.results(ext_id="nobody")) == []

    async def test_a_window_has_its_ends_in_it(self, desk: Desk) -> None:
        key = await desk.key()
        for settled in (100, 200, 300):
            await desk.start(key, ACCEPTED, at=50, settled=settled)
        for start_at, end, expected in ((100, 300, ["i-3", "i-2", "i-1"]), (200, 299, ["i-2"]), (101, 199, [])):
            found = await desk.results(start=Millis(start_at), end=Millis(end))
            assert installations(found) == expected

    @pytest.mark.parametrize("maximum", [1, 2, 3, 7, 8, 100])
    async def test_pages_joined_are_the_whole(self, desk: Desk, maximum: int) -> None:
        key = await desk.key()
        for settled in (200, 300, 200):
            await desk.start(key, ACCEPTED, REJECTED, settled=settled)
        activity, _ = await desk.start(key, ACCEPTED, settled=200)
        await desk.miss(activity, "NO_DEVICE", ext_id="nobody")
        whole = (await desk.results()).items
        assert len(whole) == 8
        joined: list[PushResult] = []
        while True:
            page = await desk.results(maximum=maximum, offset=len(joined))
            joined += page.items
            assert page.more == (len(joined) < 8)
            if not page.more:
                break
        assert tuple(joined) == whole

    async def test_another_apps_starts_and_keys_are_not_seen(self, desk: Desk) -> None:
        key = await desk.key(app=OTHER_APP)
        await desk.start(key, ACCEPTED, app=OTHER_APP)
        assert (await desk.results()).items == ()
        assert await desk.receipts.results(
            APP, notification_key=key, ext_id=None, token=None, maximum=10, offset=0, **EVER
        ) is None  # fmt: skip

    async def test_a_device_that_was_erased_leaves_no_name(self, desk: Desk) -> None:
        key = await desk.key()
        activity, _ = await desk.start(key, ACCEPTED)
        await desk.sql("UPDATE cards SET device_id = 0 WHERE activity_id = ?", activity)
        (one,) = (await desk.results()).items
        assert (one.installation_id, one.ext_id, one.succeeded) == (None, None, True)
