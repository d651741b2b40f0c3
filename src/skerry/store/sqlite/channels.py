"""Broadcast channels, each recorded before a card is started on it."""

import sqlite3
from typing import Any

from skerry.domain.card import CardStatus
from skerry.domain.channel import ActivityChannel, Channel, StoragePolicy
from skerry.domain.ids import ActivityId, CardNumber, ChannelId, Millis
from skerry.domain.push import Environment

_COLUMNS = "app_id, activity_id, first_card, environment, channel_id, storage, created_at, delete_at, closed_at"

ADD = f"INSERT INTO channels ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"

OF_ACTIVITY = f"SELECT {_COLUMNS} FROM channels WHERE activity_id = ? ORDER BY created_at"

CLOSE = "UPDATE channels SET closed_at = ? WHERE activity_id = ? AND closed_at IS NULL AND delete_at IS NULL"

# ?3: only those that a renewal has closed.
RETIRE = """
    UPDATE channels SET delete_at = ?1
    WHERE activity_id = ?2 AND delete_at IS NULL AND (closed_at IS NOT NULL OR NOT ?3)
"""

DUE = f"""
    SELECT {_COLUMNS} FROM channels WHERE delete_at <= ? ORDER BY delete_at LIMIT ?
"""

REMOVE = "DELETE FROM channels WHERE app_id = ? AND environment = ? AND channel_id = ?"

PUT_OFF = "UPDATE channels SET delete_at = ? WHERE app_id = ? AND environment = ? AND channel_id = ?"

NEXT_DUE = "SELECT min(delete_at) FROM channels WHERE delete_at IS NOT NULL"


# Cards are looked at only where there is a channel: without one nobody listens, however many cards there are.
LISTENED_TO = f"""
    SELECT EXISTS (SELECT 1 FROM channels WHERE activity_id = ?1)
       AND EXISTS (
        SELECT 1 FROM cards
        WHERE activity_id = ?1 AND number >= ?2 AND on_channel
          AND status IN ({int(CardStatus.STARTING)}, {int(CardStatus.LIVE)}))
"""


class ChannelRecords:
    """`delivery.ports.ChannelRecords` on SQLite."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, channel: ActivityChannel) -> None:
        """Record a channel."""
        self._connection.execute(
            ADD,
            (
                channel.app_id,
                channel.activity_id,
                channel.first_card,
                channel.environment.value,
                channel.channel.channel_id,
                int(channel.channel.storage),
                channel.created_at,
                channel.delete_at,
                channel.closed_at,
            ),
        )

    def of_activity(self, activity_id: ActivityId) -> list[ActivityChannel]:
        """The channels of an activity that APNs still has, the oldest first."""
        return [_channel(row) for row in self._connection.execute(OF_ACTIVITY, (activity_id,)).fetchall()]

    def close(self, activity_id: ActivityId, now: Millis) -> None:
        """A renewal begins: whoever is started from now on listens on a newer channel."""
        self._connection.execute(CLOSE, (now, activity_id))

    def is_listened_to(self, activity_id: ActivityId, first: CardNumber) -> bool:
        """Whether a card numbered from `first` listens, or is being started to."""
        return bool(self._connection.execute(LISTENED_TO, (activity_id, first)).fetchone()[0])

    def retire(self, activity_id: ActivityId, delete_at: Millis, *, closed: bool = False) -> None:
        """Nobody is to listen any more: the activity's channels, or only `closed` ones, are deleted at that time."""
        self._connection.execute(RETIRE, (delete_at, activity_id, closed))

    def due(self, now: Millis, limit: int) -> list[ActivityChannel]:
        """Channels to delete, the longest due first."""
        return [_channel(row) for row in self._connection.execute(DUE, (now, limit)).fetchall()]

    def remove(self, channel: ActivityChannel) -> None:
        """APNs has deleted it."""
        self._connection.execute(REMOVE, _key(channel))

    def put_off(self, channel: ActivityChannel, delete_at: Millis) -> None:
        """It could not be deleted: again later."""
        self._connection.execute(PUT_OFF, (delete_at, *_key(channel)))

    def next_due(self) -> Millis | None:
        """When the next one is to be deleted."""
        (due,) = self._connection.execute(NEXT_DUE).fetchone()
        return None if due is None else Millis(due)


def _key(channel: ActivityChannel) -> tuple[int, str, str]:
    return channel.app_id, channel.environment.value, channel.channel.channel_id


def _channel(row: tuple[Any, ...]) -> ActivityChannel:
    app_id, activity_id, first_card, environment, channel_id, storage, created_at, *rest = row
    channel = Channel(ChannelId(channel_id), StoragePolicy(storage))
    return ActivityChannel(app_id, activity_id, first_card, Environment(environment), channel, created_at, *rest)
