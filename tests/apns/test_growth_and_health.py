"""When a pool grows, and what a connection bears."""

from skerry.apns.growth import STAYS, Growth
from skerry.apns.health import UNCAPPED, Health


class Pool:
    """A pool that answers at a given rate per connection, up to what the other side can."""

    def __init__(self, per_connection: float, ceiling: float) -> None:
        self.growth = Growth(0.25)
        self.now, self.answered, self.connections = 0.0, 0.0, 0
        self.per_connection, self.ceiling = per_connection, ceiling
        self.opened: list[float] = []

    def run(self, seconds: float, most: int = 32) -> None:
        until = self.now + seconds
        while self.now < until:
            if self.connections < most and (not self.connections or self.growth.wanted(self.now)):
                self.growth.opened(self.now, int(self.answered), beside=self.connections)
                self.connections += 1
                self.opened.append(self.now)
            self.now += 0.01
            self.answered += 0.01 * min(self.ceiling, self.connections * self.per_connection)
            self.growth.observe(self.now, int(self.answered))


def test_a_pool_grows_while_more_connections_bring_more_answers() -> None:
    pool = Pool(per_connection=1_000.0, ceiling=1e9)
    pool.run(30.0)
    assert pool.connections > 8


def test_connections_come_at_a_pace() -> None:
    pool = Pool(per_connection=1_000.0, ceiling=1e9)
    pool.run(30.0)
    assert min(b - a for a, b in zip(pool.opened, pool.opened[1:], strict=False)) >= 0.25


def test_a_pool_stays_as_it_is_where_one_more_does_not_help() -> None:
    pool = Pool(per_connection=10_000.0, ceiling=10_000.0)
    pool.run(STAYS - 5.0)
    assert pool.connections <= 3


def test_after_a_while_it_tries_again() -> None:
    pool = Pool(per_connection=10_000.0, ceiling=10_000.0)
    pool.run(STAYS / 2)
    before = pool.connections
    pool.run(2 * STAYS)
    assert before < pool.connections <= before + 3


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
    assert 60 <= health.cap <= 90


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
    assert health.cap >= 4_000


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
