"""Which address of a name gets the next connection."""

from skerry.apns.addresses import FORGOTTEN_AFTER, Address, Addresses


def fresh(*texts: str) -> Addresses:
    addresses = Addresses(back_off=1.0, max_back_off=60.0, jitter=lambda: 1.0)
    addresses.resolved(texts, 0.0)
    return addresses


def chosen(addresses: Addresses, now: float = 0.0) -> Address:
    one = addresses.choose(now)
    assert one is not None
    return one


def test_connections_spread_over_all_addresses() -> None:
    addresses = fresh("a", "b", "c")
    for _ in range(6):
        chosen(addresses).connections += 1
    assert [chosen(addresses).connections for _ in range(3)] == [2, 2, 2]


def test_an_address_that_fails_waits_longer_each_time_and_never_more_than_a_minute() -> None:
    addresses = fresh("a")
    now, waits = 0.0, []
    for _ in range(8):
        one = chosen(addresses, now)
        addresses.failed(one, now, fatal=False)
        assert addresses.choose(now) is None
        waits.append(addresses.next_attempt() - now)
        now = addresses.next_attempt()
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]


def test_a_bad_address_does_not_keep_the_others_waiting() -> None:
    addresses = fresh("a", "b")
    bad = chosen(addresses)
    addresses.failed(bad, 0.0, fatal=False)
    assert chosen(addresses) is not bad
    assert addresses.next_attempt() == 0.0


def test_an_address_that_answers_again_starts_anew() -> None:
    addresses = fresh("a")
    one = chosen(addresses)
    addresses.failed(one, 0.0, fatal=False)
    addresses.succeeded(one)
    assert addresses.choose(0.0) is one


def test_only_the_newest_answer_gets_new_connections() -> None:
    addresses = fresh("a", "b")
    addresses.resolved(["c"], 10.0)
    assert chosen(addresses, 10.0).text == "c"


def test_what_the_name_no_longer_leads_to_is_forgotten_unless_it_carries_something() -> None:
    addresses = fresh("a", "b")
    next(one for one in [chosen(addresses)]).connections = 1
    addresses.resolved(["c"], FORGOTTEN_AFTER + 1)
    addresses.resolved(["c"], 2 * FORGOTTEN_AFTER)
    assert addresses.spare(2 * FORGOTTEN_AFTER) is not None
    assert len(addresses._known) == 2


def test_a_name_is_untrusted_only_if_each_address_is() -> None:
    addresses = fresh("a", "b")
    addresses.failed(chosen(addresses), 0.0, fatal=True)
    assert not addresses.all_untrusted
    addresses.failed(chosen(addresses), 0.0, fatal=True)
    assert addresses.all_untrusted


def test_an_address_that_has_failed_is_tried_again_once_the_others_carry_as_many() -> None:
    addresses = fresh("a", "b")
    bad = chosen(addresses)
    addresses.failed(bad, 0.0, fatal=False)
    good = chosen(addresses, 2.0)
    assert good is not bad
    good.connections += 2
    assert chosen(addresses, 2.0) is bad


def test_beside_a_stalled_attempt_the_other_family_is_tried_first() -> None:
    addresses = fresh("2001:db8::1", "2001:db8::2", "2001:db8::3", "17.0.0.1")
    next(one for one in addresses._known.values() if one.family == 6).connections = 1
    one = addresses.choose(0.0, elsewhere=True)
    assert one is not None
    assert one.text == "17.0.0.1"
