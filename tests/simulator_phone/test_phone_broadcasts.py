"""Broadcasts on a phone: who listens, what is shown, and that they and token pushes share one order of time."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.simulator_phone.conftest import BUNDLE, Desk

from skerry.domain.push import Environment
from skerry.simulator.carrier import Broadcast
from skerry.simulator.phone.card import CardStatus, EndCause
from skerry.simulator.phone.phone import PhoneActionError
from skerry.simulator.phone.rules import HOUR_S
from skerry.simulator.phone.verdict import PushRecord, Verdict

CHANNEL = "zc7NrIwHQQ+FJ4Z2Vu7rWg=="
OTHER = "AAAAAAAAAAAAAAAAAAAAAA=="
NEARLY = {"title": "Uploading", "subtitle": "Nearly", "progress": 0.9}


def tune_in(desk: Desk, channel: str = CHANNEL, **changes: Any) -> PushRecord:
    return desk.start(**{"input-push-channel": channel, "input-push-token": ..., **changes})


def hear(
    desk: Desk, body: dict[str, Any] | bytes, *, channel: str = CHANNEL, stored: bool = True, expiration: int = 0
) -> PushRecord:
    """Send a broadcast; the last record that it left."""
    text = body if isinstance(body, bytes) else json.dumps({"aps": body}).encode()
    broadcast = Broadcast(
        Environment.SANDBOX, BUNDLE, channel, stored, "request-1", 5, expiration, text, accepted_at=desk.now
    )
    desk.phone.receive_broadcast(broadcast, desk.now)
    return desk.phone.log.records[-1]


def test_a_start_with_a_channel_listens_there_and_has_no_update_token(desk: Desk) -> None:
    assert tune_in(desk).verdict is Verdict.STARTED
    assert desk.card.channel == CHANNEL
    assert desk.card.update_token is None
    assert desk.phone.subscriptions == {CHANNEL}
    assert [name for name, _ in desk.reports()] == ["LiveActivityStartToken"]


@pytest.mark.parametrize("os_version", ["17.2", "17.6.1"])
def test_below_ios_18_a_start_with_a_channel_does_not_start(new_desk: Callable[..., Desk], os_version: str) -> None:
    desk = new_desk(os_version)
    record = tune_in(desk)
    assert (record.verdict, record.why) == (Verdict.OS_TOO_OLD, "a start with input-push-channel needs iOS 18")
    assert desk.phone.cards == []
    assert desk.start().verdict is Verdict.STARTED


def test_an_app_may_start_on_a_channel_itself(desk: Desk, new_desk: Callable[..., Desk]) -> None:
    attributes, state = b'{"referenceId":"a"}', json.dumps(NEARLY).encode()
    card = desk.phone.start_locally("LiveActivityAttributes", attributes, state, desk.now, CHANNEL)
    assert (card.channel, card.update_token) == (CHANNEL, None)
    with pytest.raises(PhoneActionError, match="needs iOS 18"):
        new_desk("17.5").phone.start_locally("LiveActivityAttributes", attributes, state, desk.now, CHANNEL)


def test_a_broadcast_updates_and_ends(desk: Desk) -> None:
    tune_in(desk)
    record = hear(desk, desk.aps("update"))
    assert (record.verdict, record.channel, record.token, record.token_kind) == (Verdict.SHOWN, CHANNEL, "", None)
    assert (record.group_id, record.apns_id) == ("upload-456", "request-1")
    assert json.loads(desk.card.content_state) == NEARLY
    ended = hear(desk, desk.aps("end", dismissal_date=int(desk.now) + 60))
    assert ended.verdict is Verdict.ENDED
    assert (desk.card.status, desk.card.ended_by) == (CardStatus.ENDED, EndCause.PUSH)
    assert desk.phone.subscriptions == frozenset()
    assert desk.reports()[-1] == ("LiveActivityClose", "upload-456")


def test_a_broadcast_cannot_start(desk: Desk) -> None:
    tune_in(desk)
    assert hear(desk, desk.aps("start")).verdict is Verdict.BROADCAST_START
    assert len(desk.phone.cards) == 1


def test_one_order_of_time_holds_for_broadcasts_and_tokens(desk: Desk) -> None:
    """The app has asked for a channel and the card also has a token: the newest timestamp wins, whatever brought it."""
    desk.start()
    desk.card.channel = CHANNEL
    older = desk.aps("update")
    assert desk.update().verdict is Verdict.SHOWN
    assert hear(desk, older).verdict is Verdict.OLDER_TIMESTAMP
    newest = desk.aps("update")
    assert hear(desk, newest).verdict is Verdict.SHOWN
    assert hear(desk, newest).verdict is Verdict.EQUAL_TIMESTAMP
    assert desk.send(desk.card.update_token, newest).verdict is Verdict.EQUAL_TIMESTAMP


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        (b"{", Verdict.MALFORMED_PAYLOAD),
        ({"event": "update", "timestamp": 1_790_000_050}, Verdict.UNDECODABLE_CONTENT_STATE),
        (
            {"event": "update", "timestamp": 1_790_000_050, "content-state": {"title": 1}},
            Verdict.UNDECODABLE_CONTENT_STATE,
        ),
        (
            {"event": "update", "timestamp": 1_790_000_050, "content-state": {**NEARLY, "title": "x" * 4096}},
            Verdict.TOO_LARGE,
        ),
    ],
)
def test_what_a_phone_cannot_show_by_token_it_cannot_show_by_channel(
    desk: Desk, body: bytes | dict[str, Any], verdict: Verdict
) -> None:
    tune_in(desk)
    assert hear(desk, body).verdict is verdict


def test_staleness_and_the_eight_hour_wall_are_those_of_every_card(desk: Desk) -> None:
    tune_in(desk)
    hear(desk, desk.aps("update", **{"stale-date": int(desk.now) + 60}))
    desk.wait(61)
    assert desk.card.status is CardStatus.STALE
    desk.wait(8 * HOUR_S)
    assert (desk.card.status, desk.card.ended_by) == (CardStatus.ENDED, EndCause.SYSTEM)
    assert desk.phone.subscriptions == frozenset()


def test_a_swiped_card_no_longer_listens(desk: Desk) -> None:
    tune_in(desk)
    desk.phone.dismiss("upload-456", desk.now)
    assert desk.phone.subscriptions == frozenset()
    assert hear(desk, desk.aps("update")).verdict is Verdict.ACTIVITY_ENDED


def test_two_cards_on_one_channel_each_take_it(desk: Desk) -> None:
    tune_in(desk)
    tune_in(desk, attributes={"referenceId": "second"})
    hear(desk, desk.aps("update"))
    assert [json.loads(card.content_state) for card in desk.phone.cards] == [NEARLY, NEARLY]
    assert [record.group_id for record in desk.phone.log.records[-2:]] == ["upload-456", "second"]
    assert desk.phone.log.counts[Verdict.SHOWN] == 2


# Offline


def test_an_offline_phone_gets_the_latest_broadcast_of_each_storing_channel(desk: Desk) -> None:
    tune_in(desk)
    tune_in(desk, OTHER, attributes={"referenceId": "other"})
    desk.phone.go_offline(desk.now)
    soon = int(desk.now) + 3600
    assert hear(desk, desk.aps("update"), expiration=soon).verdict is Verdict.STORED
    latest = desk.aps("update", **{"content-state": {**NEARLY, "progress": 1.0}})
    hear(desk, latest, expiration=soon)
    hear(desk, desk.aps("update"), channel=OTHER, expiration=soon)
    desk.phone.go_online(desk.now)
    first, second = desk.phone.cards
    assert json.loads(first.content_state)["progress"] == 1.0
    assert json.loads(second.content_state) == NEARLY
    assert [record.verdict for record in desk.phone.log.records[-3:]] == [
        Verdict.REPLACED_IN_STORAGE,
        Verdict.SHOWN,
        Verdict.SHOWN,
    ]


def test_the_app_s_own_place_in_storage_is_another_one(desk: Desk) -> None:
    tune_in(desk)
    desk.phone.go_offline(desk.now)
    hear(desk, desk.aps("update"), expiration=int(desk.now) + 3600)
    assert desk.start(attributes={"referenceId": "second"}).verdict is Verdict.STORED
    desk.phone.go_online(desk.now)
    assert [record.verdict for record in desk.phone.log.records[-2:]] == [Verdict.SHOWN, Verdict.STARTED]


def test_what_a_channel_does_not_store_is_lost_to_an_offline_phone(desk: Desk) -> None:
    tune_in(desk)
    desk.phone.go_offline(desk.now)
    assert hear(desk, desk.aps("update"), stored=False).verdict is Verdict.NOT_STORED
    assert hear(desk, desk.aps("update"), stored=True, expiration=0).verdict is Verdict.NOT_STORED


def test_a_stored_broadcast_is_kept_for_8_hours_at_most(desk: Desk) -> None:
    tune_in(desk)
    desk.wait(3 * HOUR_S)
    desk.phone.go_offline(desk.now)
    hear(desk, desk.aps("update"), expiration=int(desk.now) + 20 * 3600)
    assert desk.phone.next_due() == desk.card.started_at + 8 * HOUR_S
    desk.wait(5 * HOUR_S)
    assert desk.phone.log.records[-1].verdict is Verdict.STORED
    desk.wait(3 * HOUR_S)
    assert desk.phone.log.records[-1].verdict is Verdict.EXPIRED


def test_a_broadcast_that_expires_before_the_phone_is_back_is_lost(desk: Desk) -> None:
    tune_in(desk)
    desk.phone.go_offline(desk.now)
    hear(desk, desk.aps("update"), expiration=int(desk.now) + 60)
    desk.wait(61)
    desk.phone.go_online(desk.now)
    assert desk.phone.log.records[-1].verdict is Verdict.EXPIRED


def test_a_card_swiped_while_the_phone_was_offline_stays_away(desk: Desk) -> None:
    tune_in(desk)
    desk.phone.go_offline(desk.now)
    hear(desk, desk.aps("update"), expiration=int(desk.now) + 600)
    desk.phone.dismiss("upload-456", desk.now)
    desk.phone.go_online(desk.now)
    assert desk.phone.log.records[-1].verdict is Verdict.ACTIVITY_ENDED
    assert desk.card.status is CardStatus.DISMISSED


def test_a_deleted_app_loses_what_was_stored(desk: Desk) -> None:
    tune_in(desk)
    desk.phone.go_offline(desk.now)
    hear(desk, desk.aps("update"), expiration=int(desk.now) + 600)
    desk.phone.delete_app(desk.now)
    assert desk.phone.log.records[-1].verdict is Verdict.APP_DELETED
    assert desk.phone.subscriptions == frozenset()
