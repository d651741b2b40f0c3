"""A chunk's cards as the sender needs them: whom to push to, with which token, where.

The hottest read of all: a million cards are two thousand of these. A chunk's rows leave SQLite as one JSON text, for
the reason that `cards` gives, and are decoded in one go.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from skerry.domain.chunk import Recipient
from skerry.domain.device import is_modern
from skerry.domain.ids import CardNumber, DeviceId
from skerry.domain.push import Environment

# The typed start token before the untyped one; dead ones count for nothing.
START_RECIPIENTS = """
    SELECT json_group_array(json_array(
        cards.number, cards.device_id, cards.status, coalesce(typed.token, untyped.token), devices.environment,
        devices.environment_proved, devices.other_environment_tried, devices.os_version))
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

CARD_RECIPIENTS = """
    SELECT json_group_array(json_array(
        cards.number, cards.device_id, cards.status, cards.token, devices.environment,
        devices.environment_proved, devices.other_environment_tried, devices.os_version))
    FROM cards
    LEFT JOIN devices ON devices.device_id = cards.device_id
    WHERE cards.activity_id = ?1 AND cards.number BETWEEN ?2 AND ?3
"""


class _Row(NamedTuple):
    number: int
    device_id: int
    status: int
    token: str | None
    environment: Environment | None
    environment_proved: int | None
    other_environment_tried: int | None
    os_version: str | None


_rows = msgspec.json.Decoder(list[_Row])
_is_modern = lru_cache(maxsize=1024)(is_modern)  # there are few versions of iOS and a million phones


def decode(row: tuple[Any, ...]) -> list[Recipient]:
    """What one of the statements gave, by card number. A device that was erased has no token and no environment."""
    recipients = [
        Recipient(
            CardNumber(one.number),
            DeviceId(one.device_id),
            one.status,
            one.token,
            one.environment,
            bool(one.environment_proved),
            bool(one.other_environment_tried),
            _is_modern(one.os_version),
        )
        for one in _rows.decode(row[0])
    ]
    # An aggregate promises no order, though SQLite reads the range in order: sorting a sorted list costs nothing.
    recipients.sort(key=_number)
    return recipients


def _number(recipient: Recipient) -> CardNumber:
    return recipient.number
