"""A card that was given up, or whose token died, is believed to be there again when the phone says so."""

from dataclasses import replace

import pytest

from skerry.domain.card import NO_ANSWER, Card, CardStatus, TokenReport, lose_token, refuse_start, report_token
from skerry.domain.ids import ActivityId, CardNumber, DeviceId, Millis, RevisionNumber

OLD, NEW = "aa" * 16, "bb" * 16
STARTING = Card(ActivityId(1), CardNumber(1), DeviceId(1), CardStatus.STARTING, RevisionNumber(1), created_at=Millis(0))


def lost(*, since: int = 20, at: int = 30) -> Card:
    live, _ = report_token(STARTING, OLD, Millis(10), Millis(10))
    return lose_token(live, OLD, "Unregistered", Millis(since), Millis(at))


def test_the_first_token_of_a_card_that_was_given_up_may_come_hours_later() -> None:
    given_up = refuse_start(STARTING, NO_ANSWER, Millis(600))
    card, meaning = report_token(given_up, OLD, Millis(5), Millis(9_000))
    assert (card.status, card.token, card.reason, meaning) == (CardStatus.LIVE, OLD, None, TokenReport.JOINED)


def test_a_token_that_the_phone_got_before_apns_called_the_old_one_dead_is_taken() -> None:
    card, meaning = report_token(lost(), NEW, Millis(20), Millis(60))
    assert (card.status, card.token, meaning) == (CardStatus.LIVE, NEW, TokenReport.JOINED)


@pytest.mark.parametrize("time", [9, 10])
def test_the_report_of_the_dead_token_brings_nothing_when_it_comes_again(time: int) -> None:
    card, meaning = report_token(lost(), OLD, Millis(time), Millis(60))
    assert (card, meaning) == (lost(), TokenReport.STALE)


def test_a_renewed_card_that_says_its_token_again_stays_renewed() -> None:
    live, _ = report_token(STARTING, OLD, Millis(10), Millis(10))
    renewed = replace(live, status=CardStatus.RENEWED)
    assert report_token(renewed, OLD, Millis(50), Millis(50)) == (renewed, TokenReport.REPEATED)
