"""From an event to the caller's server: at least once, for a day, and never held up by somebody else's server.

The store is real and so are the receivers; the clock is the test's.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
import standardwebhooks
from webhook_receiver import HANG, Receiver, receiver

from skerry.bus.memory import MemoryBus
from skerry.domain.errors import FieldRefusedError
from skerry.domain.event import Event, EventId, EventKind
from skerry.domain.ids import AppId, GroupId, Millis
from skerry.domain.webhook import AttemptOutcome, RetrySchedule, WebhookWish
from skerry.receipts.webhooks.addresses import AddressRules
from skerry.receipts.webhooks.post import WebhookPoster
from skerry.receipts.webhooks.sender import WebhookSender, WebhookSettings
from skerry.receipts.webhooks.service import OLD_SECRET_FOR, Webhooks
from skerry.store.sealing import KeyRing
from skerry.store.sqlite import SqliteStore

APP, OTHER = AppId(1), AppId(2)
RULES = AddressRules(private_networks=True, plain_http=True)
SCHEDULE = RetrySchedule((5.0, 60.0, 3600.0), jitter=0.0, disable_after=86_400.0)
SETTINGS = WebhookSettings(SCHEDULE, concurrency=8, per_webhook=4, most_pending=12, lease=30.0)


@dataclass
class Clock:
    now: int = 1_800_000_000_000

    def __call__(self) -> Millis:
        return Millis(self.now)

    def forward(self, seconds: float) -> None:
        self.now += int(seconds * 1000)


@dataclass
class House:
    """A store, its webhooks, and the loop that tells them."""

    store: SqliteStore
    clock: Clock
    bus: MemoryBus
    ring: KeyRing
    webhooks: Webhooks
    secrets: dict[str, str] = field(default_factory=dict)

    async def hook(self, name: str, url: str, **wish: object) -> None:
        _, secret = await self.webhooks.put(APP, name, WebhookWish(url, **wish))  # type: ignore[arg-type]
        if secret is not None:
            self.secrets[name] = secret

    async def happen(self, *kinds: EventKind, app: AppId = APP, activity: str | None = None) -> None:
        def work(tx) -> None:
            found = tx.activities.by_group(app, GroupId(activity)) if activity else None
            for kind in kinds:
                number = found.activity_id if found else None
                tx.events.add(Event(app, kind, self.clock(), number, body={"reason": "x"}))

        await self.store.write(work)
        self.bus.wake("webhooks")

    async def later(self, seconds: float) -> None:
        self.clock.forward(seconds)
        self.bus.wake("webhooks")

    def sender(self, poster: WebhookPoster, settings: WebhookSettings = SETTINGS) -> WebhookSender:
        return WebhookSender(
            self.store,
            poster,
            self.ring,
            settings,
            clock=self.clock,
            nap=lambda _: self.bus.nap("webhooks", 5.0),
            wake=lambda: self.bus.wake("webhooks"),
            dice=lambda: 0.0,
        )

    @asynccontextmanager
    async def telling(
        self, settings: WebhookSettings = SETTINGS, patience: float = 10.0
    ) -> AsyncIterator[WebhookSender]:
        """Tell webhooks until the block is left; then the loop is gone as with a killed process."""
        async with WebhookPoster(RULES, timeout=patience, concurrency=8, user_agent="Skerry/test") as poster:
            sender = self.sender(poster, settings)
            task = asyncio.create_task(sender.run())
            try:
                yield sender
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def attempts(self, name: str) -> list[tuple[int, str, int | None]]:
        """Event, outcome and status of each, the oldest first."""
        found = await self.webhooks.attempts(APP, name, before=2**62, maximum=100)
        assert found is not None
        return [(one.event_id, one.outcome.value, one.status) for _, one in reversed(found.items)]

    async def until(self, met: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not await met():  # type: ignore[misc]
                await asyncio.sleep(0.01)

    async def until_attempts(self, name: str, count: int) -> list[tuple[int, str, int | None]]:
        async def met() -> bool:
            return len(await self.attempts(name)) >= count

        await self.until(met)
        return await self.attempts(name)


@pytest.fixture
async def house(store: SqliteStore, tmp_path) -> House:
    clock, bus, ring = Clock(), MemoryBus(), KeyRing.at(tmp_path / "ring.json")
    wake = lambda: bus.wake("webhooks")  # noqa: E731
    webhooks = Webhooks(store, ring, RULES, most_per_app=3, clock=clock, wake=wake)
    return House(store, clock, bus, ring, webhooks)


@pytest.fixture
async def caller() -> AsyncIterator[Receiver]:
    async with receiver() as one:
        yield one


LOST, JOINED, ENDED = EventKind.CARD_LOST, EventKind.CARD_JOINED, EventKind.ACTIVITY_ENDED


async def test_a_webhook_is_told_what_it_wants_and_what_happened_after_it_was_made(
    house: House, caller: Receiver
) -> None:
    await house.happen(LOST)
    await house.hook("ops", caller.url(), kinds=(LOST, ENDED))
    async with house.telling() as sender:
        await house.happen(JOINED, LOST, ENDED)
        await house.happen(LOST, app=OTHER)
        await caller.until(lambda requests: len(requests) == 2)
        await house.until_attempts("ops", 2)
    assert sorted(request.event["id"] for request in caller.requests) == [3, 4]
    assert {request.event["type"] for request in caller.requests} == {"card.lost", "activity.ended"}
    assert sender.outcomes == Counter({AttemptOutcome.DELIVERED: 2})
    state = await house.webhooks.get(APP, "ops")
    assert state is not None
    assert (state.pending, state.dead) == (0, 0)


async def test_requests_verify_with_the_secret_that_was_shown_once(
    house: House, caller: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    house.clock.now = time.time_ns() // 1_000_000  # the library looks at the real clock
    await house.hook("ops", caller.url())
    async with house.telling():
        await house.happen(LOST)
        await caller.until(lambda requests: len(requests) == 1)
    (request,) = caller.requests
    told = standardwebhooks.Webhook(house.secrets["ops"]).verify(request.body, request.headers)
    assert told["data"] == {"reason": "x"}
    assert request.headers["webhook-id"] == f"evt_{told['id']}"


async def test_the_secret_is_sealed_on_disk(house: House, caller: Receiver, tmp_path) -> None:
    import base64

    await house.hook("ops", caller.url())
    await house.store.close()
    secret = base64.b64decode(house.secrets["ops"].removeprefix("whsec_"))
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert secret not in files


async def test_for_a_day_after_a_rotation_the_old_secret_verifies_too(house: House, caller: Receiver) -> None:
    import time

    house.clock.now = time.time_ns() // 1_000_000
    await house.hook("ops", caller.url())
    old, new = house.secrets["ops"], await house.webhooks.rotate(APP, "ops")
    assert new is not None
    async with house.telling():
        await house.happen(LOST)
        await caller.until(lambda requests: len(requests) == 1)
        await house.later(OLD_SECRET_FOR / 1000)
        await house.happen(LOST)
        await caller.until(lambda requests: len(requests) == 2)
    for secret in (old, new):
        standardwebhooks.Webhook(secret).verify(caller.requests[0].body, caller.requests[0].headers)
    assert len(caller.requests[0].headers["webhook-signature"].split()) == 2
    assert len(caller.requests[1].headers["webhook-signature"].split()) == 1


async def test_a_failure_is_tried_again_on_schedule_with_the_same_id_until_it_is_given_up(
    house: House, caller: Receiver
) -> None:
    caller.status = 500
    await house.hook("ops", caller.url())
    async with house.telling():
        await house.happen(LOST)
        for attempt, wait in enumerate(SCHEDULE.delays, start=1):
            assert len(await house.until_attempts("ops", attempt)) == attempt
            await house.later(wait - 0.001)
            await asyncio.sleep(0.2)  # not yet
            assert len(caller.requests) == attempt
            await house.later(0.002)
        assert await house.until_attempts("ops", 4) == [(1, "refused", 500)] * 4
        await house.later(10_000)
        await asyncio.sleep(0.2)
    assert [request.headers["webhook-id"] for request in caller.requests] == ["evt_1"] * 4
    letters = await house.webhooks.dead_letters(APP, "ops", after=EventId(0), maximum=10)
    assert letters is not None
    assert [(one.event.event_id, one.attempts) for one in letters.items] == [(1, 4)]


async def test_dead_letters_are_replayed_from_the_first_attempt(house: House, caller: Receiver) -> None:
    await house.hook("ops", caller.url())
    caller.status = 500
    settings = replace(SETTINGS, schedule=replace(SCHEDULE, delays=()))
    async with house.telling(settings):
        await house.happen(LOST, ENDED)
        await house.until_attempts("ops", 2)
        caller.status = 200
        assert await house.webhooks.replay(APP, "ops") == 2
        assert [one[1] for one in await house.until_attempts("ops", 4)] == ["refused"] * 2 + ["delivered"] * 2
    assert await house.webhooks.replay(APP, "ops") == 0


async def test_an_event_is_told_again_on_demand_whatever_kinds_the_webhook_wants(
    house: House, caller: Receiver
) -> None:
    await house.happen(JOINED)
    await house.happen(LOST, app=OTHER)
    await house.hook("ops", caller.url(), kinds=(ENDED,))
    async with house.telling():
        assert await house.webhooks.resend(APP, "ops", EventId(1)) is True
        await caller.until(lambda requests: len(requests) == 1)
        await house.until_attempts("ops", 1)
        assert await house.webhooks.resend(APP, "ops", EventId(1)) is True
        await caller.until(lambda requests: len(requests) == 2)
    assert await house.webhooks.resend(APP, "ops", EventId(2)) is False  # another app's
    assert await house.webhooks.resend(APP, "ops", EventId(99)) is False
    assert await house.webhooks.resend(APP, "nobody", EventId(1)) is None


async def test_what_was_under_way_when_the_process_died_is_told_again_when_its_lease_ends(
    house: House, caller: Receiver
) -> None:
    await house.hook("ops", caller.url())
    caller.statuses = [HANG]
    async with house.telling():
        await house.happen(LOST)
        await caller.until(lambda requests: len(requests) == 1)
    await house.happen(ENDED)
    async with house.telling():
        await caller.until(lambda requests: len(requests) == 2)
        await house.later(SETTINGS.lease + 1)
        await caller.until(lambda requests: len(requests) == 3)
        await house.until_attempts("ops", 2)
    assert Counter(request.event["id"] for request in caller.requests) == Counter({1: 2, 2: 1})


async def test_a_receiver_that_hangs_holds_up_nobody_else(house: House, caller: Receiver) -> None:
    async with receiver() as stuck:
        stuck.status = HANG
        await house.hook("stuck", stuck.url())
        await house.hook("ops", caller.url())
        async with house.telling():
            await house.happen(*[LOST] * 40)
            await caller.until(lambda requests: len(requests) == 40)
            await house.until_attempts("ops", 40)
            assert len(stuck.requests) == SETTINGS.per_webhook
            assert await house.attempts("stuck") == []


async def test_a_failing_receiver_gets_one_request_at_a_time_until_it_answers_again(
    house: House, caller: Receiver
) -> None:
    await house.hook("ops", caller.url())
    caller.statuses = [500]
    async with house.telling(patience=30.0):
        await house.happen(LOST)
        await house.until_attempts("ops", 1)
        caller.statuses = [HANG]
        await house.happen(*[LOST] * 5)
        await caller.until(lambda requests: len(requests) == 2)
        await asyncio.sleep(0.3)
        assert len(caller.requests) == 2
    state = await house.webhooks.get(APP, "ops")
    assert state is not None
    assert state.webhook.failing_since == house.clock.now
    await house.later(SETTINGS.lease + 1)
    async with house.telling():
        await caller.until(lambda requests: {one.event["id"] for one in requests} == {1, 2, 3, 4, 5, 6})
        await house.until_attempts("ops", 7)
    state = await house.webhooks.get(APP, "ops")
    assert state is not None
    assert state.webhook.failing_since is None


async def test_what_waits_is_bounded_and_nothing_beyond_it_is_lost(house: House, caller: Receiver) -> None:
    caller.status = 500
    await house.hook("ops", caller.url())
    async with house.telling():
        await house.happen(*[LOST] * 30)
        await house.until_attempts("ops", SETTINGS.most_pending)
        state = await house.webhooks.get(APP, "ops")
        assert state is not None
        assert state.pending == SETTINGS.most_pending
        caller.status = 200
        await house.later(3600)
        await caller.until(lambda requests: {one.event["id"] for one in requests} == set(range(1, 31)))


async def test_after_days_of_failures_a_webhook_is_switched_off_and_that_is_told(
    house: House, caller: Receiver
) -> None:
    caller.status = 500
    async with receiver() as watcher:
        await house.hook("ops", caller.url())
        await house.hook("watch", watcher.url(), kinds=(EventKind.WEBHOOK_DISABLED,))
        async with house.telling():
            await house.happen(LOST)
            await house.until_attempts("ops", 1)
            await house.later(SCHEDULE.disable_after)
            await watcher.until(lambda requests: len(requests) == 1)
            assert watcher.requests[0].event["data"]["webhook"] == "ops"
            asked = len(caller.requests)
            await house.happen(LOST)
            await house.later(SCHEDULE.disable_after)
            await asyncio.sleep(0.2)
            assert len(caller.requests) == asked
            state = await house.webhooks.get(APP, "ops")
            assert state is not None
            assert not state.webhook.enabled
            assert "24 hours" in (state.webhook.disabled_reason or "")
            # Switched on again it is told what happened meanwhile.
            caller.status = 200
            await house.hook("ops", caller.url())
            await caller.until(lambda requests: {1, 3} <= {one.event["id"] for one in requests[asked:]})


async def test_a_receiver_that_says_gone_is_told_nothing_more(house: House, caller: Receiver) -> None:
    caller.status = 410
    await house.hook("ops", caller.url())
    async with house.telling():
        await house.happen(LOST)
        await house.until_attempts("ops", 1)
        await house.happen(LOST)
        await asyncio.sleep(0.2)
    assert len(caller.requests) == 1
    state = await house.webhooks.get(APP, "ops")
    assert state is not None
    assert state.webhook.disabled_reason == "the receiver answered 410 Gone"


async def test_one_activity_only(house: House, caller: Receiver) -> None:
    await house.hook("ops", caller.url(), activity="match-1")  # which nobody knows yet
    for name in ("match-1", "match-2"):

        def work(tx, name: str = name) -> None:
            made = tx.activities.create(APP, house.clock())
            tx.activities.add_name(made.activity_id, APP, GroupId(name))

        await house.store.write(work)
    async with house.telling():
        await house.happen(LOST)
        await house.happen(LOST, activity="match-2")
        await house.happen(LOST, activity="match-1")
        await caller.until(lambda requests: len(requests) == 1)
        await house.until_attempts("ops", 1)
    assert [request.event["data"]["activity"] for request in caller.requests] == ["match-1"]


async def test_a_webhook_that_is_removed_while_it_is_told_leaves_nothing_behind(house: House, caller: Receiver) -> None:
    caller.statuses = [HANG]
    await house.hook("ops", caller.url())
    async with house.telling(patience=0.5):
        await house.happen(LOST)
        await caller.until(lambda requests: len(requests) == 1)
        assert await house.webhooks.delete(APP, "ops")
        assert not await house.webhooks.delete(APP, "ops")
        await asyncio.sleep(0.7)
        await house.hook("ops", caller.url())  # the loop goes on, with a webhook of the same name
        await house.happen(ENDED)
        await caller.until(lambda requests: len(requests) == 2)
        assert await house.until_attempts("ops", 1) == [(2, "delivered", 200)]


async def test_a_secret_that_cannot_be_opened_is_an_attempt_that_failed(
    house: House, caller: Receiver, tmp_path
) -> None:
    await house.hook("ops", caller.url())
    house.ring = KeyRing.at(tmp_path / "another-ring.json")
    async with house.telling():
        await house.happen(LOST)
        assert await house.until_attempts("ops", 1) == [(1, "failed", None)]
    assert caller.requests == []


async def test_an_app_has_so_many_webhooks_and_no_more(house: House, caller: Receiver) -> None:
    for name in ("a", "b", "c", "a"):
        await house.hook(name, caller.url())
    with pytest.raises(FieldRefusedError, match="one more than the 3"):
        await house.hook("d", caller.url())
    assert [state.webhook.name for state in await house.webhooks.list(APP)] == ["a", "b", "c"]
    assert await house.webhooks.list(OTHER) == []
    assert await house.webhooks.get(OTHER, "a") is None
