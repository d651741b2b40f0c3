"""One Live Activity on one phone: `live → (stale) → ended → dismissed`, never back from ended (apple.md 4.5)."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from skerry.simulator.phone.rules import ACTIVE_LIMIT_S, LINGER_LIMIT_S


class CardStatus(StrEnum):
    """ActivityKit's `ActivityState`, in our words."""

    LIVE = "live"
    STALE = "stale"
    """Still live, and past its stale-date."""
    ENDED = "ended"
    """No longer updated, still on the Lock Screen."""
    DISMISSED = "dismissed"


class EndCause(StrEnum):
    """Who ended or removed a card."""

    PUSH = "push"
    SYSTEM = "system"
    """The eight-hour wall."""
    PERSON = "person"
    """Swiped away, or Live Activities switched off."""
    APP_DELETED = "app_deleted"


@dataclass(slots=True)
class Card:
    """A card and its clocks. JSON texts are kept byte for byte as the app received them."""

    id: str
    """ActivityKit's `activity.id`."""
    group_id: str
    attributes_type: str
    attributes: bytes
    content_state: bytes
    started_at: float
    updated_at: float
    timestamp: float | None
    """The newest `aps.timestamp` shown; None for a card that the app started and no push has reached."""
    alert: dict[str, Any] | None = None
    """The last alert shown with it."""
    stale_date: float | None = None
    relevance_score: float | None = None
    channel: str | None = None
    update_token: str | None = None
    status: CardStatus = CardStatus.LIVE
    ended_by: EndCause | None = None
    ended_at: float | None = None
    dismiss_at: float | None = None
    dismissed_at: float | None = None

    @property
    def is_running(self) -> bool:
        """True while pushes may change it."""
        return self.status in {CardStatus.LIVE, CardStatus.STALE}

    @property
    def is_visible(self) -> bool:
        """True while it is on the Lock Screen."""
        return self.status is not CardStatus.DISMISSED

    def show(self, content_state: bytes, timestamp: float, stale_date: float | None, now: float) -> None:
        """Replace the state. A state without a stale-date does not become stale."""
        assert self.is_running, "an ended card takes no updates"
        self.content_state = content_state
        self.timestamp = timestamp
        self.updated_at = now
        self.stale_date = stale_date
        self.status = CardStatus.LIVE
        self._note_staleness(now)

    def end(self, cause: EndCause, now: float, dismissal_date: float | None = None) -> None:
        """End it. It leaves the Lock Screen at `dismissal_date`: at once if that is past, within four hours."""
        assert self.is_running, "a card ends once"
        latest = now + LINGER_LIMIT_S
        self.status = CardStatus.ENDED
        self.ended_by = cause
        self.ended_at = now
        self.dismiss_at = latest if dismissal_date is None else min(dismissal_date, latest)
        if self.dismiss_at <= now:
            self.dismiss(cause, now)

    def dismiss(self, cause: EndCause, now: float) -> None:
        """Take it off the Lock Screen, for good."""
        assert self.is_visible, "a card is dismissed once"
        self.status = CardStatus.DISMISSED
        self.ended_by = self.ended_by or cause
        self.ended_at = self.ended_at if self.ended_at is not None else now
        self.dismissed_at = now

    def next_due(self) -> float | None:
        """When the next thing happens by itself, UNIX seconds."""
        match self.status:
            case CardStatus.LIVE:
                wall = self.started_at + ACTIVE_LIMIT_S
                return wall if self.stale_date is None else min(wall, self.stale_date)
            case CardStatus.STALE:
                return self.started_at + ACTIVE_LIMIT_S
            case CardStatus.ENDED:
                return self.dismiss_at
            case CardStatus.DISMISSED:
                return None

    def pass_time(self, now: float) -> Iterator[tuple[float, CardStatus]]:
        """Let everything happen that was due up to `now`, each at its own moment and in order.

        Yields:
            The moment and the status then reached.
        """
        while (due := self.next_due()) is not None and due <= now:
            if self.status is CardStatus.ENDED:
                self.dismiss(EndCause.SYSTEM, due)
            elif due >= self.started_at + ACTIVE_LIMIT_S:
                self.end(EndCause.SYSTEM, due)
            else:
                self._note_staleness(due)
            yield due, self.status

    def _note_staleness(self, now: float) -> None:
        if self.status is CardStatus.LIVE and self.stale_date is not None and self.stale_date <= now:
            self.status = CardStatus.STALE
