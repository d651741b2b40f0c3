"""What one connection has been told by provider tokens, and whether it may push (apple.md 2). Time is passed in."""

from collections import deque

from skerry.domain.push import Environment
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


class ConnectionAuth:
    """The provider-token state of one connection.

    The first valid token binds the connection to its team, its key and the team's apps as they were then. What was
    bound never changes; a connection that has gone wrong is to be closed by the sender.
    """

    def __init__(self, keys: ProviderKeys, environment: Environment, limits: Limits) -> None:
        self._keys = keys
        self._environment = environment
        self._limits = limits
        self._first: ProviderKey | None = None
        self._bundle_ids: frozenset[str] | None = None
        self._taken: dict[str, Claims] = {}
        self._current_key: ProviderKey | None = None
        self._updates: deque[float] = deque(maxlen=max(1, limits.token_updates_per_interval))
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
        age = now - claims.issued_at
        if age > self._limits.token_age_s:
            self._expired = self._limits.expired_token_wedges
            return "ExpiredProviderToken"
        if age < -self._limits.token_age_s:
            return "InvalidProviderToken"
        if self._first is None:
            return None
        if claims.key.team_id != self._first.team_id:
            return self._limits.foreign_team_reason
        return None if claims.key.may_share_a_connection_with(self._first) else "UnrelatedKeyIdInToken"

    def _take(self, token: str, claims: Claims, now: float) -> str | None:
        """Make a valid token the connection's current one, if the 20-minute rule allows."""
        if token in self._taken:  # requests of two tokens may overlap around a renewal: an old one is no update
            self._current_key = claims.key
            return None
        if self._first is None:
            self._first, self._bundle_ids = claims.key, claims.key.bundle_ids
            if self._limits.token_updates_per_interval == 0:
                self._updates.append(now)
        else:
            window_start = now - self._limits.token_update_interval_s
            if len(self._updates) == self._updates.maxlen and self._updates[0] > window_start:
                self._blocked_until = self._updates[0] + self._limits.token_update_interval_s
                return "TooManyProviderTokenUpdates"
            self._updates.append(now)
        if len(self._taken) >= _MAX_TAKEN_TOKENS:
            self._taken.pop(next(iter(self._taken)))
        self._taken[token] = claims
        self._current_key = claims.key
        return None
