"""The start budget of a device: when there is room for one more."""

from hypothesis import given
from hypothesis import strategies as st

from skerry.domain.budget import HOUR, SLACK, StartBudget
from skerry.domain.ids import Millis

NOW = Millis(1_767_225_600_000)
BUDGET = StartBudget(most=3)
times = st.integers(-3 * HOUR, 3 * HOUR).map(lambda offset: Millis(NOW + offset))


def test_few_starts_leave_room_at_once() -> None:
    assert BUDGET.room_at([Millis(NOW - 1), Millis(NOW - 2)], NOW) == NOW
    assert BUDGET.room_at([], NOW) == NOW


def test_room_comes_when_the_oldest_that_counts_leaves_the_window() -> None:
    starts = [Millis(NOW - 40 * 60_000), Millis(NOW - 20 * 60_000), Millis(NOW - 10 * 60_000)]
    assert BUDGET.room_at(starts, NOW) == NOW + 20 * 60_000 + SLACK


def test_what_left_the_window_counts_no_more() -> None:
    assert BUDGET.room_at([Millis(NOW - HOUR - SLACK)] * 9, NOW) == NOW


def test_no_budget_counts_nothing() -> None:
    assert StartBudget(most=0).room_at([NOW] * 100, NOW) == NOW


@given(st.lists(times, max_size=12))
def test_no_window_ever_has_more_starts_than_the_budget(starts: list[Millis]) -> None:
    """Whatever there was before: the next one makes no window that it ends worse than full."""
    room = BUDGET.room_at(starts, NOW)
    assert room >= NOW
    assert room == NOW or room % SLACK == 0
    within = [one for one in starts if room - BUDGET.window < one <= room]
    assert len(within) < BUDGET.most


@given(st.integers(1, 40), st.lists(st.integers(0, 600_000), min_size=40, max_size=40))
def test_a_queue_of_starts_goes_out_within_the_budget(count: int, gaps: list[int]) -> None:
    now, sent = NOW, list[Millis]()
    for gap in gaps[:count]:
        now = Millis(now + gap)
        sent.append(BUDGET.room_at(sent, now))
    for one in sent:
        assert sum(one - BUDGET.window < other <= one for other in sent) <= BUDGET.most
