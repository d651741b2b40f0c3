"""Bodies are made card by card only where they differ: what is the same for all stays one body for all."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from skerry.delivery.framing import Framed, frame
from skerry.domain import personal
from skerry.domain.card import CardStatus
from skerry.domain.chunk import Chunk, Recipient, fresh_verdicts
from skerry.domain.ids import ActivityId, AppId, CardNumber, ChunkId, DeviceId, Millis, RevisionNumber, Seconds
from skerry.domain.personal import Need, Person
from skerry.domain.push import Environment
from skerry.domain.revision import Revision, RevisionKind

CARDS = 6
NOW = Millis(1_790_000_000_000)


def framed(people: Mapping[CardNumber, Person], kind: RevisionKind = RevisionKind.UPDATE, **more: Any) -> Framed:
    revision = Revision(ActivityId(1), RevisionNumber(2), kind, Seconds(NOW // 1000), NOW, **more)
    numbers = [CardNumber(number) for number in range(1, CARDS + 1)]
    chunk = Chunk(
        ChunkId(1), AppId(1), ActivityId(1), RevisionNumber(2), numbers[0], numbers[-1], fresh_verdicts(CARDS)
    )  # fmt: skip
    recipients = [
        Recipient(
            number, DeviceId(number), int(CardStatus.LIVE), f"{number:064x}", Environment.PRODUCTION,
            environment_proved=True, other_environment_tried=False, modern=True,
        )
        for number in numbers
    ]  # fmt: skip
    return frame(chunk, revision, None, recipients, numbers, Environment.PRODUCTION, NOW, people=people)


def people(*said: tuple[str, dict[str, Any]]) -> dict[CardNumber, Person]:
    return {
        CardNumber(place): Person(CardNumber(place), language, msgspec.Raw(json.dumps(profile).encode()))
        for place, (language, profile) in enumerate(said, start=1)
    }


def test_what_is_the_same_for_all_is_one_body_whoever_they_are() -> None:
    for state in (b'{"a":"plain"}', b'{"a":"@@{plain}"}'):
        (shipment,) = framed(people(("tr", {"plain": "x"})), state=state).shipments
        assert shipment.bodies is None
        assert len(shipment.recipients) == CARDS
    assert b'"@{plain}"' in shipment.body, "an escape is the same for all"


def test_phones_with_the_same_language_share_a_body() -> None:
    alert = b'{"title":{"default":"Goal","tr":"Gol"},"body":"1 - 0"}'
    (shipment,) = framed(people(("tr", {}), ("tr-TR", {}), ("de", {})), state=b"{}", alert=alert).shipments
    assert shipment.bodies is not None
    assert [b"Gol" in body and b"Goal" not in body for body in shipment.bodies] == [True, True] + [False] * 4
    assert len({id(body) for body in shipment.bodies}) == 2


def test_one_language_among_the_phones_of_a_chunk_is_one_body() -> None:
    alert = b'{"title":{"default":"Goal","tr":"Gol"},"body":"1 - 0"}'
    (shipment,) = framed({}, state=b"{}", alert=alert).shipments
    assert shipment.bodies is None
    assert b'"title":"Goal"' in shipment.body


def test_each_recipient_has_the_body_at_its_place() -> None:
    state = b'{"a":"@{n}"}'
    done = framed(people(("", {"n": 1}), ("", {}), ("", {"n": 3}), ("", {"n": "x" * 5_000})), state=state)
    (shipment,) = done.shipments
    assert [one.number for one in shipment.recipients] == [1, 3]
    assert shipment.bodies is not None
    assert [json.loads(body)["aps"]["content-state"] for body in shipment.bodies] == [{"a": "1"}, {"a": "3"}]
    assert done.refused == {2: "MissingValue: n", 4: "PayloadTooLarge", 5: "MissingValue: n", 6: "MissingValue: n"}


def test_an_end_leaves_nobody_out() -> None:
    done = framed(people(("", {"n": 1})), RevisionKind.END, state=b'{"a":"@{n}"}', alert=b'{"title":"@{n}"}')
    (shipment,) = done.shipments
    assert not done.refused
    assert shipment.bodies is not None
    shown = [json.loads(body)["aps"] for body in shipment.bodies]
    assert [aps.get("content-state") for aps in shown] == [{"a": "1"}] + [None] * (CARDS - 1)
    assert {aps["event"] for aps in shown} == {"end"}


def test_only_what_is_needed_is_read() -> None:
    several = b'{"title":{"default":"Goal","tr":"Gol"},"body":"","sound":"default"}'
    assert personal.need(b'{"title":"Goal","sound":"default"}', b"{}", None) is Need.NOTHING
    assert personal.need(several, b"{}") is Need.LANGUAGE
    assert personal.need(several, b'{"a":"@{n}"}') is Need.PROFILE
    assert personal.need(None, None, b'{"a":"@{n|x}"}') is Need.PROFILE
