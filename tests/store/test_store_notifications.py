"""Notification keys, remembered answers, timers, refusals and misses, as the ports promise them."""

import pytest

from skerry.domain.commands import Idempotency, Template
from skerry.domain.errors import IdempotencyConflictError
from skerry.domain.ids import ActivityId, CardNumber, DeviceId, GroupId, Millis, RevisionNumber, Seconds
from skerry.domain.push import Rejected
from skerry.domain.timer import TimerKind

APP, OTHER_APP = 1, 2
TEMPLATE = Template(
    "title", "text", "Ride", b'{ "id":1.0}', b"{}", "shown", GroupId("g"), Seconds(5), 5, params={"name": "ü"}
)
END, UNKNOWN = TimerKind.PLANNED_END, TimerKind.UNKNOWN_START
RIDE = ActivityId(7)


async def test_a_key_stands_for_its_template_in_its_own_app(bench):
    key = await bench.write(lambda tx: tx.notifications.add(APP, "bulk", TEMPLATE, Millis(9)))
    found = await bench.read(lambda tx: tx.notifications.get(APP, key))
    assert (found.notification_key, found.app_id, found.kind, found.template, found.created_at) == (
        key, APP, "bulk", TEMPLATE, 9,
    )  # fmt: skip
    assert await bench.read(lambda tx: tx.notifications.get(OTHER_APP, key)) is None


async def test_keys_are_one_rising_sequence(bench):
    keys = [
        await bench.write(lambda tx, kind=kind: tx.notifications.add(APP, kind, TEMPLATE, Millis(9)))
        for kind in ("bulk", "definition", "bulk")
    ]
    assert keys == sorted(set(keys))


async def test_a_repeat_gets_the_remembered_answer(bench):
    idempotency = Idempotency("k", b"digest")
    assert await bench.read(lambda tx: tx.notifications.recall(APP, idempotency)) is None
    await bench.write(lambda tx: tx.notifications.remember(APP, idempotency, "answer", Millis(9)))
    assert await bench.read(lambda tx: tx.notifications.recall(APP, idempotency)) == "answer"
    assert await bench.read(lambda tx: tx.notifications.recall(OTHER_APP, idempotency)) is None


async def test_a_key_that_was_used_for_another_request_is_a_conflict(bench):
    await bench.write(lambda tx: tx.notifications.remember(APP, Idempotency("k", b"one"), "answer", Millis(9)))
    with pytest.raises(IdempotencyConflictError, match="'k'"):
        await bench.read(lambda tx: tx.notifications.recall(APP, Idempotency("k", b"other")))


async def test_timers_come_when_they_are_due_earliest_first(bench):
    def work(tx):
        tx.timers.set(END, RIDE, 0, Millis(30))
        tx.timers.set(UNKNOWN, RIDE, 1, Millis(10))
        tx.timers.set(UNKNOWN, RIDE, 2, Millis(31))

    assert await bench.read(lambda tx: tx.timers.next_due()) is None
    await bench.write(work)
    due = await bench.read(lambda tx: tx.timers.due(Millis(30), 9))
    assert [(timer.kind, timer.subject, timer.due_at) for timer in due] == [(UNKNOWN, 1, 10), (END, 0, 30)]
    assert due[0].kind is UNKNOWN
    assert len(await bench.read(lambda tx: tx.timers.due(Millis(30), 1))) == 1
    await bench.write(lambda tx: tx.timers.done(due[0]))
    assert await bench.read(lambda tx: tx.timers.next_due()) == 30


async def test_setting_a_timer_again_replaces_it(bench):
    await bench.write(lambda tx: tx.timers.set(END, RIDE, 0, Millis(30)))
    (old,) = await bench.read(lambda tx: tx.timers.due(Millis(30), 9))
    await bench.write(lambda tx: tx.timers.set(END, RIDE, 0, Millis(50)))
    await bench.write(lambda tx: tx.timers.done(old))
    (new,) = await bench.read(lambda tx: tx.timers.due(Millis(99), 9))
    assert new.due_at == 50


async def test_cancelling_takes_all_timers_of_a_kind_of_one_activity(bench):
    def work(tx):
        for activity_id in (RIDE, ActivityId(8)):
            for kind in (END, UNKNOWN):
                for subject in (0, 1):
                    tx.timers.set(kind, activity_id, subject, Millis(1))
        tx.timers.cancel(END, RIDE)

    await bench.write(work)
    left = await bench.read(lambda tx: tx.timers.due(Millis(1), 99))
    assert len(left) == 6
    assert not any(timer.kind is END and timer.activity_id == RIDE for timer in left)


async def test_the_last_refusal_of_a_push_is_kept(bench):
    def work(tx):
        for status, reason in ((400, "BadDeviceToken"), (410, "Unregistered")):
            tx.rejections.add(RIDE, RevisionNumber(1), CardNumber(3), Rejected(status, reason), Millis(status))

    await bench.write(work)
    assert await bench.sql("SELECT * FROM rejections") == [(7, 1, 3, 410, "Unregistered", 410)]


async def test_misses_are_kept_for_devices_and_for_people_without_one(bench):
    def work(tx):
        tx.rejections.add_miss(RIDE, RevisionNumber(1), DeviceId(4), None, "NO_START_TOKEN", Millis(9))
        tx.rejections.add_miss(RIDE, RevisionNumber(1), None, "user", "NO_DEVICE", Millis(9))

    await bench.write(work)
    assert await bench.sql("SELECT device_id, ext_id, reason FROM misses") == [
        (4, None, "NO_START_TOKEN"),
        (None, "user", "NO_DEVICE"),
    ]
