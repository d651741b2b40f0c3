"""The loop that tells webhooks: events become deliveries, deliveries become requests, and each has its result on disk.

At least once, in no promised order. Events are looked at behind a durable cursor for each webhook, a delivery is a row
that is due at a time, and to claim one only moves that time: what dies with the process is due again by itself. A
receiver that hangs holds as many requests as it may have at once (one, while it fails), and nobody else's.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

import msgspec
import structlog

from skerry.domain.errors import OverloadedError
from skerry.domain.event import Event, EventId, EventKind, EventPage
from skerry.domain.ids import Millis
from skerry.domain.unit_of_work import UnitOfWork
from skerry.domain.webhook import (
    Attempt,
    AttemptOutcome,
    Delivery,
    RetrySchedule,
    Webhook,
    WebhookId,
    message_id,
    signed_headers,
)
from skerry.receipts.webhooks.ports import Posted, Poster, Seal, Transaction, secret_context

LONGEST_NAP = 15.0
"""Seconds between two looks at the tables, should every wake-up be lost."""
PACE = 0.05
"""Seconds between two looks, however many commits there are in between."""
PAGE = 200
"""Events that one look turns into deliveries of one webhook."""
GONE = 410
"""Standard Webhooks: whoever answers this wants to hear no more."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """How the sender works. Times in seconds."""

    schedule: RetrySchedule = field(default_factory=RetrySchedule)
    concurrency: int = 64
    """Requests at once."""
    per_webhook: int = 8
    """Of them to one webhook; while it fails, one."""
    most_pending: int = 1_000
    """Deliveries that may wait for one webhook; more events stay where they are until there is room."""
    lease: float = 60.0
    """After which a claimed delivery is due again; longer than a request may take."""


@dataclass(frozen=True, slots=True)
class _Look:
    """What there is to do."""

    pages: Mapping[WebhookId, EventPage]
    """Events that webhooks have not been looked at for."""
    due: Mapping[WebhookId, Millis]
    """When the next delivery to each is due."""
    slots: Mapping[WebhookId, int]
    """How many requests each may have at once."""


class WebhookSender:
    """Delivers until it is cancelled."""

    def __init__(
        self,
        store: UnitOfWork[Transaction],
        poster: Poster,
        seal: Seal,
        settings: WebhookSettings,
        *,
        clock: Callable[[], Millis],
        nap: Callable[[float], Awaitable[object]],
        wake: Callable[[], None],
        dice: Callable[[], float] = random.random,
    ) -> None:
        """`nap(seconds)` waits and ends early when `wake` was called, or when an event was committed."""
        self._store = store
        self._poster = poster
        self._seal = seal
        self._settings = settings
        self._clock = clock
        self._nap = nap
        self._wake = wake
        self._dice = dice
        self._busy: Counter[WebhookId] = Counter()
        self.outcomes: Counter[AttemptOutcome] = Counter()
        """Attempts by what became of them since the process began."""
        self.pending = 0
        """Deliveries to be made, as of the last look."""

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                deliveries, wait = await self.turn()
                for delivery in deliveries:
                    group.create_task(self._deliver(delivery))
                await asyncio.sleep(PACE)
                if wait > 0:
                    await self._nap(wait)

    async def turn(self) -> tuple[list[Delivery], float]:
        """Claim what is due; each of it must be given to `_deliver`. Also the seconds until there is more to do."""
        now = self._clock()
        look = await self._store.read(self._look)
        wait = self._until(look, now)
        if not look.pages and wait > 0:
            return [], wait
        busy = Counter(self._busy)
        claimed = await self._store.write(lambda tx: self._take(tx, look, busy, now))
        for delivery in claimed:
            self._busy[delivery.webhook.webhook_id] += 1
        return claimed, 0.0

    def _until(self, look: _Look, now: Millis) -> float:
        """Seconds until a webhook that can take a request has one; the others wake us when they are done with one."""
        if self._busy.total() >= self._settings.concurrency:
            return LONGEST_NAP
        times = [at for one, at in look.due.items() if self._busy[one] < look.slots.get(one, 0)]
        return min(max((min(times) - now) / 1000, 0.0), LONGEST_NAP) if times else LONGEST_NAP

    def _slots(self, webhook: Webhook) -> int:
        return 1 if webhook.failing_since is not None else self._settings.per_webhook

    def _look(self, tx: Transaction) -> _Look:
        self.pending = tx.webhooks.all_pending()
        newest = tx.events.span().newest
        pages = {}
        slots = {}
        for webhook in tx.webhooks.enabled():
            slots[webhook.webhook_id] = self._slots(webhook)
            room = self._settings.most_pending - tx.webhooks.pending(webhook.webhook_id)
            if webhook.cursor < newest and room > 0:
                page = tx.events.page(webhook.app_id, webhook.wanted, webhook.cursor, min(room, PAGE))
                pages[webhook.webhook_id] = page
        return _Look(pages, tx.webhooks.due(), slots)

    def _take(self, tx: Transaction, look: _Look, busy: Counter[WebhookId], now: Millis) -> list[Delivery]:
        until = Millis(now + int(self._settings.lease * 1000))
        free = self._settings.concurrency - busy.total()
        claimed: list[Delivery] = []
        # Those that answer first: where many fail, they must not take all there is.
        for webhook in sorted(tx.webhooks.enabled(), key=lambda one: one.failing_since is not None):
            page = look.pages.get(webhook.webhook_id)
            if page is not None and page.cursor > webhook.cursor:
                tx.webhooks.plan(webhook, [event.event_id for event in page.events], page.cursor, now)
            limit = min(self._slots(webhook) - busy[webhook.webhook_id], free - len(claimed))
            if limit > 0:
                claimed += tx.webhooks.claim(webhook, now, until, limit)
        return claimed

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            began, at = time.perf_counter(), self._clock()
            posted = await self._post(delivery, at)
            took = int((time.perf_counter() - began) * 1000)
            event_id = delivery.event.event_id
            attempt = Attempt(event_id, delivery.attempt + 1, at, took, posted.status, posted.error)
            self.outcomes[attempt.outcome] += 1
            try:
                await self._store.write(lambda tx: self._record(tx, delivery.webhook, attempt, posted))
            except OverloadedError:
                log.warning("a webhook's result could not be stored; it is told again", event_id=event_id)
        finally:
            self._busy[delivery.webhook.webhook_id] -= 1
            self._wake()

    async def _post(self, delivery: Delivery, at: Millis) -> Posted:
        webhook, sealed = delivery.webhook, delivery.secret
        context = secret_context(webhook.webhook_id)
        try:
            keys = [self._seal.open(sealed.current, context)]
            if sealed.old is not None and at < (sealed.old_until or 0):
                keys.append(self._seal.open(sealed.old, context))
        except Exception as error:  # noqa: BLE001 - an unsigned event must not leave, and the others must go on
            return Posted(error=f"the signing secret cannot be opened: {error}")
        body = msgspec.json.encode(delivery.event.described())
        headers = signed_headers(keys, message_id(delivery.event.event_id), at // 1000, body)
        return await self._poster.post(webhook.url, headers, body)

    def _record(self, tx: Transaction, told: Webhook, attempt: Attempt, posted: Posted) -> None:
        webhook = tx.webhooks.get(told.webhook_id)
        if webhook is None:  # removed while the request was under way
            return
        tx.webhooks.log(webhook.webhook_id, attempt)
        if attempt.outcome is AttemptOutcome.DELIVERED:
            tx.webhooks.forget(webhook.webhook_id, attempt.event_id)
            if webhook.failing_since is not None:
                tx.webhooks.save(replace(webhook, failing_since=None))
            return
        self._put_off(tx, webhook, attempt, posted.retry_after)
        since = webhook.failing_since or attempt.at
        reason = self._why_to_disable(attempt, since)
        if webhook.enabled and reason is not None:
            tx.webhooks.save(replace(webhook, enabled=False, failing_since=since, disabled_reason=reason))
            body = {"webhook": webhook.name, "reason": reason}
            tx.events.add(Event(webhook.app_id, EventKind.WEBHOOK_DISABLED, self._clock(), body=body))
        elif webhook.failing_since is None:
            tx.webhooks.save(replace(webhook, failing_since=since))

    def _put_off(self, tx: Transaction, webhook: Webhook, attempt: Attempt, retry_after: float | None) -> None:
        wait = self._settings.schedule.after(attempt.number, self._dice(), retry_after)
        due_at = Millis(self._clock() + int((wait or 0.0) * 1000))
        event_id = EventId(attempt.event_id)
        tx.webhooks.put_off(webhook.webhook_id, event_id, attempt.number, due_at, dead=wait is None)

    def _why_to_disable(self, attempt: Attempt, since: Millis) -> str | None:
        if attempt.status == GONE:
            return "the receiver answered 410 Gone"
        after = self._settings.schedule.disable_after
        if attempt.at - since >= after * 1000:
            return f"every attempt of the last {after / 3600:g} hours has failed"
        return None
