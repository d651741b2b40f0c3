"""A card's clocks, a phone's tokens and storage, and what the app reports."""

from collections.abc import Callable
from typing import Any

import pytest

from skerry.simulator.phone.card import CardStatus, EndCause
from skerry.simulator.phone.phone import PhoneActionError, UnknownCardError
from skerry.simulator.phone.reports import ReportPolicy, ReportRule
from skerry.simulator.phone.rules import PhoneRules, read_os_version
from skerry.simulator.phone.verdict import Verdict

HOUR = 3600.0
START, UPDATE, CLOSE = "LiveActivityStartToken", "LiveActivityUpdateToken", "LiveActivityClose"


def test_after_eight_hours_the_system_ends_a_card_and_four_hours_later_it_is_gone(desk: Any) -> None:
    desk.start()
    desk.wait(8 * HOUR - 1)
    assert desk.card.status is CardStatus.LIVE
    desk.wait(1)
    assert (desk.card.status, desk.card.ended_by) == (CardStatus.ENDED, EndCause.SYSTEM)
    desk.wait(4 * HOUR)
    assert desk.card.status is CardStatus.DISMISSED


def test_a_leap_over_both_walls_happens_at_the_right_moments(desk: Any) -> None:
    desk.start()
    began = desk.now
    desk.wait(48 * HOUR)
    assert desk.card.ended_at == began + 8 * HOUR
    assert desk.card.dismissed_at == began + 12 * HOUR
    closes = [report for report in desk.phone.take_reports(desk.now) if report.kind.value == CLOSE]
    assert [report.time for report in closes] == [began + 8 * HOUR, began + 12 * HOUR]


def test_the_stale_date_makes_a_card_stale_and_an_update_fresh_again(desk: Any) -> None:
    desk.start(stale_date=int(desk.now) + 60)
    desk.wait(60)
    assert desk.card.status is CardStatus.STALE
    desk.update()
    assert desk.card.status is CardStatus.LIVE
    desk.wait(HOUR)
    assert desk.card.status is CardStatus.LIVE
    desk.update(stale_date=int(desk.now) - 1)
    assert desk.card.status is CardStatus.STALE
    assert desk.card.next_due() == desk.card.started_at + 8 * HOUR


@pytest.mark.parametrize(
    ("offset", "gone_after"), [(None, 4 * HOUR), (600, 600), (5 * HOUR, 4 * HOUR), (0, 0), (-1, 0)]
)
def test_the_dismissal_date_is_cut_to_four_hours_and_the_past_means_now(
    desk: Any, offset: float | None, gone_after: float
) -> None:
    desk.start()
    ended = desk.now
    desk.end(dismissal_date=... if offset is None else ended + offset)
    if gone_after:
        desk.wait(gone_after - 1)
        assert desk.card.status is CardStatus.ENDED
        desk.wait(1)
    assert desk.card.status is CardStatus.DISMISSED
    assert desk.card.dismissed_at == ended + gone_after


def test_an_update_token_answers_410_expired_token_after_eight_hours_also_when_ended(desk: Any) -> None:
    desk.start()
    token, began = desk.card.update_token, desk.now
    desk.end(dismissal_date=1)
    desk.wait(8 * HOUR - 1)
    assert desk.phone.standing(token, desk.now).gone is None
    desk.wait(1)
    standing = desk.phone.standing(token, desk.now)
    assert (standing.gone, standing.gone_since) == ("ExpiredToken", began + 8 * HOUR)


def test_a_rotated_start_token_is_good_for_apns_for_weeks_and_then_unregistered(desk: Any) -> None:
    old = desk.phone.start_token
    desk.phone.rotate_start_token(desk.now)
    desk.wait(13 * 24 * HOUR)
    assert desk.phone.standing(old, desk.now).gone is None
    desk.wait(24 * HOUR)
    assert desk.phone.standing(old, desk.now).gone == "Unregistered"
    assert desk.phone.standing(desk.phone.start_token, desk.now).gone is None


def test_deleting_the_app_turns_all_tokens_to_410_after_the_delay_and_tells_nobody(desk: Any) -> None:
    desk.start()
    desk.reports()
    tokens = [desk.phone.start_token, desk.card.update_token]
    desk.phone.delete_app(desk.now, unregistered_after_s=30)
    assert desk.send(tokens[0], desk.aps("start")).verdict is Verdict.APP_DELETED
    assert [desk.phone.standing(token, desk.now).gone for token in tokens] == [None, None]
    desk.wait(30)
    assert [desk.phone.standing(token, desk.now).gone for token in tokens] == ["Unregistered", "Unregistered"]
    assert desk.reports() == []
    assert desk.card.status is CardStatus.DISMISSED


def test_a_new_installation_has_new_ids_and_never_hears_the_old_tokens(desk: Any) -> None:
    old_token, old = desk.phone.start_token, desk.phone.installation
    desk.phone.delete_app(desk.now, unregistered_after_s=30)
    desk.phone.install_app(desk.now)
    assert desk.phone.installation.id != old.id
    assert desk.phone.installation.secret != old.secret
    assert desk.send(old_token, desk.aps("start")).verdict is Verdict.ROTATED_TOKEN
    assert desk.start().verdict is Verdict.STARTED


def test_tokens_look_like_apples_and_follow_from_the_seed(new_desk: Callable[..., Any]) -> None:
    one, two = new_desk(), new_desk()
    assert one.phone.start_token == two.phone.start_token
    assert len(one.phone.start_token) == 160
    assert one.phone.start_token.startswith("80")
    assert one.phone.installation == two.phone.installation


def test_the_app_reports_start_token_update_token_and_closes(desk: Any) -> None:
    assert desk.reports() == [(START, desk.phone.start_token)]
    desk.start()
    assert desk.reports() == [(UPDATE, desk.card.update_token)]
    desk.end()
    assert desk.reports() == [(CLOSE, "upload-456")]
    desk.phone.dismiss("upload-456", desk.now)
    assert desk.reports() == [(CLOSE, "upload-456")]


def test_an_end_that_removes_at_once_is_reported_once(desk: Any) -> None:
    desk.start()
    desk.reports()
    desk.end(dismissal_date=1)
    assert desk.reports() == [(CLOSE, "upload-456")]


def test_reports_can_be_late_twice_or_never(desk: Any) -> None:
    desk.reports()
    desk.phone.policy = ReportPolicy(update_token=ReportRule(delay_s=90, times=2), close=ReportRule(times=0))
    desk.start()
    began = desk.now
    assert desk.reports() == []
    assert desk.phone.next_due() == began + 90
    desk.wait(90)
    reports = desk.phone.take_reports(desk.now)
    assert [report.token for report in reports] == [desk.card.update_token] * 2
    assert reports[0].time == began  # what happened then, not when it left
    desk.end()
    assert desk.reports() == []


def test_shuffled_reports_leave_in_an_order_of_the_seed(new_desk: Callable[..., Any]) -> None:
    def sent() -> list[str]:
        desk = new_desk()
        desk.phone.policy = ReportPolicy(shuffle=True)
        for _ in range(8):
            desk.start()
        return [report.token for report in desk.phone.take_reports(desk.now)]

    plain = new_desk()
    for _ in range(8):
        plain.start()
    in_order = [report.token for report in plain.phone.take_reports(plain.now)]
    assert sorted(sent()) == sorted(in_order)
    assert sent() != in_order
    assert sent() == sent()


def test_offline_apns_keeps_the_newest_push_only(desk: Any) -> None:
    desk.start()
    desk.reports()
    desk.phone.go_offline(desk.now)
    first, second = desk.update(), desk.update(content_state={"title": "2", "subtitle": "", "progress": 0})
    assert (first.verdict, second.verdict) == (Verdict.STORED, Verdict.STORED)
    lost = desk.send(desk.card.update_token, desk.aps("update"), expiration=0)
    assert lost.verdict is Verdict.NOT_STORED
    desk.wait(100)
    desk.phone.go_online(desk.now)
    verdicts = [(record.number, record.verdict) for record in desk.phone.log.records]
    assert verdicts == [
        (1, Verdict.STARTED),
        (2, Verdict.REPLACED_IN_STORAGE),
        (3, Verdict.SHOWN),
        (4, Verdict.NOT_STORED),
    ]
    assert desk.phone.log.records[2].decided_at == desk.now == desk.phone.log.records[2].time + 100
    assert b'"2"' in desk.card.content_state


@pytest.mark.parametrize(("expiration", "until"), [(60, 60), (None, 30 * 24 * HOUR)])
def test_a_stored_push_expires(desk: Any, expiration: int | None, until: float) -> None:
    desk.phone.go_offline(desk.now)
    deadline = None if expiration is None else int(desk.now) + expiration
    desk.send(desk.phone.start_token, desk.aps("start"), expiration=deadline)
    desk.wait(until - 1)
    assert desk.phone.log.records[0].verdict is Verdict.STORED
    desk.wait(1)
    assert desk.phone.log.records[0].verdict is Verdict.EXPIRED
    desk.phone.go_online(desk.now)
    assert desk.phone.cards == []


def test_offline_nothing_is_reported_until_the_phone_is_back(desk: Any) -> None:
    desk.phone.go_offline(desk.now)
    assert desk.reports() == []
    assert desk.phone.next_due() is None
    desk.phone.go_online(desk.now)
    assert desk.reports() == [(START, desk.phone.start_token)]


def test_the_app_starts_an_activity_itself_and_the_first_push_takes_over(desk: Any) -> None:
    desk.reports()
    state = b'{"title":"a","subtitle":"b","progress":1}'
    card = desk.phone.start_locally("LiveActivityAttributes", b'{"referenceId":"own"}', state, desk.now)
    assert desk.reports() == [(UPDATE, card.update_token)]
    assert (card.group_id, card.timestamp) == ("own", None)
    assert desk.update(timestamp=5).verdict is Verdict.SHOWN


@pytest.mark.parametrize(
    ("os_version", "state", "message"),
    [("16.0", b"{}", "iOS 16.1"), ("18.1", b"{}", "keyNotFound"), ("18.1", b"x" * 9, "not valid JSON")],
)
def test_a_local_start_that_cannot_be_says_why(
    new_desk: Callable[..., Any], os_version: str, state: bytes, message: str
) -> None:
    desk = new_desk(os_version)
    with pytest.raises(PhoneActionError, match=message):
        desk.phone.start_locally("LiveActivityAttributes", b'{"referenceId":"own"}', state, desk.now)


def test_a_swipe_takes_the_newest_card_of_the_group_unless_one_is_named(desk: Any) -> None:
    for _ in range(3):
        desk.start()
    first, second, third = desk.phone.cards
    desk.phone.dismiss("upload-456", desk.now)
    desk.phone.dismiss("upload-456", desk.now, first.id)
    assert [card.is_visible for card in (first, second, third)] == [False, True, False]
    with pytest.raises(UnknownCardError, match="no visible card of group 'nothing'"):
        desk.phone.dismiss("nothing", desk.now)
    with pytest.raises(UnknownCardError, match="and id"):
        desk.phone.dismiss("upload-456", desk.now, third.id)


def test_rotating_the_update_token_of_an_ended_card_is_refused(desk: Any) -> None:
    desk.start()
    desk.end()
    with pytest.raises(UnknownCardError, match="running"):
        desk.phone.rotate_update_token("upload-456", desk.now)


def test_a_start_may_rotate_the_start_token(new_desk: Callable[..., Any]) -> None:
    desk = new_desk(start_rotates_start_token=True)
    old = desk.phone.start_token
    desk.start()
    assert desk.phone.start_token != old
    assert (START, desk.phone.start_token) in desk.reports()


def test_launching_the_app_reports_all_running_tokens_again(desk: Any) -> None:
    desk.start()
    desk.start(attributes={"referenceId": "ended"})
    desk.end()
    desk.reports()
    desk.phone.launch_app(desk.now)
    assert desk.reports() == [(START, desk.phone.start_token), (UPDATE, desk.phone.cards[0].update_token)]


def test_another_user_keeps_the_installation_and_signing_out_says_so(desk: Any) -> None:
    before = desk.phone.installation
    desk.phone.take_reports(desk.now)
    desk.phone.switch_user("user-2", desk.now)
    (report,) = desk.phone.take_reports(desk.now)
    assert (report.installation.id, report.installation.ext_id) == (before.id, "user-2")
    desk.phone.switch_user(None, desk.now)
    (report,) = desk.phone.take_reports(desk.now)
    assert report.installation.ext_id == ""


def test_what_needs_the_app_is_refused_without_it(desk: Any, new_desk: Callable[..., Any]) -> None:
    with pytest.raises(PhoneActionError, match="installed already"):
        desk.phone.install_app(desk.now)
    desk.phone.delete_app(desk.now)
    for action in (desk.phone.launch_app, desk.phone.rotate_start_token, desk.phone.delete_app):
        with pytest.raises(PhoneActionError, match="install it first"):
            action(desk.now)
    old = new_desk("16.4")
    with pytest.raises(PhoneActionError, match=r"17\.2"):
        old.phone.rotate_start_token(old.now)


def test_old_dismissed_cards_are_forgotten_and_their_tokens_still_answer(new_desk: Callable[..., Any]) -> None:
    desk = new_desk(dismissed_cards_kept=1)
    desk.start()
    token = desk.card.update_token
    for _ in range(2):
        desk.phone.dismiss("upload-456", desk.now)
        desk.start()
    assert [card.is_visible for card in desk.phone.cards] == [False, True]
    assert desk.send(token, desk.aps("update")).verdict is Verdict.ACTIVITY_ENDED


@pytest.mark.parametrize("text", ["", "18.", "18.1.2.3", "x", "٣"])
def test_what_is_no_ios_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="os_version"):
        read_os_version(text)


@pytest.mark.parametrize("rules", [{"start_budget": -1}, {"start_budget_window_s": 0}, {"pushes_kept": 0}])
def test_rules_that_cannot_be_are_refused(rules: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(rules))):
        PhoneRules(**rules)


@pytest.mark.parametrize("rule", [{"delay_s": -1}, {"delay_s": float("nan")}, {"times": 11}, {"times": -1}])
def test_report_rules_that_cannot_be_are_refused(rule: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(rule))):
        ReportRule(**rule)
