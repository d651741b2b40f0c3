"""A script moves forward only, shows each phase at most once, and skips what has been overtaken."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.domain.desired import Desired, Policies, Priority, ScriptPhase
from skerry.domain.errors import FieldRefusedError
from skerry.domain.ids import ActivityId, GroupId, Millis, Seconds
from skerry.domain.script import Script, begin

MATCH = ActivityId(1)
NOW = Millis(1_000_000)


def phase(number: int, **when: int) -> ScriptPhase:
    times = {name: Millis(value) for name, value in when.items()}
    return ScriptPhase(b'{"n":%d}' % number, alert=b'{"title":"%d"}' % number, **times)


def wish(*phases: ScriptPhase, end_after: int | None = 0) -> Desired:
    after = None if end_after is None else Millis(end_after)
    return Desired(GroupId("match"), b'{"n":0}', phases=phases, end_after=after)


def script(*phases: ScriptPhase, end_after: int | None = 0, now: int = NOW) -> Script:
    found = begin(MATCH, wish(*phases, end_after=end_after), NOW, Millis(now))
    assert found is not None
    return found


def test_offsets_count_from_the_phase_before_and_the_first_from_the_beginning() -> None:
    found = script(phase(1, after=10), phase(2, at=NOW + 100), phase(3, after=5))
    assert found.times == (NOW + 10, NOW + 100, NOW + 105)
    assert found.ends_at == NOW + 105


@pytest.mark.parametrize(("end_after", "ends"), [(0, 10), (50, 60), (None, None)])
def test_the_last_phase_is_the_end_unless_it_is_to_stay(end_after: int | None, ends: int | None) -> None:
    assert script(phase(1, after=10), end_after=end_after).ends_at == (None if ends is None else NOW + ends)


@pytest.mark.parametrize(
    ("phases", "field"),
    [
        ((phase(1, after=10), phase(2, after=0)), "phases[1].after"),
        ((phase(1, at=NOW + 10), phase(2, at=NOW + 10)), "phases[1].at"),
        ((phase(1, at=NOW + 10), phase(2, after=90), phase(3, at=NOW + 50)), "phases[2].at"),
        ((phase(1, at=NOW - 10),), "phases"),
    ],
)
def test_phases_come_one_after_the_other_and_not_all_in_the_past(phases: tuple[ScriptPhase, ...], field: str) -> None:
    with pytest.raises(FieldRefusedError) as refused:
        script(*phases)
    assert refused.value.field == field


def test_a_script_that_comes_late_begins_where_it_would_be() -> None:
    found = script(phase(1, at=NOW - 20), phase(2, at=NOW - 10), phase(3, at=NOW + 10))
    assert (found.place, found.due_at) == (2, NOW + 10)
    assert found.shown(wish()).state == b'{"n":2}'


def test_before_the_first_phase_the_wish_itself_is_shown() -> None:
    desired = wish(phase(1, after=10))
    assert script(phase(1, after=10)).shown(desired) is desired


def test_a_phase_is_important_and_has_nothing_of_the_wish_but_what_it_does_not_say() -> None:
    desired = replace(wish(), alert=b"{}", relevance=1.0, stale_at=Seconds(9), policies=Policies(renew=True))
    found = script(phase(1, after=10)).at(Millis(NOW + 10)).shown(desired)
    assert found.important
    assert (found.state, found.alert, found.relevance, found.stale_at) == (b'{"n":1}', b'{"title":"1"}', None, None)
    assert found.policies.renew


class TestLastWord:
    def test_where_the_last_phase_is_the_end_it_brings_state_and_alert(self) -> None:
        end = script(phase(1, after=10)).last_word(Seconds(7))
        assert (end.state, end.alert, end.priority, end.dismissal_date) == (b'{"n":1}', b'{"title":"1"}', 10, 7)

    def test_a_last_phase_that_was_overtaken_is_not_rung_for(self) -> None:
        end = script(phase(1, after=10), end_after=50).last_word(None)
        assert (end.state, end.alert) == (b'{"n":1}', None)

    def test_a_last_phase_that_is_shown_already_is_not_said_again(self) -> None:
        assert script(phase(1, after=10), end_after=50).at(Millis(NOW + 10)).last_word(None).state is None

    def test_its_priority_is_the_phases_own(self) -> None:
        assert script(replace(phase(1, after=10), priority=Priority.LOW)).last_word(None).priority == 5


@given(
    gaps=st.lists(st.integers(1, 50), min_size=1, max_size=8),
    looks=st.lists(st.integers(-500, 1_000), max_size=30),
    stay=st.integers(1, 100) | st.none(),
)
def test_however_the_clock_is_set_each_phase_is_shown_at_most_once_and_in_order(
    gaps: list[int], looks: list[int], stay: int | None
) -> None:
    found = script(*(phase(number, after=gap) for number, gap in enumerate(gaps, 1)), end_after=stay)
    shown = []
    for look in looks:
        now = Millis(NOW + look)
        if found.due_at is None or found.due_at > now:
            continue
        reached = found.at(now)
        if reached.is_over(now):
            break
        assert reached.place > found.place
        assert reached.times[reached.place - 1] <= now
        assert reached.due_at is None or reached.due_at > now
        shown.append(reached.place)
        found = reached
    assert shown == sorted(set(shown))
