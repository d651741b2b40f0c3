"""An answer that is not simply a 200: collected from its frames, read as Apple's error format.

Source: Apple, "Handling notification responses from APNs": `{"reason": …}`, and for 410 a `timestamp`.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from skerry.apns.reasons import plain
from skerry.domain.ids import Millis
from skerry.domain.push import Rejected

BODY_LIMIT: Final = 16_384
"""Bytes of an answer's body that are kept. Apple's are under 100; the rest is a misled proxy's error page."""

KEPT_BODY_LIMIT: Final = 1 << 20
"""The same where the body is what was asked for: a list of 10,000 channels has some 270 KB."""

_OK: Final = 200
_REDIRECTED: Final = 300
_GONE: Final = 410
_SECONDS_END: Final = 1e11
"""Below this a time is in seconds: it would be the year 5138, while in milliseconds it is 1973."""
_MILLISECONDS_END: Final = 1e14
"""Above this it is no time at all (and would overflow a column somewhere)."""


@dataclass(slots=True)
class Answer:
    """The final header section of one stream, and as much of the body as has come, up to `limit` bytes."""

    status: int
    headers: dict[str, str]
    body: bytearray = field(default_factory=bytearray)
    oversized: bool = False
    limit: int = BODY_LIMIT

    @property
    def accepted(self) -> bool:
        """Whether Apple took the push."""
        return self.status == _OK

    @property
    def succeeded(self) -> bool:
        """Whether Apple did what a request asks that is no push: 200, 201 or 204."""
        return _OK <= self.status < _REDIRECTED

    @property
    def content(self) -> dict[str, Any]:
        """The body's JSON object; empty where it is none, or was cut off."""
        return _json_object(self.body)

    def collect(self, chunk: bytes) -> None:
        """Keep a piece of the body."""
        self.oversized = len(self.body) + len(chunk) > self.limit
        self.body += chunk[: self.limit - len(self.body)]

    def rejected(self) -> Rejected:
        """The answer as a value: Apple's reason, or the raw text where the body is not Apple's JSON."""
        content = self.content
        reason = content.get("reason")
        if not isinstance(reason, str):
            reason = self.body.decode("utf-8", "replace")
        return Rejected(
            status=self.status,
            reason=plain(reason),
            invalid_since=milliseconds(content.get("timestamp")) if self.status == _GONE else None,
            retry_after=retry_after(self.headers),
            said_at=said_at(self.headers),
        )


def _json_object(body: bytearray) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):  # not JSON, not UTF-8, absurdly long numbers, absurdly deep nesting
        return {}
    return content if isinstance(content, dict) else {}


def milliseconds(value: object) -> Millis | None:
    """Apple's `timestamp` in milliseconds, whether it came in milliseconds, in seconds or as a string.

    Returns:
        None where there is no usable time; a missing time is not an error.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    if not math.isfinite(number) or not 0 < number < _MILLISECONDS_END:
        return None
    return Millis(round(number * 1000 if number < _SECONDS_END else number))


def retry_after(headers: dict[str, str]) -> float | None:
    """`Retry-After` in seconds (RFC 9110, section 10.2.3).

    A date only counts beside the answer's own `Date`: the session has no clock, and ours may be wrong.
    """
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:10])
    until, now = _http_date(value), _http_date(headers.get("date", ""))
    return max(0.0, (until - now).total_seconds()) if until and now else None


def said_at(headers: dict[str, str]) -> float | None:
    """`Date` in UNIX seconds."""
    date = _http_date(headers.get("date", ""))
    return date.timestamp() if date else None


def _http_date(value: str) -> datetime | None:
    try:
        parsed = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return parsed if parsed.tzinfo else None


def text_headers(fields: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Header fields as text with lower-case names; of a repeated one the first counts."""
    headers: dict[str, str] = {}
    for name, value in fields:
        headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
    return headers
