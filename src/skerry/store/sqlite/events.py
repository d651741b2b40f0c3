"""Events: gathered while works run, and written many at a time before the commit that they share (see `rows`).

The events of a commit are in its transaction all the same.
"""

import sqlite3
from collections.abc import Iterable
from typing import Any

import msgspec

from skerry.domain.event import Event, EventFilter, EventId, EventKind, EventPage, EventSpan, RecordedEvent
from skerry.domain.ids import ActivityId, AppId, CardNumber, Millis
from skerry.store.sqlite.rows import Rows

WINDOW = 5_000
"""Events that one reading looks at, wanted or not: some milliseconds of a reader."""

ADD_MANY = Rows("INSERT INTO events (app_id, kind, at, activity_id, card, device_id, body) VALUES {rows}", 7)

SPAN = "SELECT (SELECT min(event_id) FROM events), (SELECT max(event_id) FROM events)"

# A device's number may be given again after it was erased: then the device is younger than the event.
_TOLD = """
    SELECT events.event_id, events.kind, events.at, events.activity_id, events.card, events.body,
        (SELECT group_id FROM activity_names
         WHERE activity_names.activity_id = events.activity_id ORDER BY position LIMIT 1) AS activity,
        devices.installation_id, users.ext_id
    FROM events
    LEFT JOIN devices ON devices.device_id = events.device_id AND devices.app_id = events.app_id
        AND devices.created_at <= events.at
    LEFT JOIN users ON users.user_id = devices.user_id
"""


def _as_json(told: str) -> str:
    return f"""
        SELECT json_group_array(json_array(
            event_id, kind, at, activity_id, card, body, activity, installation_id, ext_id
        )) FROM ({told})
    """


OF_APP = _as_json(f"""
    {_TOLD}
    WHERE events.event_id > ?1 AND events.event_id <= ?2 AND events.app_id = ?3
      AND (?4 IS NULL OR events.kind IN (SELECT value FROM json_each(?4)))
    ORDER BY events.event_id LIMIT ?5
""")


def _of_activity(those: str, index: str) -> str:
    """Some events of an activity, in the order of an index. The sign keeps SQLite from that of apps."""
    told = _TOLD.replace("FROM events", f"FROM events INDEXED BY {index}")
    return f"""
        {told}
        WHERE events.activity_id = ?6 AND {those} AND events.event_id > ?1 AND events.event_id <= ?2
          AND +events.app_id = ?3 AND (?4 IS NULL OR events.kind IN (SELECT value FROM json_each(?4)))
    """


# Two ranges, each in the order of its index, are merged. A device has few events among a million of others.
_WHOLE = _of_activity("events.device_id IS NULL", "ix_events_whole")
_CARDS = _of_activity("events.device_id IS NOT NULL", "ix_events_cards")
_PHONE = _of_activity("events.device_id = ?7 AND devices.device_id IS NOT NULL", "ix_events_phone")

OF_ACTIVITY = _as_json(f"{_WHOLE} UNION ALL {_CARDS} ORDER BY 1 LIMIT ?5")

OF_DEVICE = _as_json(f"{_WHOLE} UNION ALL {_PHONE} ORDER BY 1 LIMIT ?5")

ACTIVITY_NAMED = "SELECT activity_id FROM activity_names WHERE app_id = ? AND group_id = ?"

ONE = _as_json(f"{_TOLD} WHERE events.event_id = ?1 AND events.app_id = ?2")

_Row = tuple[int, str, int, int | None, int | None, str, str | None, str | None, str | None]
_KINDS = {kind.value: kind for kind in EventKind}
_rows = msgspec.json.Decoder(list[_Row])


class EventRecords:
    """`receipts.ports.EventRecords` on SQLite, and the `add` of the rooms that make events."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._gathered: list[tuple[Any, ...]] = []

    def add(self, event: Event) -> None:
        """Tell of something that this transaction does."""
        self._gathered.append(
            (
                event.app_id,
                event.kind.value,
                event.at,
                event.activity_id,
                event.card,
                event.device_id,
                msgspec.json.encode(event.body).decode() if event.body else "{}",
            )
        )

    def add_many(self, kind: EventKind, at: Millis, activities: Iterable[tuple[AppId, ActivityId, str]]) -> None:
        """The same of many activities: the app, the activity, and the event's body as JSON."""
        value = kind.value
        self._gathered += [
            (app_id, value, at, activity_id, None, None, body) for app_id, activity_id, body in activities
        ]

    # For the writer

    def mark(self) -> int:
        """Where a work begins, for `forget_since`."""
        return len(self._gathered)

    def forget_since(self, mark: int) -> None:
        """The work that began there has failed, and what it did is rolled back."""
        del self._gathered[mark:]

    def write_gathered(self) -> bool:
        """Write what was gathered, before the commit; returns whether there was any."""
        if not self._gathered:
            return False
        ADD_MANY.execute(self._connection, self._gathered)
        self._gathered.clear()
        return True

    # Reading

    def span(self) -> EventSpan:
        """The oldest and the newest event that are kept."""
        oldest, newest = self._connection.execute(SPAN).fetchone()
        return EventSpan(EventId(oldest or 0), EventId(newest or 0))

    def page(self, app_id: AppId, wanted: EventFilter, after: EventId, limit: int) -> EventPage:
        """Up to `limit` events of an app after a place, in order; of at most `WINDOW` that are looked at."""
        newest = self.span().newest
        if after >= newest:
            return EventPage((), after, more=False)
        activity_id = self._activity(app_id, wanted)
        one_activity = wanted.activity_id is not None or wanted.activity_name is not None
        high = EventId(newest if one_activity else min(newest, after + WINDOW))
        kinds = msgspec.json.encode(wanted.kinds).decode() if wanted.kinds else None
        values = (after, high, app_id, kinds, limit)
        if not one_activity:
            events = self._told(OF_APP, values)
        elif activity_id is None:
            events = []
        elif wanted.device_id is not None:
            events = self._told(OF_DEVICE, (*values, activity_id, wanted.device_id))
        else:
            events = self._told(OF_ACTIVITY, (*values, activity_id))
        cursor = events[-1].event_id if len(events) == limit else high
        return EventPage(events, cursor, more=cursor < newest)

    def one(self, app_id: AppId, event_id: EventId) -> RecordedEvent | None:
        """An event of an app, while it is kept."""
        return next(iter(self._told(ONE, (event_id, app_id))), None)

    def _activity(self, app_id: AppId, wanted: EventFilter) -> ActivityId | None:
        if wanted.activity_name is None:
            return wanted.activity_id
        row = self._connection.execute(ACTIVITY_NAMED, (app_id, wanted.activity_name)).fetchone()
        return None if row is None else ActivityId(row[0])

    def _told(self, statement: str, values: tuple[Any, ...]) -> list[RecordedEvent]:
        (text,) = self._connection.execute(statement, values).fetchone()
        return [_told(row) for row in _rows.decode(text)]


def _told(row: _Row) -> RecordedEvent:
    event_id, kind, at, activity_id, card, body, name, installation_id, ext_id = row
    activity = f"#{activity_id}" if name is None and activity_id is not None else name
    number = None if card is None else CardNumber(card)
    content = msgspec.json.decode(body)
    return RecordedEvent(
        EventId(event_id), _KINDS[kind], Millis(at), activity, number, installation_id, ext_id, content
    )
