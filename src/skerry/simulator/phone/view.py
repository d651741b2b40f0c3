"""A phone as JSON: what the simulator's API shows and the Lock Screen is drawn from.

States and attributes are embedded byte for byte as they arrived: `1` is not `1.0` on the way to a reader either.
"""

from typing import Any

import msgspec

from skerry.simulator.phone.card import Card
from skerry.simulator.phone.phone import Phone
from skerry.simulator.phone.reporter import ReporterStatus
from skerry.simulator.phone.verdict import PushRecord


def phone_summary(phone: Phone) -> dict[str, Any]:
    """One row of the list. `cards` counts what is on the Lock Screen."""
    return {
        "id": phone.id,
        "user": phone.user,
        "environment": phone.handset.environment,
        "bundle_id": phone.handset.bundle_id,
        "os_version": phone.handset.os_version,
        "device_model": phone.handset.device_model,
        "installation_id": phone.installation.id if phone.installation else None,
        "online": phone.is_online,
        "activities_enabled": phone.activities_enabled,
        "start_token": phone.start_token,
        "cards": len(phone.visible_cards),
        "pushes": phone.log.received,
    }


def phone_detail(phone: Phone, reporter: ReporterStatus | None = None) -> dict[str, Any]:
    """Everything: all remembered cards, the dismissed ones too, and the latest pushes, both oldest first."""
    return {
        **phone_summary(phone),
        "attributes_types": None if phone.types is None else sorted(phone.types),
        "cards": [_card(card) for card in phone.cards],
        "pushes": [_push(record) for record in phone.log.records],
        "pushes_received": phone.log.received,
        "verdicts": {verdict.value: count for verdict, count in sorted(phone.log.counts.items())},
        "reports": {
            "policy": phone.policy,
            "on_phone": phone.reports_waiting,
            "waiting": reporter.waiting if reporter else 0,
            "sent": reporter.sent if reporter else 0,
            "retries": reporter.retries if reporter else 0,
            "dropped": reporter.dropped if reporter else 0,
            "notes": list(reporter.notes) if reporter else [],
        },
    }


def _card(card: Card) -> dict[str, Any]:
    return {
        "id": card.id,
        "group_id": card.group_id,
        "attributes_type": card.attributes_type,
        "attributes": msgspec.Raw(card.attributes),
        "content_state": msgspec.Raw(card.content_state),
        "content_state_raw": card.content_state.decode(),
        "status": card.status,
        "alert": card.alert,
        "timestamp": card.timestamp,
        "started_at": card.started_at,
        "updated_at": card.updated_at,
        "stale_date": card.stale_date,
        "relevance_score": card.relevance_score,
        "channel": card.channel,
        "update_token": card.update_token,
        "ended_by": card.ended_by,
        "ended_at": card.ended_at,
        "dismiss_at": card.dismiss_at,
        "dismissed_at": card.dismissed_at,
    }


def _push(record: PushRecord) -> dict[str, Any]:
    return {**msgspec.to_builtins(record), "dropped": record.verdict.is_dropped}
