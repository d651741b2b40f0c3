"""The desired state: what a caller says an activity should show, for whom, and the policies it lives by.

Pure. A caller says it as often as it likes; what has to be done is the difference to what was said before.
"""

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import msgspec

from skerry.domain.activity import Activity, Phase
from skerry.domain.audience import Audience
from skerry.domain.budget import Meter, OverBudget
from skerry.domain.ids import ActivityId, GroupId, Millis, RevisionNumber, Seconds

QUIET_ALERT: Final = b'{"title":"","body":""}'
"""For a start whose caller wants no alert: Apple needs one, and an empty one is silent (apple.md 4.2)."""


class Swipe(StrEnum):
    """What a person's swipe means for later starts of the activity on that device."""

    FINAL = "final"
    """The activity does not come back."""
    UNTIL_NEXT_ALERT = "until_next_alert"
    """It comes back with the next revision that alerts."""
    AFTER = "after"
    """It may come back with a revision that comes some time after the swipe."""
    IGNORE = "ignore"
    """It comes back with the next revision."""


class Priority(StrEnum):
    """How urgently a state is pushed."""

    LOW = "5"
    HIGH = "10"
    AUTO = "auto"
    """High where a person must look and while the budget lasts, else low."""


class Routing(StrEnum):
    """How revisions reach phones that could listen on a broadcast channel (iOS 18 and later)."""

    AUTO = "auto"
    """By channel where the audience is open, by token where it names its users or devices."""
    TOKENS = "tokens"
    CHANNEL = "channel"


class NoToken(StrEnum):
    """What becomes of a card whose start APNs has taken, and whose device never says an update token."""

    WAIT = "wait"
    """It stays as it is; the newest state is held for it."""
    LOST = "lost"
    """It is given up. The device may still report it: then it is live, with the newest state."""
    AGAIN = "again"
    """It is started once more, where the device cannot have reported anything since; then given up."""


@dataclass(frozen=True, slots=True)
class Policies:
    """How an activity lives. Durations in milliseconds; None: never."""

    swipe: Swipe = Swipe.FINAL
    swipe_for: Millis = Millis(0)
    """With `AFTER`: how long a swipe keeps the activity away."""
    stale_after: Millis | None = None
    """After the last revision, where that says no `stale_at`."""
    silence_ttl: Millis | None = None
    """The activity ends where its caller says nothing for so long."""
    dismiss_at: Seconds | None = None
    """When cards leave the Lock Screen after the activity has ended by itself."""
    dismiss_after: Millis | None = None
    """The same, from the end on; where `dismiss_at` is said, that one counts."""
    routing: Routing = Routing.AUTO
    frequent: bool = False
    """The app has `NSSupportsLiveActivitiesFrequentUpdates`: its budget is larger."""
    renew: bool = False
    """Go on in new cards shortly before Apple's eight hours are over."""
    late_joiners: bool = True
    """Start the activity on devices that come to match the audience later."""
    no_token: NoToken | None = None
    """None: as the service says."""
    no_token_after: Millis | None = None
    """After the start; None: as the service says."""
    start_budget: OverBudget | None = None
    """None: as the service says."""

    def dismissal(self, now: Millis) -> Seconds | None:
        """When cards leave the Lock Screen of an activity that ends by itself now; None: as iOS sees fit."""
        if self.dismiss_at is not None or self.dismiss_after is None:
            return self.dismiss_at
        return Seconds((now + self.dismiss_after) // 1000)


@dataclass(frozen=True, slots=True)
class ScriptPhase:
    """What an activity is to show from a later moment on. Either `at` or `after` is said."""

    state: bytes
    at: Millis | None = None
    after: Millis | None = None
    """Since the phase before; of the first one, since the script was accepted."""
    alert: bytes | None = None
    priority: Priority = Priority.AUTO
    relevance: float | None = None
    stale_at: Seconds | None = None


@dataclass(frozen=True, slots=True)
class Desired:
    """What a caller wants to be so. `state`, `attributes` and `alert` are raw JSON objects."""

    group_id: GroupId
    state: bytes
    attributes_type: str | None = None
    """None: as before. A new activity needs it, and `attributes`, where it has an audience."""
    attributes: bytes | None = None
    alert: bytes | None = None
    """With a new state the phones alert; a start that has none shows the activity's name."""
    audience: Audience | None = None
    """None: as before; without any, only devices that report the activity by themselves follow it."""
    priority: Priority = Priority.AUTO
    important: bool = False
    """With `AUTO`: a person must look, so the budget is spent."""
    relevance: float | None = None
    stale_at: Seconds | None = None
    ends_at: Seconds | None = None
    version: int | None = None
    """The caller's own number: rises with each change, and a lower one than the last is refused."""
    policies: Policies = Policies()
    phases: tuple[ScriptPhase, ...] = ()
    """What it is to show later, in the order of time; `state` is shown until the first of them. Empty: no script."""
    end_after: Millis | None = Millis(0)
    """With phases: from the last one's beginning to the activity's end. 0: that one is the end; None: no end."""

    @property
    def digest(self) -> bytes:
        """What phones would notice: the same digest again asks for nothing new."""
        shown = digest_of(
            self.state, self.alert, self.attributes_type, self.attributes, self.relevance, self.stale_at, self.ends_at
        )
        if not self.phases:
            return shown
        script = msgspec.json.encode((self.phases, self.end_after))
        return hashlib.blake2b(shown + script, digest_size=16).digest()


def digest_of(
    state: bytes,
    alert: bytes | None,
    attributes_type: str | None,
    attributes: bytes | None,
    relevance: float | None,
    stale_at: Seconds | None,
    ends_at: Seconds | None,
) -> bytes:
    """What phones would notice, as one short value."""
    shown = (
        state.decode(),
        None if alert is None else alert.decode(),
        attributes_type,
        None if attributes is None else attributes.decode(),
        relevance,
        stale_at,
        ends_at,
    )
    return hashlib.blake2b(msgspec.json.encode(shown), digest_size=16).digest()


def is_outdated(version: int | None, last: int | None, *, same: bool) -> bool:
    """Whether a wish with this version comes after one with a later one; `same`: it asks for what is so already."""
    return version is not None and last is not None and (version < last or (version == last and not same))


@dataclass(frozen=True, slots=True)
class Standing:
    """What is kept of the last desired state of an activity, beside the activity itself."""

    activity_id: ActivityId
    digest: bytes
    audience: Audience | None
    policies: Policies
    version: int | None = None
    alerted_at: Millis = Millis(0)
    """When the newest revision with an alert was accepted."""
    revised_at: Millis = Millis(0)
    """When the newest revision was accepted."""
    pushed_at: Millis = Millis(0)
    """When the newest revision is due on the wire: the next one that may wait goes a second later."""
    start: RevisionNumber = RevisionNumber(0)
    """The newest start of the present run, whose attributes and alert late joiners get; 0: there is none."""
    meter: Meter = field(default_factory=Meter)
    personal: bool = False
    """In the present run it has shown what is not the same for everybody, so that it cannot be broadcast."""

    @property
    def uses_channel(self) -> bool:
        """Whether phones that can are started on a channel."""
        if self.policies.routing is Routing.AUTO:
            return self.audience is not None and not self.audience.is_small and not self.personal
        return self.policies.routing is Routing.CHANNEL and not self.personal

    def swipes_since(self, revised_at: Millis) -> Millis:
        """Swipes at or after this moment keep a revision of that time away from their devices."""
        match self.policies.swipe:
            case Swipe.FINAL:
                return Millis(0)
            case Swipe.UNTIL_NEXT_ALERT:
                return self.alerted_at
            case Swipe.AFTER:
                return Millis(revised_at - self.policies.swipe_for)
            case Swipe.IGNORE:
                return self.revised_at


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a wish came to."""

    activity: Activity
    revisions: tuple[RevisionNumber, ...]
    """What was put on its way: an update, a start, both, or (nothing had changed) none."""
    created: bool = False
    priority: int | None = None


def outcome_text(outcome: Outcome | None) -> str | None:
    """The outcome, to be remembered for a repeat: of the activity, what the answer says of it."""
    if outcome is None:
        return None
    one = outcome.activity
    known = (
        one.activity_id, one.app_id, one.created_at, one.newest, int(one.phase), outcome.revisions, outcome.created,
        outcome.priority,
    )  # fmt: skip
    return msgspec.json.encode(known).decode()


def read_outcome(text: str) -> Outcome:
    """The outcome that `outcome_text` wrote."""
    activity_id, app_id, created_at, newest, phase, revisions, created, priority = msgspec.json.decode(text)
    activity = Activity(activity_id, app_id, created_at, Phase(phase), newest=newest)
    return Outcome(activity, tuple(revisions), created, priority)
