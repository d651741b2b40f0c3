"""The push tokens of one phone: what each is for, whether it is the newest, and from when APNs answers 410."""

import hashlib
from dataclasses import dataclass

from skerry.simulator.carrier import Standing, TokenKind

_TOKEN_BYTES = 80
"""Live Activity tokens seen in the field: 80 bytes, the first 0x80 (apple.md 3.9)."""

EXPIRED = "ExpiredToken"
UNREGISTERED = "Unregistered"


@dataclass(slots=True)
class TokenLife:
    """One token from its issue to its 410. A replaced token goes on answering 200 for a while (apple.md 3.6)."""

    token: str
    kind: TokenKind
    issued_at: float
    card_id: str | None = None
    replaced_at: float | None = None
    gone_at: float | None = None
    """From this moment on APNs answers 410 with `gone_reason`."""
    gone_reason: str = UNREGISTERED

    @property
    def is_current(self) -> bool:
        """True while no newer token has taken its place."""
        return self.replaced_at is None

    def goes(self, at: float, reason: str) -> None:
        """Let APNs call it dead from `at` on, unless it dies earlier."""
        if self.gone_at is None or at < self.gone_at:
            self.gone_at = at
            self.gone_reason = reason


class TokenBook:
    """All tokens a phone has ever had. They follow from the seed alone, so that a run repeats exactly."""

    def __init__(self, seed: str, bundle_id: str) -> None:
        self._seed = seed
        self._bundle_id = bundle_id
        self._lives: dict[str, TokenLife] = {}
        self._unclaimed: list[str] = []

    def issue(self, kind: TokenKind, now: float, card_id: str | None = None) -> TokenLife:
        """A new token."""
        digest = hashlib.shake_256(f"{self._seed}/token/{len(self._lives)}".encode())
        life = TokenLife("80" + digest.hexdigest(_TOKEN_BYTES - 1), kind, now, card_id)
        self._lives[life.token] = life
        self._unclaimed.append(life.token)
        return life

    def replace(self, token: str, now: float, lives_s: float) -> TokenLife:
        """A new token in place of `token`, which APNs accepts for `lives_s` more seconds."""
        old = self._lives[token]
        old.replaced_at = now
        old.goes(now + lives_s, UNREGISTERED)
        return self.issue(old.kind, now, old.card_id)

    def retire_all(self, now: float, gone_at: float) -> None:
        """The app is gone: all its tokens answer 410 from `gone_at` on, and a new installation has none of them."""
        for life in self._lives.values():
            life.replaced_at = now if life.replaced_at is None else life.replaced_at
            life.goes(gone_at, UNREGISTERED)

    def find(self, token: str) -> TokenLife | None:
        """The token's life, None if this phone never had it."""
        return self._lives.get(token)

    def standing(self, token: str, now: float) -> Standing | None:
        """What APNs knows of it at this moment."""
        life = self._lives.get(token)
        if life is None:
            return None
        if life.gone_at is not None and life.gone_at <= now:
            return Standing(self._bundle_id, life.kind, life.gone_reason, life.gone_at)
        return Standing(self._bundle_id, life.kind)

    def take_issued(self) -> list[str]:
        """Tokens issued since the last call: APNs must learn that they exist."""
        issued, self._unclaimed = self._unclaimed, []
        return issued
