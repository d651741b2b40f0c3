"""The SQL of audiences and `domain.audience.matches` are one meaning said twice: they are held against each other.

A population is drawn, written through the store's own records, and asked for an audience; the answer must be what
`matches` says of each device. A new member of `Audience` joins by a strategy in `MEMBERS`, and what it looks at by a
field of `User` or `Installation` and a line in `candidate`.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from skerry.domain import audience_json
from skerry.domain.audience import (
    Audience,
    Candidate,
    ProfileCondition,
    ProfileGroup,
    Quantifier,
    Segment,
    SegmentCondition,
    TagCondition,
    matches,
)
from skerry.domain.card import CardStatus
from skerry.domain.ids import ActivityId, AppId, CardNumber, DeviceId, Millis, UserId
from skerry.domain.location import Circle, Location
from skerry.domain.personal import Blank, Kind, UnfilledError, read_profile
from skerry.domain.plan import Reachable
from skerry.domain.preview import Doubt, NotStartable, Run, is_too_old
from skerry.domain.rollout import Rollout
from skerry.domain.segment import AudienceTooComplexError
from skerry.store.sqlite import membership
from skerry.store.sqlite.activities import ActivityRecords
from skerry.store.sqlite.audiences import AudienceRecords
from skerry.store.sqlite.devices import DeviceRecords
from skerry.store.sqlite.users import UserRecords

APPS = (AppId(1), AppId(2))
TYPE = "ScoreAttributes"

# Few words, so that conditions and devices meet.
EXT_IDS = ("user-1", "User-1", "ünïcode", "1")
TAGS = ("vip", "VIP", "o'clock")
ATTRIBUTES = ("city", "City", '$.a"b', '"city')
TOKENS = tuple(f"{number:02x}" * 16 for number in range(5))
SPOTS = ((0.0, 0.0), (0.0, 179.9), (0.0, -179.9), (90.0, 0.0), (89.9, 120.0), (-90.0, 7.0), (41.0, 29.0), (41.1, 29.0))
VERSIONS = (None, "", "17", "17.1.2", "17.2", "18.0", "9.3", "x.9", "17.x", "17.", " 17.1", "1234567890123.1")
SWIPED_AT = Millis(5)
SCALARS: tuple[str | int | float | bool, ...] = (
    "",
    "a",
    "A",
    "1",
    "true",
    "O'Hara ü",
    ',"city":true',
    '":',
    0,
    1,
    1.0,
    11,
    0.5,
    2**53,
    float(2**53),
    True,
    False,
)


@dataclass(frozen=True)
class User:
    ext_id: str
    tags: frozenset[str]
    profile: Mapping[str, Any]


@dataclass(frozen=True)
class Installation:
    """`user` is a place in the population's users of the same app."""

    app_id: AppId
    user: int | None
    platform: str
    last_active_at: int
    push_token: str | None
    start_tokens: tuple[tuple[str, str, bool], ...]
    """Attributes type, token, and whether APNs has called it dead."""
    card_token: str | None
    spot: tuple[float, float] | None = None
    os_version: str | None = None
    environment: str | None = None
    push_enabled: bool = True
    swiped: bool = False
    """Where it has no card with a token, it has one that was swiped away at `SWIPED_AT`."""
    closes: bool = False
    """A close has been said of its card with a token, which is not settled yet: a start makes another."""

    @property
    def can_be_started(self) -> bool:
        return any(not dead and attributes_type in ("", TYPE) for attributes_type, _, dead in self.start_tokens)

    @property
    def is_ios(self) -> bool:
        return self.platform.upper() == "IOS"


@dataclass(frozen=True)
class Population:
    """Both apps have the same users; device ids are places in `installations`, from 1."""

    users: tuple[User, ...]
    installations: tuple[Installation, ...]

    def candidate(self, one: Installation) -> Candidate:
        user = None if one.user is None else self.users[one.user]
        tokens = {one.push_token, one.card_token, *(token for _, token, _ in one.start_tokens)} - {None}
        return Candidate(
            ext_id=user.ext_id if user else None,
            tokens=frozenset(filter(None, tokens)),
            tags=user.tags if user else frozenset(),
            profile=user.profile if user else {},
            is_last_active=one is self._last_active(one),
            device_id=DeviceId(self._number(one)),
            installation_id=f"i-{self._number(one)}",
            place=Location(*one.spot, Millis(0)).place if one.spot else None,
        )

    def _number(self, one: Installation) -> int:
        return next(number for number, other in enumerate(self.installations, 1) if other is one)

    def _last_active(self, one: Installation) -> Installation:
        if one.user is None:
            return one
        siblings = [
            other
            for other in self.installations
            if other.is_ios and (other.app_id, other.user) == (one.app_id, one.user)
        ]
        return max(siblings, key=lambda other: other.last_active_at, default=one)


profile_values = st.sampled_from(SCALARS) | st.none() | st.lists(st.sampled_from(SCALARS) | st.none(), max_size=3)
number_like = st.from_regex(r"-?[0-9. ]{0,3}([eE][+-]?[0-9]{0,2})?", fullmatch=True)
profiles = st.dictionaries(st.sampled_from(ATTRIBUTES), profile_values, max_size=4)
optional_token = st.none() | st.sampled_from(TOKENS)


@st.composite
def populations(draw: st.DrawFn) -> Population:
    ext_ids = draw(st.lists(st.sampled_from(EXT_IDS), unique=True, min_size=1, max_size=3))
    users = tuple(User(ext_id, draw(st.frozensets(st.sampled_from(TAGS))), draw(profiles)) for ext_id in ext_ids)
    start_tokens = st.lists(
        st.tuples(st.sampled_from(("", TYPE, "Other")), st.sampled_from(TOKENS), st.booleans()),
        unique_by=lambda one: one[0],
        max_size=2,
    ).map(tuple)
    installation = st.builds(
        Installation,
        app_id=st.sampled_from((APPS[0], *APPS)),
        user=st.sampled_from((None, *range(len(users)), *range(len(users)))),
        platform=st.sampled_from(("IOS", "ios", "iOS", "ANDROID")),
        last_active_at=st.integers(0, 2),
        push_token=optional_token,
        start_tokens=start_tokens,
        card_token=optional_token,
        spot=st.none() | st.sampled_from(SPOTS),
        os_version=st.sampled_from(VERSIONS),
        environment=st.sampled_from((None, "production", "sandbox")),
        push_enabled=st.booleans(),
        swiped=st.booleans(),
        closes=st.booleans(),
    )
    return Population(users, tuple(draw(st.lists(installation, min_size=1, max_size=6))))


quantifiers = st.sampled_from(Quantifier)
conditions = st.builds(
    ProfileCondition,
    st.sampled_from(ATTRIBUTES),
    st.lists(st.sampled_from(SCALARS), min_size=1, max_size=2).map(tuple),
    negated=st.booleans(),
) | st.builds(ProfileCondition, st.sampled_from(ATTRIBUTES), exists=st.booleans(), negated=st.booleans())
groups = st.recursive(
    st.builds(ProfileGroup, quantifiers, st.lists(conditions, max_size=3).map(tuple)),
    lambda inner: st.builds(ProfileGroup, quantifiers, st.lists(conditions | inner, max_size=3).map(tuple)),
    max_leaves=4,
)
MEMBERS: dict[str, st.SearchStrategy[Any]] = {
    "ext_ids": st.lists(st.sampled_from(EXT_IDS), max_size=3, unique=True).map(tuple),
    "device_tokens": st.lists(st.sampled_from((*TOKENS, "")), max_size=3, unique=True).map(tuple),
    "tags": st.builds(TagCondition, quantifiers, st.lists(st.sampled_from(TAGS), max_size=3).map(tuple)),
    "profile": groups,
    "last_active_device": st.booleans(),
    "installation_ids": st.lists(st.sampled_from(("i-1", "i-2", "i-9")), max_size=2, unique=True).map(tuple),
    "location": st.builds(
        lambda spot, radius: Circle(*spot, radius),
        st.sampled_from(SPOTS),
        st.sampled_from((0.001, 12.0, 30.0, 20_100.0)),
    ),
    "rollout": st.builds(Rollout, st.integers(0, 10_000), st.sampled_from(("", "spring"))),
}


@st.composite
def audiences(draw: st.DrawFn, level: int = 0) -> Audience:
    """One or two members; everyone where there is none. Segments and exclusions are audiences of the same kind."""
    names = draw(st.lists(st.sampled_from(sorted(MEMBERS)), unique=True, max_size=2))
    members = {name: draw(MEMBERS[name]) for name in names}
    if level < 2 and draw(st.integers(0, 2)) == 0:
        members["exclude"] = draw(audiences(level + 1))
    if level < 2 and draw(st.integers(0, 2)) == 0:
        inner = st.builds(Segment, st.sampled_from("ab"), audiences(level + 1))
        segments = st.lists(inner, max_size=2).map(tuple)
        members["segments"] = draw(st.builds(SegmentCondition, quantifiers, segments))
    return Audience(everyone=not names, **members)


@pytest.fixture(scope="module")
def connection(migrated: Path) -> Iterator[sqlite3.Connection]:
    """An empty store in memory; every example takes back what it wrote."""
    memory = sqlite3.connect(":memory:", isolation_level=None)
    with sqlite3.connect(migrated) as on_disk:
        on_disk.backup(memory)
    on_disk.close()
    for app_id in APPS:
        memory.execute(
            "INSERT INTO apps (app_id, name, bundle_id, environment, endpoints, created_at)"
            " VALUES (?, ?, 'com.example', 'production', '{}', 0)",
            (app_id, f"app-{app_id}"),
        )
        ActivityRecords(memory).create(app_id, Millis(0))
    yield memory
    memory.close()


class stored:  # noqa: N801 -- reads as a phrase: `with stored(…)`
    """The population is in the store for as long as the block runs."""

    def __init__(self, connection: sqlite3.Connection, population: Population) -> None:
        self._connection, self._population = connection, population

    def __enter__(self) -> AudienceRecords:
        self._connection.execute("BEGIN")
        users = UserRecords(self._connection)
        ids: dict[tuple[AppId, int], UserId] = {}
        for app_id in APPS:
            for place, user in enumerate(self._population.users):
                user_id = ids[app_id, place] = users.ensure(app_id, user.ext_id, Millis(0))
                users.tag(app_id, user_id, sorted(user.tags))
                users.save_profile(user_id, user.profile)
        for device_id, one in enumerate(self._population.installations, 1):
            user_id = None if one.user is None else ids[one.app_id, one.user]
            self._insert_device(device_id, one, user_id)
        return AudienceRecords(self._connection)

    def __exit__(self, *_: object) -> None:
        self._connection.execute("ROLLBACK")

    def _insert_device(self, device_id: int, one: Installation, user_id: UserId | None) -> None:
        execute = self._connection.execute
        execute(
            "INSERT INTO devices (device_id, app_id, installation_id, user_id, platform, push_token, created_at,"
            " last_active_at, os_version, environment, push_enabled) VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?)",
            (
                *(device_id, one.app_id, f"i-{device_id}", user_id, one.platform, one.push_token, one.last_active_at),
                *(one.os_version, one.environment, one.push_enabled),
            ),
        )
        if one.spot:
            location = Location(*one.spot, Millis(0))
            DeviceRecords(self._connection).locate(one.app_id, DeviceId(device_id), location)
        for attributes_type, token, dead in one.start_tokens:
            execute(
                "INSERT INTO start_tokens (app_id, device_id, attributes_type, token, token_time, registered_at,"
                " dead_reason) VALUES (?, ?, ?, ?, 0, 0, ?)",
                (one.app_id, device_id, attributes_type, token, "Unregistered" if dead else None),
            )
        if one.card_token:  # the only activity of each app has the app's number
            execute(
                "INSERT INTO cards (activity_id, number, device_id, status, started_by, token, closed_at, created_at)"
                " VALUES (?, ?, ?, ?, 0, ?, ?, 0)",
                (one.app_id, device_id, device_id, CardStatus.LIVE, one.card_token, SWIPED_AT if one.closes else None),
            )
        elif one.swiped:
            execute(
                "INSERT INTO cards (activity_id, number, device_id, status, started_by, closed_at, created_at)"
                " VALUES (?, ?, ?, ?, 0, ?, 0)",
                (one.app_id, device_id, device_id, CardStatus.DISMISSED, SWIPED_AT),
            )


def expected(population: Population, app_id: AppId, audience: Audience) -> list[Reachable]:
    return [
        Reachable(DeviceId(device_id), one.can_be_started)
        for device_id, one in enumerate(population.installations, 1)
        if one.app_id == app_id
        and one.is_ios
        and (audience.is_small or one.can_be_started)
        and matches(audience, population.candidate(one))
    ]


@settings(max_examples=400, deadline=None, derandomize=True)
@given(population=populations(), audience=audiences())
def test_the_store_finds_the_devices_that_match(
    connection: sqlite3.Connection, population: Population, audience: Audience
) -> None:
    with stored(connection, population) as records:
        for app_id in APPS:
            found = records.select(app_id, audience, TYPE, DeviceId(0), 100)
            assert found == expected(population, app_id, audience)


def of_one_app(*users: User, **fields: Any) -> Population:
    """One device that can be started for each user."""
    plain = Installation(APPS[0], None, "IOS", 0, None, (("", TOKENS[0], False),), None)
    return Population(users, tuple(replace(plain, user=place, **fields) for place in range(len(users))))


def test_each_kind_of_value_against_each_condition(connection: sqlite3.Connection) -> None:
    held = [*SCALARS, None, [], [None], *([one] for one in SCALARS), ["a", 1], [True, None]]
    population = of_one_app(
        User("without", frozenset(), {}),
        *(User(f"user-{place}", frozenset(), {"it": one}) for place, one in enumerate(held)),
    )
    wanted = [{"values": (value,)} for value in SCALARS] + [{"exists": True}, {"exists": False}]
    with stored(connection, population) as records:
        for one, negated in product(wanted, (False, True)):
            condition = ProfileCondition("it", negated=negated, **one)
            audience = Audience(profile=ProfileGroup(Quantifier.ALL, (condition,)))
            found = records.select(APPS[0], audience, TYPE, DeviceId(0), 100)
            assert found == expected(population, APPS[0], audience), condition


@pytest.mark.parametrize(
    "tokens", [{"push_token": TOKENS[1]}, {"start_tokens": ((TYPE, TOKENS[1], True),)}, {"card_token": TOKENS[1]}]
)
def test_a_device_is_found_by_any_of_its_tokens(connection: sqlite3.Connection, tokens: Mapping[str, Any]) -> None:
    population = of_one_app(User("user-1", frozenset(), {}), **tokens)
    with stored(connection, population) as records:
        for app_id, token in product(APPS, TOKENS):
            audience = Audience(device_tokens=(token,))
            found = records.select(app_id, audience, TYPE, DeviceId(0), 100)
            assert found == expected(population, app_id, audience)
            assert token != TOKENS[1] or bool(found) == (app_id == APPS[0])


def test_of_a_users_devices_the_last_active_iphone_counts(connection: sqlite3.Connection) -> None:
    (one,) = of_one_app(User("user-1", frozenset(), {})).installations
    population = Population(
        (User("user-1", frozenset(), {}),),
        (
            replace(one, last_active_at=1),
            replace(one, last_active_at=2),
            replace(one, last_active_at=2),
            replace(one, last_active_at=3, platform="ANDROID"),
            replace(one, last_active_at=3, app_id=APPS[1]),
            replace(one, last_active_at=0, user=None),
        ),
    )
    audience = Audience(everyone=True, last_active_device=True)
    with stored(connection, population) as records:
        found = [one.device_id for one in records.select(APPS[0], audience, TYPE, DeviceId(0), 100)]
    assert found == [one.device_id for one in expected(population, APPS[0], audience)] == [2, 6]


@settings(max_examples=50, deadline=None, derandomize=True)
@given(population=populations(), audience=audiences(), limit=st.integers(1, 3))
def test_pages_joined_are_the_whole(
    connection: sqlite3.Connection, population: Population, audience: Audience, limit: int
) -> None:
    with stored(connection, population) as records:
        joined: list[Reachable] = []
        while page := records.select(APPS[0], audience, TYPE, joined[-1].device_id if joined else DeviceId(0), limit):
            assert len(page) <= limit
            joined += page
    assert joined == expected(population, APPS[0], audience)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(population=populations(), wanted=st.lists(st.sampled_from((*EXT_IDS, "nobody")), unique=True))
def test_a_user_without_an_ios_device_is_missing(
    connection: sqlite3.Connection, population: Population, wanted: list[str]
) -> None:
    with stored(connection, population) as records:
        missing = records.missing_ext_ids(APPS[0], wanted)
    present = {
        population.candidate(one).ext_id for one in population.installations if one.app_id == APPS[0] and one.is_ios
    }
    assert sorted(missing) == sorted(set(wanted) - present)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(value=st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=8))
@example(value=0.30000000000000004)
def test_a_value_is_found_again_to_the_last_digit(connection: sqlite3.Connection, value: str | float) -> None:
    if isinstance(value, str):
        value = value.replace("\0", "")
    for held in (value, [value]):
        population = of_one_app(User("user-1", frozenset(), {"it": held}))
        audience = Audience(profile=ProfileGroup(Quantifier.ALL, (ProfileCondition("it", (value,)),)))
        with stored(connection, population) as records:
            assert records.select(APPS[0], audience, TYPE, DeviceId(0), 100) == [Reachable(DeviceId(1), True)]


@settings(derandomize=True)
@given(audience=audiences())
def test_an_audience_waits_in_a_table_unchanged(audience: Audience) -> None:
    again = audience_json.decode(audience_json.encode(audience))
    assert again == audience
    assert repr(again) == repr(audience), "1, 1.0 and true are different values"


def why_not(one: Installation, swiped_since: Millis | None) -> NotStartable | None:
    """Why a device cannot be started; None: it can."""
    types = {(attributes_type, dead) for attributes_type, _, dead in one.start_tokens}
    if not one.is_ios:
        return NotStartable.NOT_IOS
    if not one.can_be_started:
        if any(dead and attributes_type in ("", TYPE) for attributes_type, dead in types):
            return NotStartable.TOKEN_DEAD
        if types:
            alive = any(not dead for _, dead in types)
            return NotStartable.WRONG_TYPE if alive else NotStartable.TOKEN_DEAD
        return NotStartable.IOS_TOO_OLD if is_too_old(one.os_version) else NotStartable.NO_START_TOKEN
    if one.card_token and not one.closes:
        return NotStartable.ALREADY_RUNNING
    swiped = one.swiped and not one.card_token and swiped_since is not None and swiped_since <= SWIPED_AT
    return NotStartable.SWIPED_AWAY if swiped else None


@pytest.fixture(params=[0, membership.FEW], ids=["masks", "lists"])
def _few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets of any size as masks, and then as lists: both ways of looking an id up."""
    monkeypatch.setattr(membership, "FEW", request.param)


@pytest.mark.usefixtures("_few")
@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(population=populations(), audience=audiences(), swiped_since=st.sampled_from((None, Millis(0), Millis(6))))
def test_a_preview_counts_each_device_under_the_first_reason_that_holds(
    connection: sqlite3.Connection, population: Population, audience: Audience, swiped_since: Millis | None
) -> None:
    with stored(connection, population) as records:
        for app_id in APPS:
            # The only activity of an app has the app's number; a card of it with a token is one that runs.
            found = records.preview(
                app_id, audience, TYPE, Run(ActivityId(app_id), CardNumber(0), Millis(0), swiped_since)
            )
            matching = [
                one
                for one in population.installations
                if one.app_id == app_id and matches(audience, population.candidate(one))
            ]
            reasons = [(one, why_not(one, swiped_since)) for one in matching]
            startable = [one for one, reason in reasons if reason is None]
            assert (found.matched, found.startable) == (len(matching), len(startable))
            counts = Counter(reason for _, reason in reasons if reason is not None)
            assert {reason: one.count for reason, one in found.not_startable.items()} == counts
            doubts = Counter(
                {
                    Doubt.ENVIRONMENT_UNKNOWN: sum(one.environment is None for one in startable),
                    Doubt.PUSH_OFF: sum(not one.push_enabled for one in startable),
                }
            )
            assert {doubt: one.count for doubt, one in found.doubts.items()} == +doubts
            for reason, one in found.not_startable.items():
                of_it = {population.candidate(device).installation_id for device, why in reasons if why is reason}
                assert {sample.installation_id for sample in one.samples} == of_it


blanks = st.builds(Blank, st.sampled_from(ATTRIBUTES), st.sampled_from(Kind), st.none())


@pytest.mark.usefixtures("_few")
@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    profile=st.dictionaries(st.sampled_from(ATTRIBUTES), profile_values | number_like, max_size=4),
    gaps=st.lists(blanks, min_size=1, max_size=3),
    audience=st.sampled_from((Audience(everyone=True), Audience(ext_ids=("user-1",)))),
)
def test_a_preview_misses_the_values_that_a_push_would_miss(
    connection: sqlite3.Connection, profile: dict[str, Any], gaps: list[Blank], audience: Audience
) -> None:
    with stored(connection, of_one_app(User("user-1", frozenset(), profile))) as records:
        found = records.preview(APPS[0], audience, TYPE, None, gaps)
    held = read_profile(json.dumps({name: value for name, value in profile.items() if value is not None}))
    try:
        for gap in gaps:
            gap.written(held)
    except UnfilledError:
        assert (found.startable, found.not_startable[NotStartable.MISSING_VALUE].count) == (0, 1)
    else:
        assert (found.startable, dict(found.not_startable)) == (1, {})


@pytest.mark.usefixtures("_few")
@settings(
    max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(population=populations(), audience=audiences(), platform=st.sampled_from(("IOS", "ANDROID")))
def test_the_users_of_a_segment_are_those_with_a_device_in_it(
    connection: sqlite3.Connection, population: Population, audience: Audience, platform: str
) -> None:
    with stored(connection, population) as records:
        expected_users = {
            population.candidate(one).ext_id
            for one in population.installations
            if one.app_id == APPS[0]
            and one.user is not None
            and one.platform.upper() == platform
            and matches(audience, population.candidate(one))
        }
        assert records.count_users(APPS[0], audience, platform) == len(expected_users)
        listed = [one.ext_id for one in records.users(APPS[0], audience, platform, 10, 0)]
        assert sorted(listed) == sorted(filter(None, expected_users))
        paged = [one.ext_id for page in range(4) for one in records.users(APPS[0], audience, platform, 1, page)]
        assert paged == listed


@pytest.mark.parametrize("version", VERSIONS)
def test_versions_mean_the_same_to_the_database(connection: sqlite3.Connection, version: str | None) -> None:
    population = of_one_app(User("user-1", frozenset(), {}), start_tokens=(), os_version=version)
    with stored(connection, population) as records:
        found = records.preview(APPS[0], Audience(everyone=True), TYPE, None)
    wanted = NotStartable.IOS_TOO_OLD if is_too_old(version) else NotStartable.NO_START_TOKEN
    assert set(found.not_startable) == {wanted}


def test_a_preview_shows_ten_devices_of_each_kind_and_says_whose_they_are(connection: sqlite3.Connection) -> None:
    users = [User(f"user-{number}", frozenset(), {}) for number in range(25)]
    with stored(connection, of_one_app(*users, start_tokens=())) as records:
        found = records.preview(APPS[0], Audience(everyone=True), TYPE, None).not_startable[NotStartable.NO_START_TOKEN]
    assert found.count == 25
    assert [(one.installation_id, one.ext_id) for one in found.samples] == [
        (f"i-{number + 1}", f"user-{number}") for number in range(10)
    ]


def test_sets_that_would_fill_the_memory_are_refused(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "FEW", 0)
    monkeypatch.setattr(membership, "MOST_BYTES", 3)
    population = of_one_app(*(User(f"user-{number}", frozenset({"vip"}), {}) for number in range(5)))
    audience = Audience(tags=TagCondition(Quantifier.ANY, ("vip",)))
    with stored(connection, population) as records, pytest.raises(AudienceTooComplexError, match="take some out"):
        records.preview(APPS[0], audience, TYPE, None)


def test_a_long_list_of_ids_is_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership, "_PIECE", 7)
    ids = [1, 3, 20, 21, 300, 4000, 4001, 50_000]
    read = [one for piece in membership._pieces(f"[{','.join(map(str, ids))}]") for one in piece]
    assert read == ids
