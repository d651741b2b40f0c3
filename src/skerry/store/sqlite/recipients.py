"""A chunk's cards as the sender needs them: whom to push to, with which token, where.

The hottest read of all: a million cards are two thousand of these. A chunk's rows leave SQLite as one JSON text, for
the reason that `cards` gives, which decodes straight into recipients: 0.3 ms for 500 of them, a fifth of what it takes
to build them row by row.
"""

from typing import Any

import msgspec

from skerry.domain.card import CardStatus
from skerry.domain.chunk import Recipient
from skerry.domain.ids import CardNumber
from skerry.domain.personal import Person

# `domain.device.is_modern`, held against it by a test: digits up to the first point, 18 or more.
_MODERN = """
    coalesce(
        CAST(devices.os_version AS INTEGER) >= 18
        AND substr(devices.os_version, 1, instr(devices.os_version || '.', '.') - 1) NOT GLOB '*[^0-9]*', 0)
"""

# In the order of a recipient's fields.
_DEVICE = """
    devices.environment, coalesce(devices.environment_proved, 0), coalesce(devices.other_environment_tried, 0),
    cards.on_channel
"""

# The typed start token before the untyped one; dead ones count for nothing.
START_RECIPIENTS = f"""
    SELECT json_group_array(json_array(
        cards.number, cards.device_id, cards.status, coalesce(typed.token, untyped.token), {_DEVICE},
        {_MODERN}, coalesce(cards.starts_at > cards.created_at, 0),
        iif(cards.status = {int(CardStatus.STARTING)}, cards.reason, NULL)))
    FROM cards
    LEFT JOIN devices ON devices.device_id = cards.device_id
    LEFT JOIN start_tokens AS typed
      ON typed.app_id = ?1 AND typed.device_id = cards.device_id AND typed.attributes_type = ?2
     AND typed.dead_reason IS NULL
    LEFT JOIN start_tokens AS untyped
      ON untyped.app_id = ?1 AND untyped.device_id = cards.device_id AND untyped.attributes_type = ''
     AND untyped.dead_reason IS NULL
    WHERE cards.activity_id = ?3 AND cards.number BETWEEN ?4 AND ?5
"""

_CARD = f"json_array(cards.number, cards.device_id, cards.status, cards.token, {_DEVICE})"

CARD = f"iif(cards.number IS NULL, NULL, {_CARD})"
"""A card as a value among others, where `cards` and `devices` are joined; NULL where there is none."""

CARD_RECIPIENTS = f"""
    SELECT json_group_array({_CARD})
    FROM cards
    LEFT JOIN devices ON devices.device_id = cards.device_id
    WHERE cards.activity_id = ?1 AND cards.number BETWEEN ?2 AND ?3
"""

# What a card's texts may depend on, read only where they do.
PEOPLE = """
    SELECT json_group_array(json_array(cards.number, devices.language, json(coalesce(users.profile, '{}'))))
    FROM cards
    LEFT JOIN devices ON devices.device_id = cards.device_id
    LEFT JOIN users ON users.user_id = devices.user_id
    WHERE cards.activity_id = ?1 AND cards.number BETWEEN ?2 AND ?3
"""

LANGUAGES = """
    SELECT json_group_array(json_array(cards.number, devices.language))
    FROM cards
    LEFT JOIN devices ON devices.device_id = cards.device_id
    WHERE cards.activity_id = ?1 AND cards.number BETWEEN ?2 AND ?3
"""

_people = msgspec.json.Decoder(list[Person])

_recipients = msgspec.json.Decoder(list[Recipient], strict=False)  # not strict: SQLite's booleans are 0 and 1


def decode(row: tuple[Any, ...]) -> list[Recipient]:
    """What one of the statements gave, by card number. A device that was erased has no token and no environment."""
    recipients = _recipients.decode(row[0])
    # An aggregate promises no order, though SQLite reads the range in order: sorting a sorted list costs little.
    recipients.sort(key=_number)
    return recipients


def decode_people(row: tuple[Any, ...]) -> dict[CardNumber, Person]:
    """What `PEOPLE` or `LANGUAGES` gave, by card number."""
    return {one.number: one for one in _people.decode(row[0])}


def _number(recipient: Recipient) -> CardNumber:
    return recipient.number
