"""The card: an activity on one device, `starting → live → (stale) → ended · dismissed · lost`.

Pure transitions for what a device reports and what APNs says of its token. *Stale* is not stored: it is the newest
revision's `stale-date` seen against the clock. Sources: netmera.md section 10 (Q4, Q14–Q17), apple.md 3.7, 4.6, 9.2.
"""

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

from skerry.domain.ids import ActivityId, CardNumber, DeviceId, Millis, RevisionNumber, Seconds

NO_ANSWER: Final = "NoAnswer"
"""Our word for a start that was written and never answered: of a card that still starts, the one before this."""

NO_TOKEN: Final = "NoToken"  # noqa: S105 - a reason
"""Our word for a card that was started, as far as APNs says, and whose device has never said an update token: of a card
that still starts, by the start before this."""

REPLACED_TOKEN: Final = "StartTokenReplaced"  # noqa: S105 - a reason
"""Our word for a start that went to a start token which the phone had replaced before, as it has told since: APNs says
200 to such a token, and nothing reaches the phone (apple.md 3.6)."""

RUNS_FOR: Millis = Millis(8 * 3600 * 1000)
"""Apple's limit for an activity. A card that was not heard of for longer runs no more: iOS need not wake its app to
say so. Until then one whose token never came runs, for all we know."""

LINGERS_FOR: Final = Millis(4 * 3600 * 1000)
"""For which Apple leaves a card on the Lock Screen after its end, unless that names an earlier time (apple.md 4.5)."""

LEAVES_WITHIN: Final = Millis(120_000)
"""Of that time: an app is not woken to the second."""


class CardStatus(IntEnum):
    """The stored part of a card's state."""

    STARTING = 1
    """A start is planned or sent; no update token yet."""
    LIVE = 2
    """The device has reported an update token, or was started on a channel."""
    ENDED = 3
    """Closed after the activity's own end."""
    DISMISSED = 4
    """Closed on the phone while the activity ran: a person's answer."""
    LOST = 5
    """Cannot be reached: its start was refused, no token ever came, or its token is dead and there is no newer one."""
    MOVED = 6
    """The device gave it a name that belongs to another activity; it lives on there."""
    RENEWED = 7
    """Its activity goes on in a newer card on the same device; a farewell ends this one."""

    @property
    def is_over(self) -> bool:
        """Nothing is sent to it any more unless the device reports a newer token."""
        return self not in (CardStatus.STARTING, CardStatus.LIVE)


@dataclass(frozen=True, slots=True)
class Card:
    """One card. `token_time` is when the device says it got the token; `registered_at` when we took it in."""

    activity_id: ActivityId
    number: CardNumber
    device_id: DeviceId
    status: CardStatus
    started_by: RevisionNumber
    """The start that made it; 0: the app started it by itself."""
    created_at: Millis
    token: str | None = None
    token_time: Millis | None = None
    registered_at: Millis | None = None
    closed_at: Millis | None = None
    """When it was over; of a live or renewed one: when a close was said that may be its own or its successor's."""
    reason: str | None = None
    """Why it is over, in the words of Apple's reason or ours; while it starts, why it is being started again."""
    started_late: bool = False
    """Its newest start was to go out later than the card was made: it waited, or is a repeat of one in doubt."""

    @property
    def awaits_token(self) -> bool:
        """It may be on the phone, and its first token may still come: also where it was given up for want of one."""
        given_up = self.status is CardStatus.LOST and self.reason in (NO_ANSWER, NO_TOKEN)
        return self.status is CardStatus.STARTING or given_up


@dataclass(frozen=True, slots=True)
class SilentCard:
    """A card that was started and has no token."""

    number: CardNumber
    device_id: DeviceId
    may_have_reported: bool
    """The device may have said something since the card was made, though not the card's token."""


class TokenReport(IntEnum):
    """What a token report meant to a card."""

    STALE = 0
    """Older than what is known, or after the card was closed: nothing changes."""
    REPEATED = 1
    """The token that is known: free."""
    JOINED = 2
    """The first token: the card is live from now on."""
    ROTATED = 3
    """A newer token in place of the old one."""


def report_token(card: Card, token: str, time: Millis, now: Millis) -> tuple[Card, TokenReport]:
    """The newest report wins, a repeated one is free.

    A closed card opens again only for a report that is later than its close: an app that re-observes its activities
    says their tokens again, and events may arrive in any order. A lost one was never closed on the phone: its first
    token says that it is there after all, whenever that comes, and so does one that is newer than the dead one, though
    the phone got it before APNs told us. Where a start in doubt was repeated the phone may have two cards: after the
    end of the one, another token from before its close may be the other's, which the end has yet to reach.
    """
    if card.status in (CardStatus.LIVE, CardStatus.RENEWED) and card.token == token:
        return card, TokenReport.REPEATED
    if card.token_time is not None and time < card.token_time:
        return card, TokenReport.STALE
    known = card.token_time if card.status is CardStatus.LOST else card.closed_at
    if known is not None and card.status.is_over and time <= known and not _may_be_twins(card, time):
        return card, TokenReport.STALE
    if card.status is CardStatus.MOVED:
        return card, TokenReport.STALE
    outcome = TokenReport.JOINED if card.token is None else TokenReport.ROTATED
    return (
        replace(
            card,
            status=CardStatus.LIVE,
            token=token,
            token_time=time,
            registered_at=now,
            closed_at=None,
            reason=None,
        ),
        outcome,
    )


def _may_be_twins(card: Card, time: Millis) -> bool:
    """Whether a token of that time may be of another card than the one that has ended."""
    ended = card.status is CardStatus.ENDED and card.started_late
    return ended and card.token_time is not None and time > card.token_time


def close(card: Card, time: Millis, *, activity_ended: bool) -> Card:
    """The app says the activity is closed on this device.

    A close that follows our own end is an echo, not a person's wish. A close older than the newest token report is
    late: the activity it speaks of has been replaced.
    """
    if card.status.is_over and card.status is not CardStatus.LOST:
        return card
    if card.token_time is not None and time < card.token_time:
        return card
    status = CardStatus.ENDED if activity_ended else CardStatus.DISMISSED
    return replace(card, status=status, token=None, closed_at=time, reason=None)


def has_left(card: Card, dismissal_date: Seconds | None, time: Millis, next_made_at: Millis) -> bool:
    """Whether a close of that time is the second one of a card that has ended, said when it leaves the Lock Screen.

    `dismissal_date`: what the end has said of it. `next_made_at`: when the device's next card was made. Where the end
    took the card off at once, a close that is later than that is the next one's.
    """
    if card.status is not CardStatus.ENDED or card.closed_at is None:
        return False
    leaves_at = card.closed_at + LINGERS_FOR
    if dismissal_date is not None:
        leaves_at = max(card.closed_at, min(leaves_at, dismissal_date * 1000))
    if leaves_at == card.closed_at and time >= next_made_at:
        return False
    return abs(time - leaves_at) <= LEAVES_WITHIN


def lose_token(card: Card, token: str, reason: str, invalid_since: Millis | None, at: Millis) -> Card:
    """APNs called the token dead.

    Only the token that was pushed to is removed, and with a 410 only if Apple's timestamp is later than its
    registration: the app may have reported the same token again since (architecture, invariant 6).
    """
    if card.token != token or card.status.is_over:
        return card
    if invalid_since is not None and card.registered_at is not None and invalid_since <= card.registered_at:
        return card
    return replace(card, status=CardStatus.LOST, token=None, closed_at=at, reason=reason)


def refuse_start(card: Card, reason: str, at: Millis) -> Card:
    """The start was refused for good, or given up: the card never came to be."""
    if card.status is not CardStatus.STARTING:
        return card
    return replace(card, status=CardStatus.LOST, closed_at=at, reason=reason)


def miss_start(card: Card, at: Millis) -> Card:
    """The start went to a token that the phone had replaced by then: the card never came to be.

    One without a token that is live was started on a channel.
    """
    if card.token is not None or card.status not in (CardStatus.STARTING, CardStatus.LIVE):
        return card
    return replace(card, status=CardStatus.LOST, closed_at=at, reason=REPLACED_TOKEN)
