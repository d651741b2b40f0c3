"""An activity under any order of commands: stamps rise, numbers are used once, ended runs stay ended."""

from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from skerry.domain import activity as rules
from skerry.domain.activity import Activity, End, Phase, Start, Update
from skerry.domain.ids import ActivityId, AppId, CardNumber, Millis, Seconds
from skerry.domain.revision import Revision, RevisionKind


class ActivityMachine(RuleBasedStateMachine):
    """Cards are joined as the services do it; the model remembers every revision and every card's run."""

    @initialize()
    def begin(self) -> None:
        self.now = 1_790_000_000_000
        self.activity = Activity(ActivityId(1), AppId(1), Millis(self.now))
        self.revisions: list[Revision] = []
        self.ended_cards: set[int] = set()
        self.running_cards: set[int] = set()

    def take(self, result: tuple[Activity, Revision]) -> Revision:
        self.activity, revision = result
        if self.revisions:
            assert revision.timestamp > self.revisions[-1].timestamp
        assert revision.number == len(self.revisions) + 1
        self.revisions.append(revision)
        return revision

    @rule(cards=st.integers(0, 3))
    def start(self, cards: int) -> None:
        command = Start("T", b"{}", b'{"s":%d}' % self.now, b"{}")
        self.take(rules.start(self.activity, command, Millis(self.now)))
        assert self.activity.phase is Phase.RUNNING
        for _ in range(cards):
            self.running_cards.add(self.activity.next_card)
            self.activity = replace(self.activity, next_card=CardNumber(self.activity.next_card + 1))

    @rule()
    def update(self) -> None:
        revision = self.take(rules.update(self.activity, Update(b'{"u":%d}' % self.now), Millis(self.now)))
        assert revision.supersedable

    @rule(state=st.none() | st.just(b'{"final":1}'))
    def end(self, state: bytes | None) -> None:
        known = self.activity.state
        revision = self.take(rules.end(self.activity, End(state), Millis(self.now)))
        assert revision.state == (state or known)
        self.ended_cards |= self.running_cards
        self.running_cards.clear()

    @rule(step=st.integers(0, 5_000))
    def time_passes_or_stands_still(self, step: int) -> None:
        self.now += step

    @rule(step=st.integers(0, 120_000), floor=st.integers(0, 10))
    def an_old_revision_is_framed_late(self, step: int, floor: int) -> None:
        if self.revisions:
            newest = self.revisions[-1]
            low = Seconds(newest.timestamp + floor)
            stamp = rules.framing_stamp(newest, Millis(self.now + step), low)
            assert stamp >= low
            last = max(self.activity.last_timestamp, stamp)
            self.activity = replace(self.activity, last_timestamp=Seconds(last))
            following = rules.update(self.activity, Update(b"{}"), Millis(self.now))[1]
            assert following.timestamp > stamp

    @invariant()
    def each_card_ends_on_the_newest_of_its_run(self) -> None:
        for number in self.ended_cards:
            target = self.activity.target_of(CardNumber(number))
            assert self.revisions[target - 1].kind is RevisionKind.END
        for number in self.running_cards:
            target = self.activity.target_of(CardNumber(number))
            assert target == 0 or self.revisions[target - 1].kind is RevisionKind.UPDATE


TestActivityMachine = ActivityMachine.TestCase


def test_what_is_heard_on_a_channel_is_held_against_the_end_of_its_own_run() -> None:
    """An alert that waits beside its run's end must stay below that end's stamp, not below the next run's state's."""
    now = Millis(1_790_000_000_000)
    activity = Activity(ActivityId(1), AppId(1), now)
    activity, alert = rules.update(activity, Update(b"{}", alert=b"{}"), now)
    assert activity.channel_target_of(alert.number) == alert.number
    activity, ending = rules.end(activity, End(), now)
    assert activity.channel_target_of(alert.number) == activity.channel_target_of(ending.number) == ending.number
    activity, begun = rules.start(activity, Start("T", b"{}", b"{}", b"{}"), now)
    activity, newest = rules.update(activity, Update(b"{}"), now)
    assert activity.channel_target_of(alert.number) == ending.number
    assert activity.channel_target_of(begun.number) == activity.channel_target_of(newest.number) == newest.number
