"""The one place APNs has for an app's pushes to a phone that is offline: the newest push wins it (apple.md 3.8)."""

from dataclasses import replace

from skerry.simulator.carrier import Delivery
from skerry.simulator.phone.push_log import PushLog
from skerry.simulator.phone.rules import STORAGE_LIMIT_S
from skerry.simulator.phone.verdict import Dropped, PushRecord, Verdict


class StorageSlot:
    """Holds at most one push; what it turns away or loses gets its verdict in the log."""

    def __init__(self, log: PushLog) -> None:
        self._log = log
        self._held: tuple[PushRecord, Delivery] | None = None

    def hold(self, record: PushRecord, delivery: Delivery, now: float) -> PushRecord:
        """Keep the push for later, unless its `apns-expiration` forbids it."""
        if delivery.expiration == 0:
            why = "the phone is offline and apns-expiration 0 tells APNs not to store the push"
            return self._log.add(replace(record, verdict=Verdict.NOT_STORED, why=why))
        if delivery.expiration is not None and delivery.expiration <= now:
            return self._log.add(replace(record, verdict=Verdict.EXPIRED, why="apns-expiration has passed"))
        self.discard(
            Dropped(
                Verdict.REPLACED_IN_STORAGE, "the phone was offline; APNs keeps one push per app, and a newer one came"
            ),
            now,
        )
        stored = self._log.add(replace(record, why="the phone is offline; APNs keeps the push for it"))
        self._held = (stored, delivery)
        return stored

    def until(self) -> float | None:
        """When APNs throws the held push away: `apns-expiration`, after 30 days at the latest."""
        if self._held is None:
            return None
        delivery = self._held[1]
        latest = delivery.accepted_at + STORAGE_LIMIT_S
        return latest if delivery.expiration is None else min(float(delivery.expiration), latest)

    def expire(self, now: float) -> None:
        """Throw the held push away if its time has come."""
        until = self.until()
        if until is not None and until <= now:
            self.discard(Dropped(Verdict.EXPIRED, "the phone was offline until the push had expired"), until)

    def discard(self, dropped: Dropped, now: float) -> None:
        """Throw away what is held, if anything."""
        if self._held is not None:
            (record, _), self._held = self._held, None
            self._log.settle(replace(record, verdict=dropped.verdict, why=dropped.why, decided_at=now))

    def take(self) -> tuple[PushRecord, Delivery] | None:
        """Hand out what is held: the phone is back."""
        held, self._held = self._held, None
        return held
