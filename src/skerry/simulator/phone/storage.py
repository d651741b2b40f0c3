"""What APNs keeps for a phone that is offline: one push per app, and one broadcast per channel that stores any.

The newest push wins its place (apple.md 3.8 and 5.2).
"""

from collections.abc import Iterator
from dataclasses import replace

from skerry.simulator.carrier import Broadcast, Delivery
from skerry.simulator.phone.push_log import PushLog
from skerry.simulator.phone.rules import CHANNEL_STORAGE_LIMIT_S, STORAGE_LIMIT_S
from skerry.simulator.phone.verdict import Dropped, PushRecord, Verdict


class Storage:
    """Holds at most one push for the app and one for each channel; what it turns away or loses gets its verdict."""

    def __init__(self, log: PushLog) -> None:
        self._log = log
        self._held: dict[str | None, tuple[PushRecord, Delivery | Broadcast]] = {}
        """By channel; None: the app's own place."""

    def hold(self, record: PushRecord, push: Delivery | Broadcast, now: float) -> PushRecord:
        """Keep the push for later, unless its `apns-expiration` or its channel forbids it."""
        if push.expiration == 0:
            why = "the phone is offline and apns-expiration 0 tells APNs not to store the push"
            return self._log.add(replace(record, verdict=Verdict.NOT_STORED, why=why))
        if push.expiration is not None and push.expiration <= now:
            return self._log.add(replace(record, verdict=Verdict.EXPIRED, why="apns-expiration has passed"))
        owner = "app" if record.channel is None else "channel"
        why = f"the phone was offline; APNs keeps one push per {owner}, and a newer one came"
        self._discard(record.channel, Dropped(Verdict.REPLACED_IN_STORAGE, why), now)
        stored = self._log.add(replace(record, why="the phone is offline; APNs keeps the push for it"))
        self._held[record.channel] = (stored, push)
        return stored

    def next_due(self) -> float | None:
        """When APNs throws the next held push away."""
        return min(map(_until, self._pushes()), default=None) if self._held else None

    def expire(self, now: float) -> None:
        """Throw away what has been held for too long."""
        for channel, (_, push) in [*self._held.items()] if self._held else ():
            if (until := _until(push)) <= now:
                why = "the phone was offline until the push had expired"
                self._discard(channel, Dropped(Verdict.EXPIRED, why), until)

    def discard_all(self, dropped: Dropped, now: float) -> None:
        """Throw away what is held, if anything."""
        for channel in [*self._held]:
            self._discard(channel, dropped, now)

    def take(self) -> list[tuple[PushRecord, Delivery | Broadcast]]:
        """Hand out what is held, in the order in which it came: the phone is back."""
        held, self._held = self._held, {}
        return sorted(held.values(), key=lambda one: one[0].number)

    def _pushes(self) -> Iterator[Delivery | Broadcast]:
        return (push for _, push in self._held.values())

    def _discard(self, channel: str | None, dropped: Dropped, now: float) -> None:
        if held := self._held.pop(channel, None):
            self._log.settle(replace(held[0], verdict=dropped.verdict, why=dropped.why, decided_at=now))


def _until(push: Delivery | Broadcast) -> float:
    """When APNs gives a push up: at its `apns-expiration`, or at the limit if that is earlier."""
    limit = CHANNEL_STORAGE_LIMIT_S if isinstance(push, Broadcast) else STORAGE_LIMIT_S
    latest = push.accepted_at + limit
    return latest if push.expiration is None else min(float(push.expiration), latest)
