"""What iOS and APNs do and Apple puts no number on, as settings; and the clocks that Apple does document."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

HOUR_S: Final = 3600.0
DAY_S: Final = 86_400.0

ACTIVE_LIMIT_S: Final = 8 * HOUR_S
"""A Live Activity is active for at most this long; then the system ends it (apple.md 4.5)."""

LINGER_LIMIT_S: Final = 4 * HOUR_S
"""An ended one leaves the Lock Screen after this long at the latest (apple.md 4.5)."""

STORAGE_LIMIT_S: Final = 30 * DAY_S
"""How long APNs keeps a push for an offline phone when `apns-expiration` is absent (apple.md 3.1)."""

CHANNEL_STORAGE_LIMIT_S: Final = 8 * HOUR_S
"""How long APNs keeps a channel's most recent broadcast for an offline phone at most (apple.md 5.2)."""

CARD_SIZE_LIMIT: Final = 4096
"""Bytes of attributes and content state together (apple.md 3.2)."""

OsVersion: TypeAlias = tuple[int, ...]

UPDATE_OS: Final[OsVersion] = (16, 1)
START_OS: Final[OsVersion] = (17, 2)
CHANNEL_OS: Final[OsVersion] = (18, 0)


@lru_cache(maxsize=64)
def read_os_version(text: str) -> OsVersion:
    """`18.1` as numbers that compare.

    Raises:
        ValueError: if it is not one to three numbers separated by dots.
    """
    parts = text.split(".")
    if not 1 <= len(parts) <= 3 or not all(part.isascii() and part.isdigit() for part in parts):  # noqa: PLR2004 - a.b.c
        raise ValueError(f"os_version: {text!r} is not an iOS version; write for instance 18.1")
    return tuple(int(part) for part in parts)


@dataclass(frozen=True, slots=True)
class PhoneRules:
    """How strict a phone is where Apple leaves it open. The defaults expose a sender's mistakes, and forgive none.

    Raises:
        ValueError: naming the field, if a number is below what makes sense.
    """

    start_budget: int = 10
    """Push-to-starts within `start_budget_window_s`; about 10 says Apple staff (apple.md 4.7)."""
    start_budget_window_s: float = HOUR_S
    """Recovery is reported as about an hour, by the field."""
    priority10_budget: int = 1000
    """Priority-10 updates and ends per hour and phone. High, since the real number is undocumented and depends."""
    show_equal_timestamps: bool = False
    """Apple does not say what happens to a push with the timestamp already shown. Dropping it exposes senders that
    stamp two changes of one second alike."""
    max_timestamp_age_s: float | None = None
    """One field report: a timestamp more than about a minute old may be ignored. Off by default."""
    token_needs_input_push_token: bool = False
    """One device log on iOS 18+: no update token without `input-push-token: 1`. Another project sees one."""
    start_rotates_start_token: bool = False
    """A new push-to-start token is often issued right after a start (apple.md 4.6)."""
    rotated_token_lives_s: float = 14 * DAY_S
    """How long APNs keeps saying 200 to a token that has been replaced: weeks, says the field (apple.md 3.6)."""
    pushes_kept: int = 200
    """Push records a phone remembers; the counts by verdict go on for ever."""
    dismissed_cards_kept: int = 50

    def __post_init__(self) -> None:
        for name in ("start_budget", "priority10_budget", "rotated_token_lives_s", "dismissed_cards_kept"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: must not be negative")
        if self.start_budget_window_s <= 0 or (self.max_timestamp_age_s is not None and self.max_timestamp_age_s <= 0):
            raise ValueError("start_budget_window_s and max_timestamp_age_s: must be seconds above 0")
        if self.pushes_kept < 1:
            raise ValueError("pushes_kept: must be at least 1")
