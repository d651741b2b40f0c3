"""Webhooks as the API uses them."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import msgspec

from skerry.domain.commands import Idempotency
from skerry.domain.errors import FieldRefusedError
from skerry.domain.event import EventId
from skerry.domain.ids import AppId, Millis
from skerry.domain.receipt import Slice
from skerry.domain.repeats import once
from skerry.domain.unit_of_work import UnitOfWork
from skerry.domain.webhook import (
    Attempt,
    DeadLetter,
    SealedSecret,
    Webhook,
    WebhookId,
    WebhookState,
    WebhookWish,
    new_secret,
    secret_text,
)
from skerry.receipts.webhooks.addresses import AddressRules
from skerry.receipts.webhooks.ports import Seal, Transaction, secret_context

Count = TypeVar("Count", bool, int)

OLD_SECRET_FOR = 24 * 3600 * 1000
"""Milliseconds after a rotation in which deliveries are signed with the old secret too."""


class Webhooks:
    """Every method returns once its effect is on disk; None: the app has no webhook of this name."""

    def __init__(
        self,
        store: UnitOfWork[Transaction],
        seal: Seal,
        rules: AddressRules,
        *,
        most_per_app: int,
        clock: Callable[[], Millis],
        wake: Callable[[], None],
    ) -> None:
        self._store = store
        self._seal = seal
        self._rules = rules
        self._most = most_per_app
        self._clock = clock
        self._wake = wake

    async def put(
        self, app_id: AppId, name: str, wish: WebhookWish, *, idempotency: Idempotency | None = None
    ) -> tuple[WebhookState, str | None]:
        """Make a webhook, or change the one that is there. A new one has a secret, which is shown here and never again.

        A new one is told of what happens from now on; one that is switched on again, of what happened meanwhile too,
        as far as it is kept.

        Raises:
            FieldRefusedError: if the URL may not be used, or the app has as many webhooks as it may.
            IdempotencyConflictError: here as in each method that takes a key: if it was used for another request.
        """
        self._rules.check(wish.url)

        def put(tx: Transaction) -> tuple[WebhookState, str | None]:
            known = tx.webhooks.named(app_id, name)
            if known is None:
                return self._add(tx, app_id, name, wish)
            changed = replace(
                known,
                url=wish.url,
                kinds=wish.kinds,
                activity=wish.activity,
                enabled=wish.enabled,
                failing_since=None,
                disabled_reason=None,
            )
            tx.webhooks.save(changed)
            return tx.webhooks.state(changed), None

        def work(tx: Transaction) -> tuple[WebhookState, str | None]:
            return once(
                tx.notifications, app_id, idempotency, self._clock(), lambda: put(tx),
                write=_state_text, read=lambda text: self._read_state(tx, text),
            )  # fmt: skip

        found = await self._store.write(work)
        self._wake()
        return found

    async def get(self, app_id: AppId, name: str) -> WebhookState | None:
        """One webhook, and what waits for it."""

        def work(tx: Transaction) -> WebhookState | None:
            found = tx.webhooks.named(app_id, name)
            return None if found is None else tx.webhooks.state(found)

        return await self._store.read(work)

    async def list(self, app_id: AppId) -> list[WebhookState]:
        """An app's webhooks, by name."""
        return await self._store.read(lambda tx: [tx.webhooks.state(one) for one in tx.webhooks.of_app(app_id)])

    async def delete(self, app_id: AppId, name: str, *, idempotency: Idempotency | None = None) -> bool:
        """Forget a webhook, its log and what waits for it; False: there is none."""

        def delete(tx: Transaction) -> bool | None:
            found = tx.webhooks.named(app_id, name)
            if found is None:
                return None
            tx.webhooks.remove(found.webhook_id)
            return True

        return bool(await self._once(app_id, idempotency, delete))

    async def rotate(self, app_id: AppId, name: str, *, idempotency: Idempotency | None = None) -> str | None:
        """Give it a new secret, shown here and never again; the old one signs beside it for a day.

        A repeat is shown the secret that holds by then.
        """

        def rotate(tx: Transaction) -> str | None:
            found = tx.webhooks.named(app_id, name)
            if found is None:
                return None
            old = tx.webhooks.secret(found.webhook_id).current
            return self._give_secret(tx, found.webhook_id, old, Millis(self._clock() + OLD_SECRET_FOR))

        def known(tx: Transaction) -> str | None:
            found = tx.webhooks.named(app_id, name)
            return None if found is None else self._secret(tx, found.webhook_id)

        def work(tx: Transaction) -> str | None:
            return once(
                tx.notifications, app_id, idempotency, self._clock(), lambda: rotate(tx),
                write=lambda secret: None if secret is None else "",  # the secret itself is only kept sealed
                read=lambda _: known(tx),
            )  # fmt: skip

        return await self._store.write(work)

    async def attempts(
        self, app_id: AppId, name: str, *, before: int, maximum: int
    ) -> Slice[tuple[int, Attempt]] | None:  # fmt: skip
        """The log, the newest first: attempts with numbers below `before`, each with its number."""

        def work(tx: Transaction) -> Slice[tuple[int, Attempt]] | None:
            webhook = tx.webhooks.named(app_id, name)
            if webhook is None:
                return None
            found = tx.webhooks.attempts(webhook.webhook_id, before, maximum + 1)
            return Slice.of(found, maximum)

        return await self._store.read(work)

    async def dead_letters(self, app_id: AppId, name: str, *, after: EventId, maximum: int) -> Slice[DeadLetter] | None:
        """What was given up, by event."""

        def work(tx: Transaction) -> Slice[DeadLetter] | None:
            webhook = tx.webhooks.named(app_id, name)
            if webhook is None:
                return None
            found = tx.webhooks.dead(webhook, after, maximum + 1)
            return Slice.of(found, maximum)

        return await self._store.read(work)

    async def resend(
        self, app_id: AppId, name: str, event_id: EventId, *, idempotency: Idempotency | None = None
    ) -> bool | None:
        """Tell it of one event, again if need be, whatever kinds it wants; False: there is no such event any more."""

        def resend(tx: Transaction) -> bool | None:
            webhook = tx.webhooks.named(app_id, name)
            if webhook is None:
                return None
            if tx.events.one(app_id, event_id) is None:
                return False
            tx.webhooks.tell(webhook.webhook_id, [event_id], self._clock())
            return True

        found = await self._once(app_id, idempotency, resend)
        self._wake()
        return found

    async def replay(self, app_id: AppId, name: str, *, idempotency: Idempotency | None = None) -> int | None:
        """Tell it of everything that was given up; how many events that is."""

        def replay(tx: Transaction) -> int | None:
            webhook = tx.webhooks.named(app_id, name)
            return None if webhook is None else tx.webhooks.replay(webhook.webhook_id, self._clock())

        found = await self._once(app_id, idempotency, replay)
        self._wake()
        return found

    def _add(self, tx: Transaction, app_id: AppId, name: str, wish: WebhookWish) -> tuple[WebhookState, str]:
        if tx.webhooks.count(app_id) >= self._most:
            raise FieldRefusedError("name", f"is one more than the {self._most} an app may have", "remove another")
        fresh = Webhook(
            webhook_id=WebhookId(0),
            app_id=app_id,
            name=name,
            url=wish.url,
            created_at=self._clock(),
            kinds=wish.kinds,
            activity=wish.activity,
            enabled=wish.enabled,
            cursor=tx.events.span().newest,
        )
        stored = replace(fresh, webhook_id=tx.webhooks.add(fresh))
        return tx.webhooks.state(stored), self._give_secret(tx, stored.webhook_id)

    async def _once(
        self, app_id: AppId, idempotency: Idempotency | None, work: Callable[[Transaction], Count | None]
    ) -> Count | None:
        """For answers that JSON knows; what has found nothing is not remembered."""
        return await self._store.write(
            lambda tx: once(
                tx.notifications, app_id, idempotency, self._clock(), lambda: work(tx),
                write=_count_text, read=msgspec.json.decode,
            )
        )  # fmt: skip

    def _read_state(self, tx: Transaction, text: str) -> tuple[WebhookState, str | None]:
        state, created = _states.decode(text)
        known = tx.webhooks.named(state.webhook.app_id, state.webhook.name) if created else None
        same = known is not None and known.webhook_id == state.webhook.webhook_id
        return state, self._secret(tx, state.webhook.webhook_id) if same else None

    def _secret(self, tx: Transaction, webhook_id: WebhookId) -> str:
        sealed = tx.webhooks.secret(webhook_id).current
        return secret_text(self._seal.open(sealed, secret_context(webhook_id)))

    def _give_secret(
        self, tx: Transaction, webhook_id: WebhookId, old: bytes | None = None, old_until: Millis | None = None
    ) -> str:
        secret = new_secret()
        sealed = self._seal.seal(secret, secret_context(webhook_id))
        tx.webhooks.save_secret(webhook_id, SealedSecret(sealed, old, old_until))
        return secret_text(secret)


_states = msgspec.json.Decoder(tuple[WebhookState, bool])


def _state_text(found: tuple[WebhookState, str | None]) -> str:
    """Without the secret, which is only kept sealed."""
    return msgspec.json.encode((found[0], found[1] is not None)).decode()


def _count_text(found: int | None) -> str | None:
    return None if found is None or found is False else msgspec.json.encode(found).decode()
