"""Device reports in: who says what of which device, and what of it is believed.

Rules: the newest report wins and a repeated one is free (netmera.md Q15, Q18; apple.md 9.2); a device speaks only for
itself (architecture, invariant 10).
"""

import hashlib
import hmac
from dataclasses import replace
from typing import Generic, TypeVar

from skerry.domain.device import (
    ACTIVE_STEP,
    Device,
    DeviceEvent,
    DeviceEventKind,
    DeviceReport,
    StartToken,
    TokenClaim,
    claim,
)
from skerry.domain.errors import UnprovedUserError, WrongSecretError
from skerry.domain.event import Event, EventKind
from skerry.domain.ids import AppId, DeviceId, Millis, UserId
from skerry.registry.ports import CardEvents, Transaction

TxT = TypeVar("TxT", bound=Transaction)

ACCEPTED, REPEATED, STALE = "accepted", "repeated", "stale"
TAKEN = "refused: the token belongs to another installation"


class Reports(Generic[TxT]):
    """Applies reports within a transaction."""

    def __init__(self, cards: CardEvents[TxT]) -> None:
        self._cards = cards

    def apply(self, tx: TxT, app_id: AppId, report: DeviceReport, now: Millis) -> tuple[str, ...]:
        """Store what the report says of the device, and carry out its events; one outcome per event.

        Raises:
            WrongSecretError: if the installation is bound to another secret.
            UnprovedUserError: if it claims a user without the proof that the app asks for.
        """
        known = tx.devices.find(app_id, report.installation_id)
        device = self.device(tx, app_id, report, known, now)
        outcomes = [STALE] * len(report.events)
        # As they happened: an app that empties its queue may have mixed them up.
        for place, event in sorted(enumerate(report.events), key=lambda one: one[1].time):
            outcomes[place] = self.event(tx, device, event, now)
        startable = any(
            event.kind is DeviceEventKind.START_TOKEN and outcome == ACCEPTED
            for event, outcome in zip(report.events, outcomes, strict=True)
        )
        moved = report.location is not None or report.forget_location
        if startable or moved or (known is not None and known.user_id != device.user_id):
            self._cards.on_reachable(tx, device, now)
        return tuple(outcomes)

    def device(self, tx: TxT, app_id: AppId, report: DeviceReport, known: Device | None, now: Millis) -> Device:
        """The reporting device, brought up to date; made where it was not known."""
        if known is None:
            fresh = Device(DeviceId(0), app_id, report.installation_id, last_active_at=now)
            known = replace(fresh, device_id=tx.devices.add(fresh, now))
        said = hashlib.sha256(report.secret.encode()).digest() if report.secret else None
        if known.secret_hash is not None and not hmac.compare_digest(known.secret_hash, said or b""):
            raise WrongSecretError("the installation is bound to another secret")
        device = replace(
            known,
            secret_hash=known.secret_hash or said,
            platform=report.platform or known.platform,
            os_version=report.os_version or known.os_version,
            app_version=report.app_version or known.app_version,
            model=report.model or known.model,
            push_token=report.push_token or known.push_token,
            language=report.language or known.language,
        )
        if report.environment is not None and report.environment is not known.environment:
            device = replace(device, environment=report.environment, environment_proved=False)
            tx.devices.forget_tried_environment(device.device_id)
        if report.ext_id is not None:
            device = replace(device, user_id=self._user(tx, known, report.ext_id, proved=report.user_proved, now=now))
        if device != known or now - known.last_active_at > ACTIVE_STEP or _was_overtaken(tx, device):
            device = replace(device, last_active_at=now)
            tx.devices.save(device)
        if report.forget_location:
            tx.devices.forget_location(device.device_id)
        if report.location is not None:
            tx.devices.locate(app_id, device.device_id, report.location)
        return device

    def _user(self, tx: TxT, known: Device, ext_id: str, *, proved: bool, now: Millis) -> UserId | None:
        """Whose device it is from now on; who is signed in already needs no new proof."""
        if not ext_id:
            return None
        if not proved:
            user = tx.users.find(known.app_id, ext_id)
            if user is None or user != known.user_id:
                raise UnprovedUserError("the app asks for a token of the user")
        return tx.users.ensure(known.app_id, ext_id, now)

    def event(self, tx: TxT, device: Device, event: DeviceEvent, now: Millis) -> str:
        """Carry out one event of a device."""
        if event.kind is DeviceEventKind.CLOSE:
            return self._cards.on_close(tx, device, event, now)
        if event.token is None:
            return STALE
        if not self._may_hold(tx, device, event.token, now):
            return TAKEN
        if event.kind is DeviceEventKind.START_TOKEN:
            outcome = self._start_token(tx, device, event, event.token, now)
        else:
            outcome = self._cards.on_update_token(tx, device, event, now)
        if outcome == ACCEPTED:
            tx.devices.forget_tried_environment(device.device_id)
        return outcome

    def _may_hold(self, tx: TxT, device: Device, token: str, now: Millis) -> bool:
        held = tx.devices.holder(device.app_id, token)
        if held is None or held[0] == device.device_id:
            return True
        holder = tx.devices.get(held[0])
        active = holder.last_active_at if holder is not None else Millis(0)
        if claim(active, holder_token_dead=held[1], now=now) is TokenClaim.REFUSED:
            return False
        for activity_id, number in tx.devices.release_token(device.app_id, held[0], token):
            body = {"reason": "TokenMoved"}
            tx.events.add(Event(device.app_id, EventKind.CARD_LOST, now, activity_id, number, held[0], body))
        return True

    def _start_token(self, tx: TxT, device: Device, event: DeviceEvent, token: str, now: Millis) -> str:
        kind = event.attributes_type or ""
        known = tx.devices.start_token(device.app_id, device.device_id, kind)
        if known is not None:
            if known.token == token and known.dead_reason is None:
                return REPEATED
            if event.time < known.token_time or (known.token == token and event.time == known.token_time):
                return STALE
        tx.devices.save_start_token(
            device.app_id, StartToken(device.device_id, kind, token, token_time=event.time, registered_at=now)
        )
        if known is not None and known.token != token:
            # By how much our clock is ahead of the phone's the report of the one before tells: by no more than it took.
            since = Millis(event.time + max(0, known.registered_at - known.token_time))
            self._cards.on_replaced_start_token(tx, device, token, since, now)
        body = {"attributes_type": kind} if kind else {}
        tx.events.add(Event(device.app_id, EventKind.START_TOKEN_REPORTED, now, device_id=device.device_id, body=body))
        return ACCEPTED


def _was_overtaken(tx: Transaction, device: Device) -> bool:
    """Whether another device of its user was active later: `lastActiveDevice` asks which one was last."""
    if device.user_id is None:
        return False
    latest = next(iter(tx.devices.of_user(device.user_id)), None)
    return latest is not None and latest.device_id != device.device_id
