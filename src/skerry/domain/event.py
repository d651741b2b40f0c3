"""Events: what happened to activities, cards, tokens and revisions, as callers are told it.

An event is written in the very transaction that makes the change, so it exists if and only if the change does. A
fan-out writes none per push: there is one per revision when it is accepted, one when it has settled, and one per card
only where the card's fate changes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from typing import Any, NewType, Self

from skerry.domain.card import Card
from skerry.domain.chunk import count_verdicts
from skerry.domain.ids import ActivityId, AppId, CardNumber, DeviceId, Millis, RevisionNumber
from skerry.domain.receipt import Settled
from skerry.domain.revision import Revision, RevisionKind
from skerry.domain.schedule import ScheduledChange
from skerry.domain.verdict import Verdict

EventId = NewType("EventId", int)
"""Rising in the order of commits, over all apps; never used again."""


class EventKind(StrEnum):
    """What can happen, each with the sentence that explains it (the reference page repeats it; a test compares)."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> Self:
        """A member is its text, and carries its sentence."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    ACTIVITY_APPEARED = (
        "activity.appeared",
        "A device reported a group that nobody had started here: the app started it by itself.",
    )
    ACTIVITY_STARTED = "activity.started", "A start was accepted."
    ACTIVITY_UPDATED = "activity.updated", "An update was accepted."
    ACTIVITY_ENDED = "activity.ended", "An end was accepted, or came by itself: at its time, or after silence."
    ACTIVITY_RENEWED = (
        "activity.renewed",
        "Its cards are near Apple's limit of eight hours: newer ones are started on the same devices.",
    )
    REVISION_SETTLED = (
        "revision.settled",
        "Every card that a revision concerned has a verdict; they are counted. Once per revision.",
    )
    CARD_JOINED = "card.joined", "A device reported the first update token of a card: it can be updated from now on."
    CARD_ROTATED = "card.rotated", "A device reported a new update token in place of a card's old one."
    CARD_MOVED = "card.moved", "A card of a start without a group id got its name, and goes on in that activity."
    CARD_DISMISSED = "card.dismissed", "A card was closed on the device while its activity ran."
    CARD_ENDED = (
        "card.ended",
        "A card was closed on the device after its activity had ended, or a newer card had taken over.",
    )
    CARD_REFUSED = "card.refused", "A start was refused for good, or given up: the card never came to be."
    CARD_LOST = (
        "card.lost",
        "A card cannot be updated: APNs called its update token dead, or its device has never reported one.",
    )
    START_TOKEN_REPORTED = (
        "start_token.reported",
        "A device reported a new start token: activities can be started on it.",
    )
    START_TOKEN_LOST = "start_token.lost", "APNs called a device's start token dead: nothing can be started on it."
    SCHEDULE_DONE = "schedule.done", "A scheduled change was done at its time."
    SCHEDULE_FAILED = "schedule.failed", "A scheduled change could not be done at its time; nothing was changed."
    SCHEDULE_CANCELLED = "schedule.cancelled", "A scheduled change was cancelled before its time."
    SCRIPT_FAILED = "script.failed", "The next phase of a script could not be shown: the script is over."
    WEBHOOK_DISABLED = "webhook.disabled", "A webhook was switched off, because its receiver has failed for too long."


_REVISED = {
    RevisionKind.START: EventKind.ACTIVITY_STARTED,
    RevisionKind.UPDATE: EventKind.ACTIVITY_UPDATED,
    RevisionKind.END: EventKind.ACTIVITY_ENDED,
}

ACCEPTED = frozenset({*_REVISED.values(), EventKind.ACTIVITY_RENEWED})
"""A revision was accepted; `revision` in the body says which."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that has happened. `body` is small and JSON: what the ids beside it do not say."""

    app_id: AppId
    kind: EventKind
    at: Millis
    activity_id: ActivityId | None = None
    card: CardNumber | None = None
    device_id: DeviceId | None = None
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event as it is told: the numbers of the store replaced by the names that callers know, as they are now."""

    event_id: EventId
    kind: EventKind
    at: Millis
    activity: str | None
    """The activity's first name, or its number as `#12` where it has none."""
    card: CardNumber | None
    installation_id: str | None
    """None: it concerns no device, or the device has been erased since."""
    ext_id: str | None
    body: Mapping[str, Any]

    def described(self) -> dict[str, Any]:
        """As JSON: `type`, `timestamp` and `data` as Standard Webhooks has them, and the id to resume from."""
        who = {
            "activity": self.activity,
            "card": self.card,
            "installation_id": self.installation_id,
            "user": self.ext_id,
        }
        said = {name: value for name, value in who.items() if value is not None}
        return {
            "id": self.event_id,
            "type": self.kind.value,
            "timestamp": iso(self.at),
            "data": {**said, **self.body},
        }


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events somebody wants. An activity is meant by its name or its number, never both."""

    kinds: tuple[EventKind, ...] = ()
    """None of them: all."""
    activity_id: ActivityId | None = None
    activity_name: str | None = None
    """Looked up at every reading: the activity may come later than the wish."""
    device_id: DeviceId | None = None
    """Of an activity given by its number: what concerns this device, and the activity as a whole."""


@dataclass(frozen=True, slots=True)
class EventPage:
    """Some events, in order, and where to read on. The cursor may lie beyond the last one: the rest was not wanted."""

    events: Sequence[RecordedEvent]
    cursor: EventId
    more: bool


@dataclass(frozen=True, slots=True)
class EventSpan:
    """The oldest and the newest event that are kept; both 0: none has ever happened."""

    oldest: EventId
    newest: EventId


def revised(app_id: AppId, revision: Revision) -> Event:
    """A start, update or end of a caller's was accepted."""
    body = {"revision": revision.number, "priority": revision.priority, "alert": revision.alert is not None}
    return Event(app_id, _REVISED[revision.kind], revision.created_at, revision.activity_id, body=body)


def renewed(app_id: AppId, start: Revision) -> Event:
    """Newer cards are started in place of old ones."""
    body = {"revision": start.number}
    return Event(app_id, EventKind.ACTIVITY_RENEWED, start.created_at, start.activity_id, body=body)


def settled(
    app_id: AppId, activity_id: ActivityId, number: RevisionNumber, found: Settled, at: Millis
) -> Event:  # fmt: skip
    """A revision's last card has its verdict."""
    verdicts = {verdict.name.lower(): count for verdict, count in found.verdicts.items()}
    body: dict[str, Any] = {"revision": number, "verdicts": verdicts}
    if found.broadcast is not None:
        body["broadcast"] = found.broadcast.name.lower()
    if found.refusals:
        body["refused"] = dict(found.refusals)
    if found.misses:
        body["misses"] = dict(found.misses)
    return Event(app_id, EventKind.REVISION_SETTLED, at, activity_id, body=body)


def updated_as_text(number: RevisionNumber, priority: int, *, alert: bool) -> str:
    """The body of an accepted update, as JSON: for thousands at a time (see `revised`)."""
    return f'{{"revision":{number},"priority":{priority},"alert":{"true" if alert else "false"}}}'


def settled_alone(number: RevisionNumber, verdict: Verdict) -> str:
    """The body of a revision whose one card has come to this verdict, as JSON (see `settled`)."""
    return f'{{"revision":{number},"verdicts":{_alone(verdict)}}}'


@cache
def _alone(verdict: Verdict) -> str:
    counts = count_verdicts([(0, 0, bytes((verdict,)))])
    return "{" + ",".join(f'"{one.name.lower()}":{count}' for one, count in counts.items()) + "}"


def scheduled(
    change: ScheduledChange, kind: EventKind, activity_id: ActivityId | None, at: Millis, **body: Any
) -> Event:  # fmt: skip
    """What became of a scheduled change. Its activity may never have been."""
    said = {"schedule": change.schedule_id, "action": change.action.name.lower(), "at": iso(change.at)}
    return Event(change.app_id, kind, at, activity_id, body=said | body)


def script_failed(app_id: AppId, activity_id: ActivityId, at: Millis, code: str, detail: str) -> Event:
    """A script cannot go on."""
    return Event(app_id, EventKind.SCRIPT_FAILED, at, activity_id, body={"code": code, "detail": detail})


def of_card(app_id: AppId, kind: EventKind, card: Card, at: Millis, **body: Any) -> Event:
    """A card's fate has changed."""
    return Event(app_id, kind, at, card.activity_id, card.number, card.device_id, body)


def iso(at: Millis) -> str:
    """A moment as ISO 8601 in UTC, to the millisecond."""
    seconds, millis = divmod(at, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{millis:03d}Z"
