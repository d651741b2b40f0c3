"""Every request that the simulated APNs has seen, in the order of arrival, with the answer given: the judge's book."""

import json
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import islice
from typing import Any

from skerry.domain.push import Environment
from skerry.simulator.apns.paths import Resource
from skerry.simulator.apns.rules import Answer, Request

MAX_LISTED = 10_000
_MAX_NOTES = 10_000
_REMEMBERED_BODIES = 512


class Ending(StrEnum):
    """How a request ended, as the sender could see it."""

    PENDING = "pending"
    """Not ended yet."""
    ANSWERED = "answered"
    """A response was written."""
    NO_ANSWER = "no answer"
    """Silence, a lost connection, or a stream that the sender cancelled first."""
    REFUSED = "refused"
    """RST_STREAM with REFUSED_STREAM: not processed."""
    RESET = "reset"
    """RST_STREAM with another code."""
    IGNORED = "ignored"
    """Above the last stream id of a GOAWAY: not processed."""


@dataclass(slots=True)
class Entry:
    """One request. `ending`, `status`, `reason` and `delivered` are written when they are known."""

    number: int
    """From 1, in order of arrival over all connections and both environments."""
    time: float
    """Seconds since 1970 UTC as the simulated world sees them."""
    environment: Environment
    connection: int
    stream: int
    operation: str | None
    """`push`, `broadcast`, `create_channel`, `read_channel`, `delete_channel`, `list_channels`; None: none of them."""
    token: str | None
    """Lower case; None where the path was no device path."""
    bundle_id: str | None
    """Of the path, where channels are concerned."""
    channel_id: str | None
    """`apns-channel-id` of the request, or of the answer that says which one was made."""
    topic: str | None
    push_type: str | None
    priority: int | None
    expiration: int | None
    apns_id: str | None
    """The request's, or the one in the answer where the request had none; `apns-request-id` where channels are
    concerned."""
    collapse_id: str | None
    event: str | None
    """`aps.event`: `start`, `update` or `end`."""
    timestamp: int | float | None
    """`aps.timestamp` as it was sent."""
    body: str | None
    """Decoded text, cut at the longest payload APNs takes; None where the ledger has let go of it."""
    body_bytes: int
    ending: Ending = Ending.PENDING
    status: int | None = None
    reason: str | None = None
    delivered: bool = False
    """Whether the push was handed to the phones, or the channel request carried out, whatever the sender was told."""

    def to_json(self) -> dict[str, Any]:
        """The fields by their names, enums as their text: the rows of `GET /simulator/ledger`."""
        return {
            "number": self.number,
            "time": self.time,
            "environment": self.environment.value,
            "connection": self.connection,
            "stream": self.stream,
            "operation": self.operation,
            "token": self.token,
            "bundle_id": self.bundle_id,
            "channel_id": self.channel_id,
            "topic": self.topic,
            "push_type": self.push_type,
            "priority": self.priority,
            "expiration": self.expiration,
            "apns_id": self.apns_id,
            "collapse_id": self.collapse_id,
            "event": self.event,
            "timestamp": self.timestamp,
            "body": self.body,
            "body_bytes": self.body_bytes,
            "ending": self.ending.value,
            "status": self.status,
            "reason": self.reason,
            "delivered": self.delivered,
        }


@dataclass(frozen=True, slots=True)
class Note:
    """Something that happened to a connection: opened, refused, GOAWAY sent, a protocol error of the sender, lost."""

    time: float
    environment: Environment
    connection: int
    what: str

    def to_json(self) -> dict[str, Any]:
        """`{"time", "environment", "connection", "what"}`."""
        return {
            "time": self.time,
            "environment": self.environment.value,
            "connection": self.connection,
            "what": self.what,
        }


class Ledger:
    """The book: bounded, with running totals that outlive the rows.

    Args:
        max_entries: rows kept; older ones go first and are counted in `counts()["dropped"]`.
        max_body_chars: characters of bodies kept over all rows; the oldest rows lose their body first.
    """

    def __init__(self, max_entries: int = 200_000, max_body_chars: int = 128 * 1024 * 1024) -> None:
        if max_entries < 1:
            raise ValueError("max_entries must be at least 1")
        self._max_entries = max_entries
        self._max_body_chars = max_body_chars
        self._entries: deque[Entry] = deque()
        self._with_body: deque[Entry] = deque()
        self._body_chars = 0
        self._notes: deque[Note] = deque(maxlen=_MAX_NOTES)
        self._seen = 0
        self._cleared_at = 0
        self._dropped = 0
        self._delivered = 0
        self._endings: Counter[str] = Counter()
        self._operations: Counter[str] = Counter()
        self._statuses: Counter[int] = Counter()
        self._reasons: Counter[str] = Counter()

    def arrived(
        self, request: Request, *, time: float, environment: Environment, connection: int, stream: int
    ) -> Entry:
        """Write down a request; the entry is `PENDING` until `ended` or `answered` is called with it."""
        self._seen += 1
        operation = request.target.operation
        if operation is not None:
            self._operations[operation.value] += 1
        body, event, timestamp = read_body(request.body)
        entry = Entry(
            number=self._seen,
            time=time,
            environment=environment,
            connection=connection,
            stream=stream,
            operation=None if operation is None else operation.value,
            token=request.token,
            bundle_id=None if request.target.resource is Resource.DEVICE else request.target.name or None,
            channel_id=request.channel_id,
            topic=request.topic,
            push_type=request.push_type,
            priority=request.priority,
            expiration=request.expiration,
            apns_id=request.headers.get(request.id_name),
            collapse_id=request.headers.get("apns-collapse-id"),
            event=event,
            timestamp=timestamp,
            body=body,
            body_bytes=request.size,
        )
        self._entries.append(entry)
        self._with_body.append(entry)
        self._body_chars += len(body)
        self._shrink()
        return entry

    def answered(self, entry: Entry, answer: Answer) -> None:
        """A response was written."""
        entry.status, entry.reason, entry.apns_id = answer.status, answer.reason, answer.apns_id
        entry.channel_id = entry.channel_id or answer.channel_id
        if entry.number > self._cleared_at:
            self._statuses[answer.status] += 1
            if answer.reason is not None:
                self._reasons[answer.reason] += 1
        self.ended(entry, Ending.ANSWERED)

    def ended(self, entry: Entry, ending: Ending) -> None:
        """The request ended. A second call for one entry changes nothing, but one.

        A request that met silence is declared unprocessed by a GOAWAY that comes later.
        """
        declared = ending is Ending.IGNORED and entry.ending is Ending.NO_ANSWER and not entry.delivered
        if entry.ending is Ending.PENDING or declared:
            if entry.number > self._cleared_at:
                self._endings[ending.value] += 1
                if declared:
                    self._endings[Ending.NO_ANSWER.value] -= 1
            entry.ending = ending

    def delivered(self, entry: Entry) -> None:
        """The push was handed to the phones, or the channel request carried out."""
        entry.delivered = True
        if entry.number > self._cleared_at:
            self._delivered += 1

    def note(self, time: float, environment: Environment, connection: int, what: str) -> None:
        """Write down what happened to a connection."""
        self._notes.append(Note(time, environment, connection, what))

    def entries(
        self,
        since: int = 0,
        limit: int = 1000,
        *,
        token: str | None = None,
        event: str | None = None,
        operation: str | None = None,
        status: int | None = None,
        ending: Ending | None = None,
    ) -> list[Entry]:
        """Entries numbered above `since` in order of arrival, at most `limit` of those that match.

        Raises:
            ValueError: if `since` is negative or `limit` is not from 1 to 10,000.
        """
        if since < 0:
            raise ValueError("since must not be negative: it is the number of the last entry already seen")
        if not 1 <= limit <= MAX_LISTED:
            raise ValueError(f"limit must be from 1 to {MAX_LISTED}")
        token = token.lower() if token is not None else None
        matching = (
            entry
            for entry in self._numbered_above(since)
            if (token is None or entry.token == token)
            and (event is None or entry.event == event)
            and (operation is None or entry.operation == operation)
            and (status is None or entry.status == status)
            and (ending is None or entry.ending is ending)
        )
        return list(islice(matching, limit))

    def notes(self) -> list[Note]:
        """What happened to connections, oldest first; the last 10,000 are kept."""
        return list(self._notes)

    def counts(self) -> dict[str, Any]:
        """Totals since the start or the last `clear`.

        Returns:
            `{"requests", "delivered", "dropped", "operations": {operation: n}, "endings": {ending: n},
            "statuses": {"200": n}, "reasons": {reason: n}}`, where `dropped` are requests that the ledger no longer
            lists. Dropped rows stay in the other totals.
        """
        endings = {ending.value: self._endings[ending.value] for ending in Ending}
        requests = self._seen - self._cleared_at
        endings[Ending.PENDING.value] = requests - self._endings.total()
        return {
            "requests": requests,
            "delivered": self._delivered,
            "dropped": self._dropped,
            "operations": dict(sorted(self._operations.items())),
            "endings": endings,
            "statuses": {str(status): count for status, count in sorted(self._statuses.items())},
            "reasons": dict(sorted(self._reasons.items())),
        }

    def to_json(
        self,
        since: int = 0,
        limit: int = 1000,
        *,
        token: str | None = None,
        event: str | None = None,
        operation: str | None = None,
        status: int | None = None,
        ending: Ending | None = None,
    ) -> dict[str, Any]:
        """`{"entries": [Entry.to_json()…], "next": number to pass as `since`, "counts": counts()}`.

        Raises:
            ValueError: as `entries`.
        """
        found = self.entries(since, limit, token=token, event=event, operation=operation, status=status, ending=ending)
        # A short page has looked at everything: the next one starts after the newest entry, matching or not.
        following = found[-1].number if len(found) == limit else max(since, self._seen)
        return {"entries": [entry.to_json() for entry in found], "next": following, "counts": self.counts()}

    def clear(self) -> None:
        """Forget rows, notes and totals. Numbers go on rising, so that a `since` stays good."""
        self._entries.clear()
        self._with_body.clear()
        self._notes.clear()
        for counter in (self._endings, self._operations, self._statuses, self._reasons):
            counter.clear()
        self._body_chars = self._dropped = self._delivered = 0
        self._cleared_at = self._seen

    def _numbered_above(self, since: int) -> Iterator[Entry]:
        if not self._entries:
            return iter(())
        return islice(self._entries, max(0, since - self._entries[0].number + 1), None)

    def _shrink(self) -> None:
        if len(self._entries) > self._max_entries:
            oldest = self._entries.popleft()
            self._dropped += 1
            if self._with_body[0] is oldest:
                self._with_body.popleft()
                self._body_chars -= len(oldest.body or "")
        while self._body_chars > self._max_body_chars and len(self._with_body) > 1:
            entry = self._with_body.popleft()
            self._body_chars -= len(entry.body or "")
            entry.body = None


@lru_cache(maxsize=_REMEMBERED_BODIES)
def read_body(body: bytes) -> tuple[str, str | None, int | float | None]:
    """A body's text, `aps.event` and `aps.timestamp`. Remembered: a fan-out sends one body to a million phones.

    What is not JSON, or has no such fields, gives None for them: APNs does not look at the payload either.
    """
    text = body.decode("utf-8", "replace")
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return text, None, None
    aps = parsed.get("aps") if isinstance(parsed, dict) else None
    if not isinstance(aps, dict):
        return text, None, None
    event, timestamp = aps.get("event"), aps.get("timestamp")
    number = isinstance(timestamp, int | float) and not isinstance(timestamp, bool)
    return text, event if isinstance(event, str) else None, timestamp if number else None
