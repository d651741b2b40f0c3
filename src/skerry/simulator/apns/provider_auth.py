"""What one connection has been told by provider tokens, and whether it may push (apple.md 2). Time is passed in."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from skerry.domain.push import Environment
from skerry.simulator.apns.fields import Fields, told
from skerry.simulator.apns.limits import Limits
from skerry.simulator.apns.provider_keys import Claims, ProviderKey, ProviderKeys

_BEARER = "bearer "
_KNOWN_SUFFIXES = (
    ".push-type.liveactivity",
    ".push-type.controls",
    ".push-type.widgets",
    ".pushkit.fileprovider",
    ".location-query",
    ".complication",
    ".voip-ptt",
    ".voip",
)
_MAX_TAKEN_TOKENS = 64


def bundle_id_of(topic: str) -> str:
    """The app that a topic belongs to: the topic without the suffix of its push type, taken off once."""
    for suffix in _KNOWN_SUFFIXES:
        if topic.endswith(suffix):
            return topic.removesuffix(suffix)
    return topic


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthRules:
    """The rules for provider tokens, changeable while the server runs. None: as `Limits` says."""

    token_age_s: float | None = None
    update_interval_s: float | None = None
    updates_per_interval: int | None = None
    per_team: bool = False
    """Whether updates are counted over all connections of a team, not per connection (apple.md 2.2 has both)."""
    expired_before: float | None = None
    """Tokens signed at or before this moment (seconds since 1970 UTC) are expired, whatever their age."""

    def as_dict(self) -> dict[str, Any]:
        """As in the plan, without what is left at its default."""
        return told(self)


APPLES = AuthRules()


def read_auth_rules(value: object, where: str) -> AuthRules:
    """An object with the fields of `AuthRules`."""
    fields = Fields(value, where)
    rules = AuthRules(
        token_age_s=fields.number("token_age_s", None, 0.0),
        update_interval_s=fields.number("update_interval_s", None, 0.0),
        updates_per_interval=fields.whole("updates_per_interval", None, 0),
        per_team=fields.flag("per_team", default=False),
        expired_before=fields.number("expired_before", None, 0.0),
    )
    fields.finish()
    return rules


class TokenUpdates:
    """The provider tokens that somebody, a connection or a team, has shown, and when they changed."""

    def __init__(self) -> None:
        self._shown: dict[str, None] = {}
        self._changes: deque[float] = deque()

    def show(self, token: str, now: float, interval: float, most: int) -> float | None:
        """Take a valid token. A time: it is one change too many, and nothing is taken before then."""
        if token in self._shown:  # requests of two tokens may overlap around a renewal: an old one is no update
            return None
        if self._shown or most == 0:
            while self._changes and self._changes[0] <= now - interval:
                self._changes.popleft()
            if self._shown and len(self._changes) >= max(1, most):
                return self._changes[0] + interval
            self._changes.append(now)
        if len(self._shown) >= _MAX_TAKEN_TOKENS:
            self._shown.pop(next(iter(self._shown)))
        self._shown[token] = None
        return None


class Teams:
    """What is remembered per team, over all connections."""

    def __init__(self) -> None:
        self._updates: dict[str, TokenUpdates] = {}

    def updates(self, team_id: str) -> TokenUpdates:
        """The team's provider tokens."""
        return self._updates.setdefault(team_id, TokenUpdates())


class ConnectionAuth:
    """The provider-token state of one connection.

    The first valid token binds the connection to its team, its key and the team's apps as they were then. What was
    bound never changes; a connection that has gone wrong is to be closed by the sender.
    """

    def __init__(
        self,
        keys: ProviderKeys,
        environment: Environment,
        limits: Limits,
        rules: Callable[[], AuthRules] = lambda: APPLES,
        teams: Teams | None = None,
    ) -> None:
        self._keys = keys
        self._rules = rules
        self._teams = teams or Teams()
        self._environment = environment
        self._limits = limits
        self._first: ProviderKey | None = None
        self._bundle_ids: frozenset[str] | None = None
        self._taken: dict[str, Claims] = {}
        self._current_key: ProviderKey | None = None
        self._updates = TokenUpdates()
        self._expired = False
        self._blocked_until: float | None = None

    @property
    def bound(self) -> bool:
        """Whether a valid provider token has been posted: then APNs raises the number of streams."""
        return self._first is not None

    def refusal(self, authorization: str | None, now: float) -> str | None:
        """Judge the `authorization` header of one request.

        Args:
            authorization: the header's value, None where there is none.
            now: seconds since 1970 UTC.

        Returns:
            Apple's reason, or None if the request may go on. `BadEnvironmentKeyInToken` is the spelling on the wire.
        """
        if authorization is None or authorization[: len(_BEARER)].lower() != _BEARER:
            return "MissingProviderToken"
        if self._expired:
            return "ExpiredProviderToken"
        if self._blocked_until is not None:
            if now < self._blocked_until:
                return "TooManyProviderTokenUpdates"
            self._blocked_until = None
        token = authorization[len(_BEARER) :].strip()
        claims = self._taken.get(token) or self._keys.verify(token)
        if claims is None:
            return "InvalidProviderToken"
        return self._refusal_of_claims(claims, now) or self._take(token, claims, now)

    def covers(self, topic: str) -> bool:
        """Whether the token of the request just judged may push to a topic; if not: `TopicDisallowed`."""
        bundle_id = bundle_id_of(topic)
        if bundle_id != topic and bundle_id_of(bundle_id) != bundle_id:
            return False  # a doubled suffix: no app has such a bundle id
        if self._bundle_ids is not None and bundle_id not in self._bundle_ids:
            return False
        topics = self._current_key.topics if self._current_key else None
        return topics is None or topic in topics or bundle_id in topics

    def _refusal_of_claims(self, claims: Claims, now: float) -> str | None:
        if self._environment not in claims.key.environments:
            return "BadEnvironmentKeyInToken"
        age, rules = now - claims.issued_at, self._rules()
        longest = self._limits.token_age_s if rules.token_age_s is None else rules.token_age_s
        if age > longest or (rules.expired_before is not None and claims.issued_at <= rules.expired_before):
            self._expired = self._limits.expired_token_wedges
            return "ExpiredProviderToken"
        if age < -longest:
            return "InvalidProviderToken"
        if self._first is None:
            return None
        if claims.key.team_id != self._first.team_id:
            return self._limits.foreign_team_reason
        return None if claims.key.may_share_a_connection_with(self._first) else "UnrelatedKeyIdInToken"

    def _take(self, token: str, claims: Claims, now: float) -> str | None:
        """Make a valid token the connection's current one, if the 20-minute rule allows."""
        limits, rules = self._limits, self._rules()
        updates = self._teams.updates(claims.key.team_id) if rules.per_team else self._updates
        interval = limits.token_update_interval_s if rules.update_interval_s is None else rules.update_interval_s
        most = limits.token_updates_per_interval if rules.updates_per_interval is None else rules.updates_per_interval
        self._blocked_until = updates.show(token, now, interval, most)
        if self._blocked_until is not None:
            return "TooManyProviderTokenUpdates"
        if self._first is None:
            self._first, self._bundle_ids = claims.key, claims.key.bundle_ids
        if len(self._taken) >= _MAX_TAKEN_TOKENS:
            self._taken.pop(next(iter(self._taken)))
        self._taken[token] = claims
        self._current_key = claims.key
        return None
