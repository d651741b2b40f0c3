"""A card under any order of reports, repeats, closes and dead tokens."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from skerry.domain.card import Card, CardStatus, TokenReport, close, lose_token, refuse_start, report_token
from skerry.domain.ids import ActivityId, CardNumber, DeviceId, Millis, RevisionNumber

TIMES = st.integers(1, 50).map(Millis)
TOKENS = st.sampled_from(["aa" * 16, "bb" * 16, "cc" * 16])


class CardMachine(RuleBasedStateMachine):
    """The model: the newest report that was heard, and whether something later closed the card."""

    @initialize()
    def begin(self) -> None:
        self.card = Card(
            ActivityId(1), CardNumber(1), DeviceId(1), CardStatus.STARTING, RevisionNumber(1), created_at=Millis(0)
        )
        self.now = 100
        self.newest = 0

    @rule(token=TOKENS, time=TIMES)
    def device_reports_a_token(self, token: str, time: Millis) -> None:
        before = self.card
        self.card, meaning = report_token(before, token, time, Millis(self.now))
        if meaning in (TokenReport.STALE, TokenReport.REPEATED):
            assert self.card == before
        else:
            assert time >= self.newest
            assert self.card.token == token
            assert self.card.status is CardStatus.LIVE
            self.newest = time

    @rule(token=TOKENS, time=TIMES)
    def the_same_report_twice_is_free(self, token: str, time: Millis) -> None:
        once, _ = report_token(self.card, token, time, Millis(self.now))
        twice, meaning = report_token(once, token, time, Millis(self.now))
        assert twice == once
        assert meaning in (TokenReport.REPEATED, TokenReport.STALE)

    @rule(time=TIMES, ended=st.booleans())
    def device_closes_it(self, time: Millis, *, ended: bool) -> None:
        before = self.card
        self.card = close(before, time, activity_ended=ended)
        if self.card != before:
            assert time >= self.newest
            assert self.card.status is (CardStatus.ENDED if ended else CardStatus.DISMISSED)

    @rule(token=TOKENS, since=st.none() | TIMES)
    def apns_calls_a_token_dead(self, token: str, since: Millis | None) -> None:
        before = self.card
        self.card = lose_token(before, token, "Unregistered", since, Millis(self.now))
        if before.token != token:
            assert self.card == before
        if since is not None and before.registered_at is not None and since <= before.registered_at:
            assert self.card == before

    @rule()
    def its_start_is_refused(self) -> None:
        before = self.card
        self.card = refuse_start(before, "BadDeviceToken", Millis(self.now))
        assert (self.card.status is CardStatus.LOST) == (before.status in (CardStatus.STARTING, CardStatus.LOST))

    @rule()
    def time_passes(self) -> None:
        self.now += 1

    @invariant()
    def only_a_live_card_has_a_token(self) -> None:
        assert (self.card.token is not None) == (self.card.status is CardStatus.LIVE)


TestCardMachine = CardMachine.TestCase
