"""Cards: clustered by activity, so that a chunk is one range read.

Lists travel into a statement as one JSON text, and come out as one, where they may be long: `sqlite3` lets go of the
interpreter at every row, and beside a busy event loop each row waits a switch interval or more to get it back. Two
hundred rows in one statement were measured at 11 ms beside a spinning thread, one by one at 535 ms.
"""

import sqlite3
from collections.abc import Sequence

import msgspec

from skerry.domain.card import NO_ANSWER, NO_TOKEN, Card, CardStatus, SilentCard
from skerry.domain.device import ACTIVE_STEP
from skerry.domain.ids import ActivityId, AppId, CardNumber, DeviceId, Millis, RevisionNumber

_COLUMNS = """
    cards.activity_id, cards.number, cards.device_id, cards.status, cards.started_by, cards.created_at, cards.token,
    cards.token_time, cards.registered_at, cards.closed_at, cards.reason,
    coalesce(cards.starts_at > cards.created_at, 0)
"""

ADD = """
    INSERT INTO cards (
        activity_id, number, device_id, status, started_by, created_at, token, token_time, registered_at, closed_at,
        reason
    ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

# Device ids as a JSON array; their places in it give the numbers.
ADD_MANY = f"""
    INSERT INTO cards (activity_id, number, device_id, status, started_by, created_at, starts_at)
    SELECT ?, ? + key, value, {int(CardStatus.STARTING)}, ?, ?, ? FROM json_each(?)
"""

GET = f"SELECT {_COLUMNS} FROM cards WHERE activity_id = ? AND number = ?"

SAVE = """
    UPDATE cards SET status = ?1, token = ?2, token_time = ?3, registered_at = ?4, closed_at = ?5, reason = ?6,
        former_token = iif(?2 IS NULL, coalesce(token, former_token), NULL)
    WHERE activity_id = ?7 AND number = ?8
"""

# Left to itself SQLite reads all cards of the activity from the last one down: there may be a million.
NEWEST = f"""
    SELECT {_COLUMNS} FROM cards INDEXED BY ix_cards_device_id
    WHERE device_id = ? AND activity_id = ? AND status <> {int(CardStatus.MOVED)}
    ORDER BY number DESC LIMIT 1
"""

HOLDING = f"""
    SELECT {_COLUMNS} FROM cards INDEXED BY ix_cards_token
    WHERE token = ? AND device_id = ? AND activity_id = ? AND status <> {int(CardStatus.MOVED)}
    ORDER BY number DESC LIMIT 1
"""

HAD = """
    SELECT 1 FROM cards INDEXED BY ix_cards_device_id
    WHERE device_id = ? AND activity_id = ? AND number < ? AND former_token = ? LIMIT 1
"""

BEFORE = f"""
    SELECT {_COLUMNS} FROM cards INDEXED BY ix_cards_device_id
    WHERE device_id = ? AND activity_id = ? AND number < ? AND created_at <= ? AND status <> {int(CardStatus.MOVED)}
    ORDER BY number DESC LIMIT 1
"""

# `Card.awaits_token`, held against it by a test.
AWAITS_TOKEN = f"""
    (cards.status = {int(CardStatus.STARTING)}
        OR (cards.status = {int(CardStatus.LOST)} AND cards.reason IN ('{NO_ANSWER}', '{NO_TOKEN}')))
"""

AWAITING_BEFORE_LISTENER = f"""
    SELECT {_COLUMNS} FROM cards INDEXED BY ix_cards_device_id
    WHERE device_id = ?1 AND activity_id = ?2 AND number < ?3 AND {AWAITS_TOKEN} AND NOT on_channel
      AND (SELECT on_channel FROM cards WHERE activity_id = ?2 AND number = ?3)
    ORDER BY number DESC LIMIT 1
"""

NAMELESS_STARTING = f"""
    SELECT {_COLUMNS} FROM cards CROSS JOIN activities USING (activity_id)
    WHERE cards.device_id = ? AND {AWAITS_TOKEN}
      AND activities.app_id = ? AND activities.named = 0
    ORDER BY cards.created_at DESC, cards.activity_id DESC, cards.number DESC
"""

# CROSS JOIN fixes the order: device by device through the index. The other way round would read all the cards of an
# activity for each slice of a large start.
RUNNING_ON = f"""
    SELECT json_group_array(cards.device_id)
    FROM json_each(?) AS wanted
    CROSS JOIN cards INDEXED BY ix_cards_device_id
      ON cards.device_id = wanted.value AND cards.activity_id = ? AND cards.number >= ?
    WHERE (cards.status = {int(CardStatus.LIVE)} OR {AWAITS_TOKEN}) AND cards.closed_at IS NULL
      AND coalesce(cards.registered_at, cards.created_at) >= ?
"""

# A device that was erased has nothing more to say, and is not started again either.
WITHOUT_TOKEN = f"""
    SELECT json_group_array(json_array(
        cards.number, cards.device_id,
        coalesce(devices.last_active_at + {ACTIVE_STEP} > cards.created_at, 1)))
    FROM cards LEFT JOIN devices ON devices.device_id = cards.device_id
    WHERE cards.activity_id = ? AND cards.number BETWEEN ? AND ?
      AND cards.status = {int(CardStatus.STARTING)} AND NOT cards.on_channel
"""

# Without a time of closing: nobody has closed it, and a token of any age may say that it is there.
LOSE_STARTS = f"""
    UPDATE cards SET status = {int(CardStatus.LOST)}, reason = ?3
    WHERE activity_id = ?1 AND number IN (SELECT value FROM json_each(?2))
"""

# From the index alone, device by device: nearly all have had few starts, and nothing leaves SQLite for them.
OFTEN_STARTED = """
    SELECT json_group_array(wanted.value) FROM json_each(?1) AS wanted
    WHERE (
        SELECT count(*) FROM cards INDEXED BY ix_cards_device_id
        WHERE cards.device_id = wanted.value AND cards.starts_at > ?2
    ) >= ?3
"""

STARTS_OF = """
    SELECT json_group_array(json_array(cards.device_id, cards.starts_at))
    FROM json_each(?1) AS wanted
    CROSS JOIN cards INDEXED BY ix_cards_device_id ON cards.device_id = wanted.value
    WHERE cards.starts_at > ?2
"""

START_AGAIN = """
    UPDATE cards SET starts_at = ?3, reason = ?4
    WHERE activity_id = ?1 AND number IN (SELECT value FROM json_each(?2))
"""

LISTEN = f"""
    UPDATE cards SET
        on_channel = 1, status = iif(status = {int(CardStatus.STARTING)} AND ?3, {int(CardStatus.LIVE)}, status),
        reason = iif(?3, NULL, reason)
    WHERE activity_id = ?1 AND number IN (SELECT value FROM json_each(?2))
"""

UNLISTEN = """
    UPDATE cards SET on_channel = 0 WHERE activity_id = ?1 AND number IN (SELECT value FROM json_each(?2))
"""

# Numbers rise with time: the oldest card is the lowest. One whose device starts a newer one is being renewed already.
AGED = f"""
    SELECT number, device_id FROM cards
    WHERE activity_id = ?1 AND number > ?2 AND status = {int(CardStatus.LIVE)} AND created_at <= ?3
      AND closed_at IS NULL AND NOT EXISTS (
        SELECT 1 FROM cards AS newer INDEXED BY ix_cards_device_id
        WHERE newer.device_id = cards.device_id AND newer.activity_id = ?1 AND newer.number > cards.number
          AND newer.status IN ({int(CardStatus.STARTING)}, {int(CardStatus.LIVE)}))
    ORDER BY number LIMIT ?4
"""

OLDEST = f"""
    SELECT created_at FROM cards
    WHERE activity_id = ? AND number > ? AND status = {int(CardStatus.LIVE)} AND closed_at IS NULL
    ORDER BY number LIMIT 1
"""

# What has become of the newer card is told by its state: where its start was refused the older one stays.
TAKE_OVER = f"""
    UPDATE cards SET status = {int(CardStatus.RENEWED)}
    WHERE activity_id = ?1 AND number IN (
        SELECT older.number FROM cards AS newer
        CROSS JOIN cards AS older INDEXED BY ix_cards_device_id
          ON older.device_id = newer.device_id AND older.activity_id = ?1
        WHERE newer.activity_id = ?1 AND newer.number BETWEEN ?3 AND ?4 AND newer.status <> {int(CardStatus.LOST)}
          AND older.number BETWEEN ?2 AND newer.number - 1 AND older.status = {int(CardStatus.LIVE)})
    RETURNING number, on_channel
"""

LISTENS = f"""
    SELECT 1 FROM cards
    WHERE activity_id = ? AND number >= ? AND status = {int(CardStatus.LIVE)} AND on_channel AND created_at < ? LIMIT 1
"""

# One that is being started on a channel counts as live: it reports no token, and ends with the channel's broadcast.
OLDER_OPEN = f"""
    SELECT {_COLUMNS} FROM cards INDEXED BY ix_cards_device_id
    WHERE device_id = ? AND activity_id = ? AND number < ?
      AND (status IN ({int(CardStatus.RENEWED)}, {int(CardStatus.LIVE)})
        OR (status = {int(CardStatus.STARTING)} AND on_channel)) AND closed_at IS NULL
    ORDER BY number LIMIT 1
"""

ENDED_BEFORE = f"""
    SELECT {_COLUMNS} FROM cards INDEXED BY ix_cards_device_id
    WHERE device_id = ? AND activity_id = ? AND number < ? AND status = {int(CardStatus.ENDED)}
    ORDER BY number DESC LIMIT 1
"""

WAS_CLOSED_AT = f"""
    SELECT 1 FROM cards INDEXED BY ix_cards_device_id
    WHERE device_id = ? AND activity_id = ? AND closed_at = ? AND status <> {int(CardStatus.LOST)} LIMIT 1
"""

# A swipe speaks for its device until a newer card of the run is there.
SWIPED_ON = f"""
    SELECT json_group_array(cards.device_id)
    FROM json_each(?) AS wanted
    CROSS JOIN cards INDEXED BY ix_cards_device_id
      ON cards.device_id = wanted.value AND cards.activity_id = ? AND cards.number >= ?
    WHERE cards.status = {int(CardStatus.DISMISSED)} AND cards.closed_at >= ?
"""

# A start whose answer was lost, and that of its repeat too, is worth another try: nobody has said that it cannot be.
# One that may not be repeated has no time of closing: for all we know its card runs.
STARTABLE_AGAIN = f"""
    SELECT 1 FROM cards INDEXED BY ix_cards_gone
    WHERE cards.activity_id = ?1 AND cards.number >= ?2
      AND (cards.status = {int(CardStatus.DISMISSED)}
        OR (cards.status = {int(CardStatus.LOST)} AND cards.reason = '{NO_ANSWER}'))
      AND iif(cards.status = {int(CardStatus.LOST)}, cards.closed_at IS NOT NULL, cards.closed_at < ?3)
      AND NOT EXISTS (
        SELECT 1 FROM cards AS later INDEXED BY ix_cards_device_id
        WHERE later.device_id = cards.device_id AND later.activity_id = ?1 AND later.number > cards.number)
    LIMIT 1
"""

_starts = msgspec.json.Decoder(list[tuple[DeviceId, Millis]])

_silent = msgspec.json.Decoder(list[tuple[CardNumber, DeviceId, int]])

_device_ids = msgspec.json.Decoder(set[int])


class CardRecords:
    """The part of `activities.ports.ActivityRecords` and `delivery.ports.CardRecords` that is about cards."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add_card(self, card: Card) -> None:
        """Store a new card; its number came from the activity's `next_card`."""
        self._connection.execute(
            ADD,
            (
                card.activity_id,
                card.number,
                card.device_id,
                int(card.status),
                card.started_by,
                card.created_at,
                card.token,
                card.token_time,
                card.registered_at,
                card.closed_at,
                card.reason,
            ),
        )

    def add_cards(
        self,
        activity_id: ActivityId,
        first: CardNumber,
        started_by: RevisionNumber,
        devices: Sequence[DeviceId],
        now: Millis,
        starts_at: Millis | None = None,
    ) -> None:
        """Store new cards in `STARTING`, numbered from `first` in the order of `devices`; `starts_at`: not before."""
        values = (activity_id, first, started_by, now, now if starts_at is None else starts_at, _json(devices))
        self._connection.execute(ADD_MANY, values)

    def card(self, activity_id: ActivityId, number: CardNumber) -> Card | None:
        """One card."""
        row = self._connection.execute(GET, (activity_id, number)).fetchone()
        return None if row is None else _card(row)

    def save_card(self, card: Card) -> None:
        """Store what can change of a card."""
        self._connection.execute(
            SAVE,
            (
                int(card.status),
                card.token,
                card.token_time,
                card.registered_at,
                card.closed_at,
                card.reason,
                card.activity_id,
                card.number,
            ),
        )

    def newest_card(self, activity_id: ActivityId, device_id: DeviceId) -> Card | None:
        """The card with the highest number that the device has in this activity, `MOVED` ones left out."""
        row = self._connection.execute(NEWEST, (device_id, activity_id)).fetchone()
        return None if row is None else _card(row)

    def holding(self, activity_id: ActivityId, device_id: DeviceId, token: str) -> Card | None:
        """The device's card in this activity that has this update token."""
        row = self._connection.execute(HOLDING, (token, device_id, activity_id)).fetchone()
        return None if row is None else _card(row)

    def was_held_before(self, card: Card, token: str) -> bool:
        """Whether a card of the same device and activity before this one had this token, and is over."""
        values = (card.device_id, card.activity_id, card.number, token)
        return self._connection.execute(HAD, values).fetchone() is not None

    def card_before(
        self, activity_id: ActivityId, device_id: DeviceId, below: CardNumber, made_until: Millis
    ) -> Card | None:
        """The device's newest card numbered below `below` and made until then, `MOVED` ones left out."""
        row = self._connection.execute(BEFORE, (device_id, activity_id, below, made_until)).fetchone()
        return None if row is None else _card(row)

    def awaiting_before_listener(self, activity_id: ActivityId, device_id: DeviceId, below: CardNumber) -> Card | None:
        """The device's newest card that awaits its token, numbered below `below`, where that listens on a channel."""
        row = self._connection.execute(AWAITING_BEFORE_LISTENER, (device_id, activity_id, below)).fetchone()
        return None if row is None else _card(row)

    def nameless_starting(self, app_id: AppId, device_id: DeviceId) -> list[Card]:
        """The device's cards in `STARTING` in activities that have no name, newest first."""
        return [_card(row) for row in self._connection.execute(NAMELESS_STARTING, (device_id, app_id)).fetchall()]

    def running_on(
        self, activity_id: ActivityId, first: CardNumber, devices: Sequence[DeviceId], since: Millis
    ) -> set[DeviceId]:
        """Which of the devices have a card numbered from `first` that starts or is live, and was heard of since."""
        row = self._connection.execute(RUNNING_ON, (_json(devices), activity_id, first, since)).fetchone()
        return {DeviceId(device_id) for device_id in _device_ids.decode(row[0])}

    def aged(
        self, activity_id: ActivityId, above: CardNumber, until: Millis, limit: int
    ) -> list[tuple[CardNumber, DeviceId]]:
        """Live cards numbered above `above` that were made until then and have no successor, the oldest first."""
        rows = self._connection.execute(AGED, (activity_id, above, until, limit)).fetchall()
        return [(CardNumber(number), DeviceId(device_id)) for number, device_id in rows]

    def oldest_live(self, activity_id: ActivityId, above: CardNumber) -> Millis | None:
        """When the oldest live card numbered above `above` was made."""
        row = self._connection.execute(OLDEST, (activity_id, above)).fetchone()
        return None if row is None else Millis(row[0])

    def take_over(
        self, activity_id: ActivityId, lowest: CardNumber, first: CardNumber, last: CardNumber
    ) -> list[tuple[CardNumber, bool]]:
        """Cards from `lowest` on whose device goes on in one of the cards from `first` to `last` become `RENEWED`.

        Returns their numbers, in order, and whether they listen on a channel.
        """
        rows = self._connection.execute(TAKE_OVER, (activity_id, lowest, first, last)).fetchall()
        return sorted((CardNumber(number), bool(on_channel)) for number, on_channel in rows)

    def is_any_listening(self, activity_id: ActivityId, first: CardNumber, before: Millis) -> bool:
        """Whether a live card that was made before then listens on a channel."""
        return self._connection.execute(LISTENS, (activity_id, first, before)).fetchone() is not None

    def older_open(self, activity_id: ActivityId, device_id: DeviceId, below: CardNumber) -> Card | None:
        """The oldest card on the device, numbered below `below`, that has not been closed yet."""
        row = self._connection.execute(OLDER_OPEN, (device_id, activity_id, below)).fetchone()
        return None if row is None else _card(row)

    def ended_before(self, activity_id: ActivityId, device_id: DeviceId, below: CardNumber) -> Card | None:
        """The newest card on the device, numbered below `below`, that has ended with its activity."""
        row = self._connection.execute(ENDED_BEFORE, (device_id, activity_id, below)).fetchone()
        return None if row is None else _card(row)

    def was_closed_at(self, activity_id: ActivityId, device_id: DeviceId, time: Millis) -> bool:
        """Whether a card of the device was closed at exactly that time: the same close again."""
        return self._connection.execute(WAS_CLOSED_AT, (device_id, activity_id, time)).fetchone() is not None

    def listen(self, activity_id: ActivityId, numbers: Sequence[CardNumber], *, live: bool) -> None:
        """These cards are being started on the activity's channel; `live`: APNs has taken the starts."""
        self._connection.execute(LISTEN, (activity_id, _json(numbers), live))

    def unlisten(self, activity_id: ActivityId, numbers: Sequence[CardNumber]) -> None:
        """These cards are being started without a channel, though an earlier attempt was to use one."""
        self._connection.execute(UNLISTEN, (activity_id, _json(numbers)))

    def starts_of(
        self, devices: Sequence[DeviceId], since: Millis, at_least: int
    ) -> dict[DeviceId, list[Millis]]:  # fmt: skip
        """When those of the devices that have at least so many starts after `since` had them, or will have them."""
        (often,) = self._connection.execute(OFTEN_STARTED, (_json(devices), since, at_least)).fetchone()
        found: dict[DeviceId, list[Millis]] = {}
        if often == "[]":
            return found
        (text,) = self._connection.execute(STARTS_OF, (often, since)).fetchone()
        for device_id, starts_at in _starts.decode(text):
            found.setdefault(device_id, []).append(starts_at)
        return found

    def start_again(
        self, activity_id: ActivityId, numbers: Sequence[CardNumber], reason: str, now: Millis
    ) -> None:  # fmt: skip
        """These cards are being started once more, and why."""
        self._connection.execute(START_AGAIN, (activity_id, _json(numbers), now, reason))

    def without_token(self, activity_id: ActivityId, first: CardNumber, last: CardNumber) -> list[SilentCard]:
        """The cards from `first` to `last` that are starting, listen on no channel, and have no token; by number."""
        (text,) = self._connection.execute(WITHOUT_TOKEN, (activity_id, first, last)).fetchone()
        return sorted(
            (SilentCard(number, device_id, bool(reported)) for number, device_id, reported in _silent.decode(text)),
            key=lambda one: one.number,
        )

    def lose_starts(self, activity_id: ActivityId, numbers: Sequence[CardNumber], reason: str) -> None:
        """These starts are given up as lost, though their devices may still report them."""
        self._connection.execute(LOSE_STARTS, (activity_id, _json(numbers), reason))

    def swiped_on(
        self, activity_id: ActivityId, first: CardNumber, devices: Sequence[DeviceId], since: Millis
    ) -> set[DeviceId]:
        """On which of the devices a person swiped a card numbered from `first` away, at or after `since`."""
        row = self._connection.execute(SWIPED_ON, (_json(devices), activity_id, first, since)).fetchone()
        return {DeviceId(device_id) for device_id in _device_ids.decode(row[0])}

    def is_any_startable_again(self, activity_id: ActivityId, first: CardNumber, before: Millis) -> bool:
        """Whether a card numbered from `first` was swiped away before that time, or its start given up unanswered.

        Cards that another one has come after do not count.
        """
        return self._connection.execute(STARTABLE_AGAIN, (activity_id, first, before)).fetchone() is not None


def _json(ids: Sequence[int]) -> str:
    return msgspec.json.encode(list(ids)).decode("ascii")


def _card(row: tuple[ActivityId, CardNumber, DeviceId, int, RevisionNumber, Millis, *tuple[object, ...]]) -> Card:
    activity_id, number, device_id, status, started_by, created_at, *rest = row
    return Card(activity_id, number, device_id, CardStatus(status), started_by, created_at, *rest)  # type: ignore[arg-type]
