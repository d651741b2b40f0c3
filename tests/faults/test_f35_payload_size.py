"""F35: the size of a payload; F36: headers whose defaults lose notifications; F37: the topic of a Live Activity."""

import json

import pytest
from delivery_bed import APP, delivery
from testbed import BUNDLE, Bed, scenario

from skerry.domain.activity import Update
from skerry.domain.errors import PayloadTooLargeError
from skerry.domain.ids import GroupId
from skerry.domain.push import Outcome

pytestmark = pytest.mark.slow


def body_of(octets: int, filling: str) -> bytes:
    """JSON of exactly so many octets, filled with characters of several octets each."""
    empty = len(json.dumps({"aps": {"text": ""}}, ensure_ascii=False).encode())
    count, rest = divmod(octets - empty, len(filling.encode()))
    return json.dumps({"aps": {"text": filling * count + "x" * rest}}, ensure_ascii=False).encode()


@scenario()
@pytest.mark.parametrize("filling", ["x", "é", "€", "🏁"])
async def test_f35_octets_are_counted_not_characters(bed: Bed, filling: str) -> None:
    fits, too_long = body_of(4_096, filling), body_of(4_097, filling)
    assert (len(fits), len(too_long)) == (4_096, 4_097)
    assert (await bed.push(2, body=fits)).count(Outcome.ACCEPTED) == 2
    assert (await bed.push(2, body=too_long)).reasons == {"PayloadTooLarge"}


@scenario()
@pytest.mark.parametrize("text", ["x" * 4_100, "🏁" * 1_025], ids=["letters", "flags"])
async def test_f35_what_is_too_large_is_refused_before_it_uses_a_stream(bed: Bed, text: str) -> None:
    async with delivery(bed) as one:
        await one.cards(2)
        state = json.dumps({"text": text}, ensure_ascii=False).encode()
        with pytest.raises(PayloadTooLargeError):
            await one.activities.update(APP, GroupId("match"), Update(state))
        assert bed.entries() == []


@scenario()
async def test_f36_type_priority_and_expiration_are_said_as_they_were_asked_for(bed: Bed) -> None:
    await bed.push(1)
    await bed.push(1, priority=5, expiration=0)
    await bed.push(1, expiration=1_790_003_600)
    said = [(entry.push_type, entry.priority, entry.expiration) for entry in bed.entries()]
    assert said == [("liveactivity", 10, None), ("liveactivity", 5, 0), ("liveactivity", 10, 1_790_003_600)]


@scenario()
async def test_f37_the_topic_has_its_suffix_once(bed: Bed) -> None:
    async with delivery(bed) as one:
        await one.cards(1)
        await one.update()
        await one.settled()
    assert {entry.topic for entry in bed.entries()} == {f"{BUNDLE}.push-type.liveactivity"}
