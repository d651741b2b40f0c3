"""Whether a push reaches the screen: iOS's rules, in the order this phone applies them.

Apple documents the rules and not their order; tests should break one at a time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from skerry.simulator.carrier import Broadcast, Delivery, TokenKind
from skerry.simulator.phone.aps import Event, LiveActivityPush, UnreadablePush
from skerry.simulator.phone.card import Card, CardStatus
from skerry.simulator.phone.push_log import Budget
from skerry.simulator.phone.rules import CARD_SIZE_LIMIT, CHANNEL_OS, HOUR_S, START_OS, UPDATE_OS, OsVersion, PhoneRules
from skerry.simulator.phone.swift_decoder import Decoded, DecodingError, decode
from skerry.simulator.phone.swift_types import AttributesType, Struct
from skerry.simulator.phone.tokens import TokenLife
from skerry.simulator.phone.verdict import Dropped, Verdict

_FAR_FUTURE_S = 20 * 365 * 86_400.0
"""A decoded date this far ahead was most likely UNIX seconds in a Swift `Date`: 31 years off (apple.md 8, 2)."""


_REMEMBERED_STATES = 256
_EXPIRED = Dropped(Verdict.EXPIRED, "apns-expiration has passed")


@dataclass(frozen=True, slots=True)
class Decision:
    """A push that reaches the screen."""

    verdict: Verdict
    why: str
    push: LiveActivityPush
    attributes: Any = None
    """As the app decoded them; only for a start."""
    gets_token: bool = False
    """Only for a start: iOS makes an update token for the new activity."""
    notes: tuple[str, ...] = ()


def group_id_of(attributes: Any) -> str | None:
    """The group id the app reports: `netmeraGroupId` (Swift SDK), else `referenceId` (former SDK), else none.

    Taken from the attributes as decoded: an app whose struct lacks the field cannot report it (netmera.md 4).
    """
    if isinstance(attributes, dict):
        for key in ("netmeraGroupId", "referenceId"):
            value = attributes.get(key)
            if isinstance(value, (str, int)) and not isinstance(value, bool) and value != "":
                return str(value)
    return None


class Judge:
    """The rules of one phone, with its two budgets."""

    def __init__(self, rules: PhoneRules, os_version: OsVersion, types: Mapping[str, AttributesType] | None) -> None:
        self._rules = rules
        self._os = os_version
        self._types = types
        self._starts = Budget(rules.start_budget, rules.start_budget_window_s)
        self._priority10 = Budget(rules.priority10_budget, HOUR_S)

    def refused_unread(
        self, delivery: Delivery, life: TokenLife | None, now: float, *, installed: bool
    ) -> Dropped | None:
        """Reasons that do not depend on the payload."""
        if not installed:
            return Dropped(Verdict.APP_DELETED, "the app is no longer on the phone; APNs will learn it and answer 410")
        if life is None:
            return Dropped(Verdict.UNKNOWN_TOKEN, "this phone never had that token")
        if delivery.push_type != "liveactivity" or life.kind is TokenKind.DEVICE:
            return Dropped(Verdict.NOT_LIVE_ACTIVITY, "an ordinary notification; this phone only shows Live Activities")
        if delivery.expiration and delivery.expiration <= now:
            return _EXPIRED
        if not life.is_current:
            return Dropped(
                Verdict.ROTATED_TOKEN, "the token has been replaced by a newer one; use the last reported one"
            )
        return None

    def judge(
        self, push: LiveActivityPush, life: TokenLife, card: Card | None, priority: int, now: float, *, enabled: bool
    ) -> Decision | Dropped:
        """Decide on a readable push that came with a current token."""
        if (push.event is Event.START) is not (life.kind is TokenKind.START):
            needed = "push-to-start" if push.event is Event.START else "update"
            why = f"aps.event {push.event.value!r} came to a {life.kind.value} token; it needs the {needed} token"
            return Dropped(Verdict.WRONG_TOKEN_KIND, why)
        if dropped := self._refused_any(push, now, enabled=enabled):
            return dropped
        if push.event is Event.START:
            return self._judge_start(push, now)
        return self._judge_change(push, card, priority, now)

    def judge_broadcast(
        self,
        push: LiveActivityPush | UnreadablePush,
        broadcast: Broadcast,
        card: Card | None,
        now: float,
        *,
        enabled: bool,
    ) -> Decision | Dropped:
        """Decide on a push that came by the channel of this card; the rules are those of token pushes."""
        if isinstance(push, UnreadablePush):
            return push.dropped
        if broadcast.expiration and broadcast.expiration <= now:
            return _EXPIRED
        if push.event is Event.START:
            return Dropped(Verdict.BROADCAST_START, "a broadcast updates and ends cards; it cannot start one")
        return self._refused_any(push, now, enabled=enabled) or self._judge_change(push, card, broadcast.priority, now)

    def local_start(
        self, attributes_type: str, attributes: bytes, content_state: bytes, now: float, channel: str | None = None
    ) -> Decision | Dropped:
        """Decide on an activity that the app starts itself: no alert, no budget, no timestamp."""
        if channel is not None and self._os < CHANNEL_OS:
            return Dropped(Verdict.OS_TOO_OLD, "an activity on a channel needs iOS 18")
        push = LiveActivityPush(
            Event.START,
            now,
            content_state=content_state,
            attributes_type=attributes_type,
            attributes=attributes,
            input_push_channel=channel,
        )
        return self._decoded_start(push, now)

    def _refused_any(self, push: LiveActivityPush, now: float, *, enabled: bool) -> Dropped | None:
        """Reasons that hold for every kind of push."""
        if not enabled:
            return Dropped(Verdict.ACTIVITIES_DISABLED, "Live Activities are switched off for this app in Settings")
        oldest = self._rules.max_timestamp_age_s
        if oldest is not None and push.timestamp < now - oldest:
            why = f"aps.timestamp is {now - push.timestamp:.0f} s old; this phone ignores what is over {oldest:.0f} s"
            return Dropped(Verdict.TIMESTAMP_IN_THE_PAST, why)
        return None

    def _judge_start(self, push: LiveActivityPush, now: float) -> Decision | Dropped:
        if self._os < START_OS:
            return Dropped(Verdict.OS_TOO_OLD, "push-to-start needs iOS 17.2")
        if push.input_push_channel is not None and self._os < CHANNEL_OS:
            return Dropped(Verdict.OS_TOO_OLD, "a start with input-push-channel needs iOS 18")
        if push.alert is None:
            return Dropped(Verdict.NO_ALERT, f"{push.alert_problem}; a start without an alert is not shown")
        decision = self._decoded_start(push, now)
        if isinstance(decision, Decision) and not self._starts.spend(now):
            budget = f"{self._starts.limit} starts in {self._starts.window_s:.0f} s"
            return Dropped(Verdict.START_BUDGET, f"Push-to-start budget exceeded ({budget}); not starting activity")
        return decision

    def _decoded_start(self, push: LiveActivityPush, now: float) -> Decision | Dropped:
        if push.attributes_type is None:
            return Dropped(Verdict.UNKNOWN_ATTRIBUTES_TYPE, "aps.attributes-type is missing; a start needs it")
        known = None if self._types is None else self._types.get(push.attributes_type)
        if self._types is not None and known is None:
            possible = ", ".join(sorted(self._types)) or "none"
            why = f"the app has no ActivityAttributes struct {push.attributes_type!r}; it has: {possible}"
            return Dropped(Verdict.UNKNOWN_ATTRIBUTES_TYPE, why)
        attributes = _decoded(known.attributes if known else _ANY_STRUCT, push.attributes)
        if isinstance(attributes, str):
            return Dropped(Verdict.UNDECODABLE_ATTRIBUTES, f"aps.attributes: {attributes}")
        state = _decoded(known.content_state if known else _ANY_STRUCT, push.content_state)
        if isinstance(state, str):
            return Dropped(Verdict.UNDECODABLE_CONTENT_STATE, f"aps.content-state: {state}")
        if too_large := _too_large(push.attributes, push.content_state):
            return too_large
        notes = (*push.notes, *_date_notes(attributes, now), *_date_notes(state, now))
        gets_token = push.input_push_channel is None
        if gets_token and not push.input_push_token and self._os >= CHANNEL_OS:
            gets_token = not self._rules.token_needs_input_push_token
            notes = (*notes, "without aps.input-push-token 1, iOS 18 and later may issue no update token")
        why = "a new card is on the Lock Screen" + (
            "" if known else "; nothing was checked, as the app's types are not declared"
        )
        value = attributes.value if known else msgspec.json.decode(push.attributes or b"{}")
        return Decision(Verdict.STARTED, why, push, value, gets_token, notes)

    def _judge_change(self, push: LiveActivityPush, card: Card | None, priority: int, now: float) -> Decision | Dropped:
        if dropped := self._refused_change(push, card, priority, now):
            return dropped
        assert card is not None
        if push.event is Event.END and push.content_state is None:
            return Decision(Verdict.ENDED, "the activity ended with its last state", push, notes=push.notes)
        known = None if self._types is None else self._types.get(card.attributes_type)
        state = _decoded(known.content_state if known else _ANY_STRUCT, push.content_state)
        if isinstance(state, str):
            return Dropped(Verdict.UNDECODABLE_CONTENT_STATE, f"aps.content-state: {state}")
        if too_large := _too_large(card.attributes, push.content_state):
            return too_large
        notes = (*push.notes, *_date_notes(state, now))
        if push.event is Event.END:
            return Decision(Verdict.ENDED, "the activity ended with the state sent", push, notes=notes)
        return Decision(Verdict.SHOWN, "the new state is on the Lock Screen", push, notes=notes)

    def _refused_change(self, push: LiveActivityPush, card: Card | None, priority: int, now: float) -> Dropped | None:
        """Reasons against an update or end that do not depend on its state."""
        if self._os < UPDATE_OS:
            return Dropped(Verdict.OS_TOO_OLD, "Live Activities need iOS 16.1")
        if card is None or not card.is_running:
            how = "was dismissed" if card is None or card.status is CardStatus.DISMISSED else "has ended"
            return Dropped(
                Verdict.ACTIVITY_ENDED, f"the activity {how}; APNs accepts its token still, nothing is shown"
            )
        if priority == 10 and not self._priority10.spend(now):  # noqa: PLR2004 - apns-priority
            why = f"more than {self._priority10.limit} pushes of priority 10 within an hour; use priority 5"
            return Dropped(Verdict.PRIORITY_BUDGET, why)
        return self._out_of_order(push, card)

    def _out_of_order(self, push: LiveActivityPush, card: Card) -> Dropped | None:
        if card.timestamp is None or push.timestamp > card.timestamp:
            return None
        if push.timestamp < card.timestamp:
            why = f"aps.timestamp {push.timestamp} is older than {card.timestamp}, which is shown"
            return Dropped(Verdict.OLDER_TIMESTAMP, why)
        if self._rules.show_equal_timestamps:
            return None
        why = f"aps.timestamp {push.timestamp} is the one shown; Apple leaves open what happens, this phone drops it"
        return Dropped(Verdict.EQUAL_TIMESTAMP, why)


_ANY_STRUCT = Struct("Codable", {})
"""Decodes any JSON object."""


@lru_cache(maxsize=_REMEMBERED_STATES)
def _decoded(struct: Struct, text: bytes | None) -> Decoded | str:
    """The value, or the sentence that says why there is none. Remembered: a broadcast has one state for all phones."""
    if text is None:
        return f"missing; {struct.name} must be there whole"
    match decode(struct, text):
        case DecodingError() as error:
            return f"at {error.where}: {error}"
        case decoded:
            return decoded


def _too_large(attributes: bytes | None, content_state: bytes | None) -> Dropped | None:
    size = len(attributes or b"") + len(content_state or b"")
    if size <= CARD_SIZE_LIMIT:
        return None
    why = f"attributes and content-state take {size} bytes together; ActivityKit allows {CARD_SIZE_LIMIT}"
    return Dropped(Verdict.TOO_LARGE, why)


def _date_notes(decoded: Decoded, now: float) -> tuple[str, ...]:
    return tuple(
        f"{path} decodes to a date more than 20 years ahead; a Swift Date counts seconds from 2001: subtract 978307200"
        for path, moment in decoded.dates
        if moment > now + _FAR_FUTURE_S
    )
