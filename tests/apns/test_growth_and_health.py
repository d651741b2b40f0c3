"""When a pool grows, and what a connection bears."""

from skerry.apns.growth import REMEMBERED, Growth
from skerry.apns.health import UNCAPPED, Bearing, Health

BEST = 0.05


class Pool:
    """A pool whose connections carry so much each, to a server that bears only so much: beyond, answers queue."""

    def __init__(self, per_connection: float, ceiling: float) -> None:
        self.growth = Growth(0.25)
        self.now, self.connections = 0.0, 0
        self.per_connection, self.ceiling = per_connection, ceiling
        self.opened: list[float] = []

    @property
    def latency(self) -> float | None:
        if not self.connections:
            return None
        return BEST * max(1.0, self.connections * self.per_connection / self.ceiling)

    def run(self, seconds: float, most: int = 32) -> None:
        until = self.now + seconds
        while self.now < until:
            if self.connections < most and self.growth.wanted(self.now, self.latency):
                self.growth.began(self.now)
                self.connections += 1
                self.opened.append(self.now)
            self.now += 0.01
            self.growth.observe(self.now, self.latency)


def test_a_pool_grows_to_its_bound_while_answers_come_as_fast_as_ever() -> None:
    pool = Pool(per_connection=1_000.0, ceiling=1e9)
    pool.run(30.0)
    assert pool.connections == 32


def test_connections_come_at_a_pace() -> None:
    pool = Pool(per_connection=1_000.0, ceiling=1e9)
    pool.run(30.0)
    assert min(b - a for a, b in zip(pool.opened, pool.opened[1:], strict=False)) >= 0.25


def test_a_pool_stays_as_it_is_where_answers_begin_to_queue() -> None:
    pool = Pool(per_connection=10_000.0, ceiling=10_000.0)
    pool.run(REMEMBERED / 2)
    assert pool.connections == 3


def test_a_longer_way_is_the_new_best_after_a_while() -> None:
    growth = Growth(0.25)
    growth.observe(0.0, 0.05)
    growth.observe(1.0, 0.2)
    assert not growth.wanted(1.0, 0.2)
    growth.observe(2 * REMEMBERED, 0.2)
    assert growth.wanted(2 * REMEMBERED, 0.2)


def test_answers_that_queue_stop_growth_unless_connections_can_yield_first() -> None:
    growth = Growth(0.25)
    growth.observe(0.0, BEST)
    assert not growth.wanted(1.0, 3 * BEST)
    assert growth.wanted(1.0, 3 * BEST, yielding=True)
    growth.began(1.0)
    assert not growth.wanted(1.2, BEST, yielding=True)


def test_a_connection_that_is_coming_up_is_enough_for_what_would_be_gone_before_it_helps() -> None:
    assert not Growth.outrun(waiting=400, out=100)
    assert Growth.outrun(waiting=401, out=100)


def test_a_connection_without_refusals_bears_anything() -> None:
    health = Health()
    health.answered(1_000_000)
    assert health.cap == UNCAPPED


def test_a_limit_that_falls_with_rejections_teaches_how_many_streams_are_worth_it() -> None:
    health = Health()
    for fall in range(1, 60):
        health.answered(50)
        for _ in range(30):
            health.refused(fall)
    assert 40 <= health.cap <= 60


def test_where_answers_queue_a_falling_limit_leaves_fewer_streams_and_more_again_later() -> None:
    bearing = Bearing()
    for _ in range(60):
        bearing.fell(50)
    most = bearing.cap(0)
    assert bearing.yields
    for _ in range(20):
        bearing.looked(queueing=True)
    assert bearing.cap(0) == 10 < most
    assert not bearing.yields
    for _ in range(20):
        bearing.looked(queueing=False)
    assert bearing.cap(0) == most


def test_without_falls_there_is_nothing_to_yield() -> None:
    bearing = Bearing()
    bearing.looked(queueing=True)
    assert not bearing.yields
    assert bearing.cap(0) == UNCAPPED


def test_a_refusal_without_a_falling_limit_teaches_nothing() -> None:
    health = Health()
    health.answered(5)
    health.refused(0)
    assert health.cap == UNCAPPED


def test_a_long_run_without_refusals_widens_the_cap_again() -> None:
    health = Health()
    health.answered(10)
    health.refused(1)
    health.answered(4_000)
    assert health.cap >= 900


def test_a_share_of_silent_streams_is_borne_and_a_silent_connection_is_not() -> None:
    health = Health()
    health.answered(990)
    health.silent(10)
    assert not health.is_sick
    silent = Health()
    silent.silent(3)
    assert silent.is_sick


def test_slow_is_measured_against_the_neighbours() -> None:
    health = Health()
    health.measured(3.0)
    assert health.is_slow(0.04)
    assert not health.is_slow(2.0)
    assert not health.is_slow(None)
    for _ in range(60):
        health.measured(0.04)
    assert not health.is_slow(0.04)
