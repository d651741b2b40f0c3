"""Any sequence of wishes, schedules, scripts, ends, waits and crashes: the phone shows what a simple model says.

The model knows the rules of "How an activity lives" (Later), and nothing of rows, timers or pushes.
"""

import asyncio
import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from virtual_world import VirtualService, virtual_service

from skerry.domain.activity import End
from skerry.domain.audience import Audience
from skerry.domain.desired import Desired, Policies, ScriptPhase
from skerry.domain.ids import GroupId, Millis
from skerry.domain.schedule import Ending, HasRunError, ScheduleId
from skerry.simulator.phone.card import CardStatus

MATCH = GroupId("match")
START_WITHIN = 3_600_000


@dataclass
class Plan:
    """A script of the model: when it shows what, and when it ends."""

    times: list[int]
    states: list[int]
    ends_at: int | None
    place: int = 0


@dataclass
class Wish:
    """What may be wanted, now or later: a state, with or without an audience, and the minutes of its phases."""

    state: int
    starts: bool
    phases: list[int]
    end_after: int | None

    def desired(self) -> Desired:
        audience = Audience(ext_ids=("ada",)) if self.starts else None
        return Desired(
            MATCH,
            shown(self.state),
            attributes_type="Match" if self.starts else None,
            attributes=b"{}" if self.starts else None,
            audience=audience,
            policies=Policies(),
            phases=tuple(
                ScriptPhase(shown(self.state + place), after=Millis(minutes * 60_000))
                for place, minutes in enumerate(self.phases, 1)
            ),
            end_after=None if self.end_after is None else Millis(self.end_after * 60_000),
        )

    def plan(self, since: int, now: int) -> Plan | None:
        """None: it has none. Raises ValueError where it is over."""
        if not self.phases:
            return None
        times = [since + sum(self.phases[:place]) * 60_000 for place in range(1, len(self.phases) + 1)]
        ends_at = None if self.end_after is None else times[-1] + self.end_after * 60_000
        if ends_at is not None and ends_at <= now:
            raise ValueError
        states = [self.state + place for place in range(1, len(self.phases) + 1)]
        return Plan(times, states, ends_at, sum(time <= now for time in times))


@dataclass
class Model:
    """What should be so."""

    state: int | None = None
    """None: it has never been."""
    running: bool = False
    script: Plan | None = None
    last: Wish | None = None
    """The wish that was said last in this run: said again it changes nothing."""
    waiting: dict[int, tuple[int, Wish | None]] = field(default_factory=dict)
    """Changes by number: when, and what; None: the end."""
    starts: int = 0

    def put(self, wish: Wish, since: int, now: int) -> None:
        if self.running and self.last is not None and same(self.last, wish):
            return
        plan = wish.plan(since, now)
        self.script, self.last = plan, wish
        self.state = wish.state if plan is None or not plan.place else plan.states[plan.place - 1]
        if not self.running:
            self.running = True
            self.starts += 1

    def end(self) -> None:
        self.running, self.script = False, None

    def pass_to(self, now: int) -> None:
        due = sorted((at, number) for number, (at, _) in self.waiting.items() if at <= now)
        for at, number in due:
            _, wish = self.waiting.pop(number)
            later = [self.waiting[other][1] for _, other in due if other in self.waiting]
            if wish is None:
                self.end()
            elif self.running or (wish.starts and None not in later and now - at <= START_WITHIN):
                self._late(wish, at, now)
        script = self.script
        if script is None:
            return
        if script.ends_at is not None and script.ends_at <= now:
            self.state = script.states[-1] if script.place < len(script.times) else self.state
            self.end()
            return
        place = sum(time <= now for time in script.times)
        if place > script.place:
            script.place, self.state = place, script.states[place - 1]

    def _late(self, wish: Wish, at: int, now: int) -> None:
        try:
            self.put(wish, at, now)
        except ValueError:
            return  # its script is over: it has failed, and changed nothing


def same(one: Wish, other: Wish) -> bool:
    """Whether phones would notice a difference. Attributes are part of it."""
    ends = (one.end_after, other.end_after) if one.phases else (0, 0)
    return (one.state, one.phases, one.starts, ends[0]) == (other.state, other.phases, other.starts, ends[1])


def shown(number: int) -> bytes:
    return b'{"n":%d}' % number


numbers = st.integers(1, 6).map(lambda one: one * 10)
wishes = st.builds(
    Wish,
    state=numbers,
    starts=st.booleans(),
    phases=st.just([]) | st.lists(st.sampled_from([1, 5, 30]), min_size=1, max_size=4),
    end_after=st.sampled_from([0, 10, None]),
)
soon = st.sampled_from([1, 2, 10, 45, 70])
actions = st.one_of(
    st.tuples(st.just("put"), wishes.filter(lambda wish: wish.starts)),
    st.tuples(st.just("schedule"), soon, st.none() | wishes),
    st.tuples(st.just("schedule"), soon, wishes.filter(lambda wish: bool(wish.phases))),
    st.tuples(st.just("cancel"), st.integers(1, 6)),
    st.tuples(st.just("delete")),
    st.tuples(st.just("wait"), st.sampled_from([30, 300, 1_800, 4_200])),
    st.tuples(st.just("down"), st.sampled_from([30, 300, 1_800, 4_200])),
)


class Run:
    """One life, told to the service and to the model."""

    def __init__(self, service: VirtualService) -> None:
        self.service, self.model = service, Model()

    async def do(self, action: tuple[Any, ...]) -> None:
        await getattr(self, f"do_{action[0]}")(*action[1:])
        self.model.pass_to(self.service.now())
        # An update that follows another one closely waits for its turn.
        await self.do_wait(2)
        self.check(action)

    async def do_put(self, wish: Wish) -> None:
        now = self.service.now()
        await self.service.desired.put(self.service.app_id, wish.desired())
        self.model.put(wish, now, now)
        await self.service.quiet()

    async def do_schedule(self, minutes: int, wish: Wish | None) -> None:
        change = Ending(End()) if wish is None else wish.desired()
        at = Millis(self.service.now() + minutes * 60_000)
        made = await self.service.schedule.add(self.service.app_id, MATCH, change, at)
        self.model.waiting[made.schedule_id] = (at, wish)

    async def do_cancel(self, number: int) -> None:
        try:
            await self.service.schedule.cancel(self.service.app_id, ScheduleId(number))
        except HasRunError:
            assert number not in self.model.waiting
        self.model.waiting.pop(number, None)

    async def do_delete(self) -> None:
        await self.service.desired.end(self.service.app_id, MATCH, End())
        self.model.end()
        await self.service.quiet()

    async def do_wait(self, seconds: float) -> None:
        await self.service.pass_time(seconds)
        self.model.pass_to(self.service.now())

    async def do_down(self, seconds: float) -> None:
        await self.service.crash()
        self.service.world.advance(seconds)
        self.service.start()
        await self.service.quiet()

    def check(self, action: tuple[Any, ...]) -> None:
        (phone,) = self.service.world.phones.values()
        running = [card for card in phone.cards if card.status in (CardStatus.LIVE, CardStatus.STALE)]
        said = [json.loads(card.content_state)["n"] for card in running]
        assert said == ([self.model.state] if self.model.running else []), (action, self.model)
        assert self.service.apple.counts["start"] == self.model.starts, (action, self.model)
        if phone.cards:
            assert json.loads(phone.cards[-1].content_state)["n"] == self.model.state, (action, self.model)


async def live(life: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as data:
        async with virtual_service(Path(data)) as service:
            service.world.add_phones(1, user="ada")
            await service.quiet()
            run = Run(service)
            for action in life:
                await run.do(action)


@pytest.mark.timeout(600)  # for the search of the shortest life, should one go wrong
def test_the_phone_shows_what_the_model_says() -> None:
    check(30)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_same_of_many_more_lives() -> None:
    check(300, derandomize=False)


def check(examples: int, *, derandomize: bool = True) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=derandomize,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(actions, min_size=4, max_size=14))
    def lives(life: list[tuple[Any, ...]]) -> None:
        asyncio.run(live(life))

    lives()
