"""A mixed fleet at its full size: one update costs one broadcast and one push per older phone, and reaches them all.

The phones are the simulator's, each judging by itself what it is sent. A hundred thousand of them take 77 seconds of
one core and 0.9 GB: mostly their reports and their judgement.
"""

import asyncio
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import virtual_world
from virtual_world import VirtualService, virtual_service

from skerry.api.v1.events import read_report
from skerry.domain.activity import End
from skerry.domain.audience import Audience
from skerry.domain.desired import Desired
from skerry.domain.ids import GroupId, RevisionNumber
from skerry.domain.receipt import ActivityReceipt
from skerry.domain.verdict import Verdict
from skerry.receipts.service import Receipts
from skerry.simulator.phone.card import CardStatus
from skerry.simulator.phone.reporter import request_body

FINAL = Desired(
    group_id=GroupId("final"),
    state=b'{"goals":0}',
    attributes_type="Match",
    attributes=b'{"home":"Skerry"}',
    alert=b'{"title":"Final","body":"It begins"}',
    audience=Audience(everyone=True),
)
TOGETHER = 1_000
"""Reports that arrive at once, and share their commits."""


async def arrive(service: VirtualService) -> None:
    """What the phones have reported arrives as it does from so many: not one after the other."""
    while service.reports:
        some, service.reports[:] = service.reports[:TOGETHER], service.reports[TOGETHER:]
        bodies = (json.dumps(request_body([one])).encode() for one in some)
        reports = (service.registry.report(service.app_id, read_report(body, service.now)[0]) for body in bodies)
        await asyncio.gather(*reports)


async def put(service: VirtualService, desired: Desired) -> Counter[str]:
    """Say it; what that cost, once all is done."""
    before = Counter(service.apple.counts)
    await service.desired.put(service.app_id, desired)
    await service.pass_time(2.0)
    return Counter(service.apple.counts) - before


def shown(service: VirtualService) -> Counter[tuple[tuple[str, bytes], ...]]:
    """What phones show, card by card, and how many show that."""
    return Counter(
        tuple((card.status.name, card.content_state) for card in phone.cards)
        for phone in service.world.phones.values()
    )  # fmt: skip


async def activity(service: VirtualService) -> ActivityReceipt:
    found = await Receipts(service.store).activity(service.app_id, "final")
    assert found is not None
    return found


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("phones", [500, pytest.param(100_000, marks=pytest.mark.slow)])
async def test_an_update_is_one_broadcast_and_one_push_per_older_phone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phones: int
) -> None:
    newer, older = phones * 6 // 10, phones * 4 // 10
    monkeypatch.setattr(VirtualService, "take_reports", arrive)
    monkeypatch.setattr(virtual_world, "MOST_TURNS", 100 * virtual_world.MOST_TURNS)
    async with virtual_service(tmp_path) as service:
        service.world.add_phones(newer)
        service.world.add_phones(older, os_version="17.5")
        await service.quiet()
        assert await put(service, FINAL) == {"start": phones, "channel": 1}
        assert shown(service) == {((CardStatus.LIVE.name, b'{"goals":0}'),): phones}

        changed = replace(FINAL, state=b'{"goals":1}', alert=None)
        assert await put(service, changed) == {"broadcast": 1, "update": older}
        assert shown(service) == {((CardStatus.LIVE.name, b'{"goals":1}'),): phones}
        found = await activity(service)
        told = await Receipts(service.store).revision(found.activity, RevisionNumber(found.activity.newest))
        assert told is not None
        assert told.verdicts == {Verdict.ACCEPTED: older, Verdict.ON_CHANNEL: newer}
        assert told.broadcast is Verdict.ACCEPTED

        before = Counter(service.apple.counts)
        await service.desired.end(service.app_id, GroupId("final"), End(state=b'{"goals":2}'))
        await service.quiet()
        assert Counter(service.apple.counts) - before == {"broadcast": 1, "end": older}
        assert shown(service) == {((CardStatus.ENDED.name, b'{"goals":2}'),): phones}
