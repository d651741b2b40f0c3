"""What a device says of itself, and what of it is believed (architecture, invariants 6 and 10), over the real store."""

import shutil
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skerry.domain.device import SILENCE, Device, DeviceEvent, DeviceEventKind, DeviceReport
from skerry.domain.errors import WrongSecretError
from skerry.domain.ids import AppId, DeviceId, GroupId, Millis
from skerry.domain.push import Environment
from skerry.registry.service import Registry
from skerry.store import migration
from skerry.store.sqlite import SqliteStore, SqliteTransaction

APP, OTHER_APP = AppId(1), AppId(2)
HOUR = 3_600_000
A, B, C = ("aa" * 32, "bb" * 32, "cc" * 32)
START = DeviceEventKind.START_TOKEN


@dataclass
class NoCards:
    """The activities room, which only writes down what it is told."""

    told: list[tuple[str, int]] = field(default_factory=list)

    def on_update_token(self, tx: SqliteTransaction, device: Device, event: DeviceEvent, now: Millis) -> str:
        self.told.append(("token", device.device_id))
        return "accepted"

    def on_close(self, tx: SqliteTransaction, device: Device, event: DeviceEvent, now: Millis) -> str:
        self.told.append(("close", device.device_id))
        return "accepted"

    def on_replaced_start_token(self, *_: object) -> None: ...

    def on_reachable(self, tx: SqliteTransaction, device: Device, now: Millis) -> None:
        self.told.append(("reachable", device.device_id))

    def expecting(
        self, tx: SqliteTransaction, app_id: AppId, devices: Sequence[DeviceId], group_id: GroupId
    ) -> DeviceId | None:
        return None

    def wake(self) -> None: ...


@dataclass
class House:
    store: SqliteStore
    registry: Registry[SqliteTransaction]
    cards: NoCards
    clock: list[int]

    async def say(self, installation: str, *events: DeviceEvent, app: AppId = APP, **members: Any) -> tuple[str, ...]:
        result = await self.registry.report(app, DeviceReport(installation, events, **members))
        return result.outcomes

    def start(self, token: str, *, ago: int = 0, kind: str | None = None) -> DeviceEvent:
        return DeviceEvent(START, Millis(self.clock[0] - ago), token=token, attributes_type=kind)

    async def device(self, installation: str) -> Device:
        found = await self.store.read(lambda tx: tx.devices.find(APP, installation))
        assert found is not None
        return found

    async def held(self, installation: str, kind: str = "") -> str | None:
        """The start token of an installation that can be used."""
        device = await self.device(installation)
        found = await self.store.read(lambda tx: tx.devices.start_token(APP, device.device_id, kind))
        return None if found is None or found.dead_reason else found.token

    async def dead(self, installation: str, token: str) -> None:
        """APNs calls a token dead."""
        device = await self.device(installation)
        now = Millis(self.clock[0])
        await self.store.write(
            lambda tx: tx.devices.lose_start_token(device.device_id, token, "Unregistered", None, now)
        )


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("migrated") / "skerry.db"
    migration.upgrade(path)
    return path


@pytest.fixture
async def house(migrated: Path, tmp_path: Path) -> AsyncIterator[House]:
    clock, cards = [1_790_000_000_000], NoCards()
    shutil.copy(migrated, tmp_path / "skerry.db")
    async with await SqliteStore.open(tmp_path / "skerry.db") as store:
        for app in (APP, OTHER_APP):
            await store.write(
                lambda tx, app=app: (
                    tx.connection.execute(
                        "INSERT INTO apps (app_id, name, bundle_id, environment, endpoints, created_at)"
                        " VALUES (?, ?, 'com.example.a', 'sandbox', '{}', 0)",
                        (app, f"app-{app}"),
                    ).rowcount
                )
            )
        yield House(store, Registry(store, cards, clock=lambda: Millis(clock[0])), cards, clock)


class TestStartTokens:
    async def test_the_first_is_taken_and_a_repeated_one_is_free(self, house: House) -> None:
        assert await house.say("i-1", house.start(A)) == ("accepted",)
        house.clock[0] += HOUR
        assert await house.say("i-1", house.start(A)) == ("repeated",)
        assert await house.held("i-1") == A

    async def test_a_newer_one_takes_its_place(self, house: House) -> None:
        await house.say("i-1", house.start(A))
        house.clock[0] += 1
        assert await house.say("i-1", house.start(B)) == ("accepted",)
        assert await house.held("i-1") == B

    async def test_one_that_is_older_and_comes_late_changes_nothing(self, house: House) -> None:
        await house.say("i-1", house.start(B))
        assert await house.say("i-1", house.start(A, ago=HOUR)) == ("stale",)
        assert await house.held("i-1") == B

    async def test_events_of_one_report_count_as_they_happened(self, house: House) -> None:
        assert await house.say("i-1", house.start(B), house.start(A, ago=5)) == ("accepted", "accepted")
        assert await house.held("i-1") == B

    async def test_each_type_has_its_own(self, house: House) -> None:
        await house.say("i-1", house.start(A), house.start(B, kind="Score"))
        assert await house.held("i-1") == A
        assert await house.held("i-1", "Score") == B

    async def test_a_dead_one_lives_again_only_by_a_later_report(self, house: House) -> None:
        await house.say("i-1", house.start(A))
        await house.dead("i-1", A)
        assert await house.held("i-1") is None
        assert await house.say("i-1", house.start(A)) == ("stale",)
        house.clock[0] += 1
        assert await house.say("i-1", house.start(A)) == ("accepted",)
        assert await house.held("i-1") == A

    async def test_the_activities_hear_of_a_device_that_can_be_started_from_now_on(self, house: House) -> None:
        await house.say("i-1", house.start(A))
        await house.say("i-1", house.start(A))
        assert [told for told, _ in house.cards.told] == ["reachable"]


class TestWhoseToken:
    async def test_a_token_of_a_living_installation_stays_there(self, house: House) -> None:
        await house.say("i-1", house.start(A))
        house.clock[0] += SILENCE
        assert await house.say("i-2", house.start(A)) == ("refused: the token belongs to another installation",)
        assert (await house.held("i-1"), await house.held("i-2")) == (A, None)

    async def test_it_moves_from_one_that_has_fallen_silent(self, house: House) -> None:
        """A restored phone: the same token under a new installation id."""
        await house.say("i-1", house.start(A))
        house.clock[0] += SILENCE + 1
        assert await house.say("i-2", house.start(A)) == ("accepted",)
        assert (await house.held("i-1"), await house.held("i-2")) == (None, A)

    async def test_a_sign_of_life_keeps_it(self, house: House) -> None:
        await house.say("i-1", house.start(A))
        house.clock[0] += SILENCE
        await house.say("i-1")
        house.clock[0] += SILENCE
        assert await house.say("i-2", house.start(A)) == ("refused: the token belongs to another installation",)

    async def test_it_moves_at_once_when_apns_has_called_it_dead(self, house: House) -> None:
        await house.say("i-1", house.start(A))
        await house.dead("i-1", A)
        assert await house.say("i-2", house.start(A)) == ("accepted",)
        assert await house.held("i-2") == A

    async def test_another_apps_token_is_another_token(self, house: House) -> None:
        await house.say("i-1", house.start(A))
        assert await house.say("i-1", house.start(A), app=OTHER_APP) == ("accepted",)

    async def test_an_update_token_cannot_be_claimed_as_a_start_token_of_another(self, house: House) -> None:
        await house.say("i-1", house.start(A))
        event = DeviceEvent(DeviceEventKind.UPDATE_TOKEN, Millis(house.clock[0]), token=A, group_id=GroupId("g"))
        assert await house.say("i-2", event) == ("refused: the token belongs to another installation",)
        assert ("token", 2) not in house.cards.told


class TestSecrets:
    async def test_the_first_binds_the_installation_to_it(self, house: House) -> None:
        await house.say("i-1", house.start(A), secret="mine")
        for secret in ("another", None, ""):
            with pytest.raises(WrongSecretError):
                await house.say("i-1", house.start(B), secret=secret, os_version="1.0")
        assert await house.held("i-1") == A
        assert (await house.device("i-1")).os_version is None, "nothing was changed"
        house.clock[0] += 1
        assert await house.say("i-1", house.start(B), secret="mine") == ("accepted",)

    async def test_one_may_come_later(self, house: House) -> None:
        await house.say("i-1", house.start(A))
        await house.say("i-1", secret="mine")
        with pytest.raises(WrongSecretError):
            await house.say("i-1")

    async def test_only_its_digest_is_kept(self, house: House) -> None:
        await house.say("i-1", secret="mine")
        kept = (await house.device("i-1")).secret_hash
        assert kept is not None
        assert (len(kept), b"mine" in kept) == (32, False)


class TestWhatIsSaidOfTheDevice:
    async def test_what_is_left_out_stays(self, house: House) -> None:
        await house.say(
            "i-1", os_version="18.1", app_version="2.0", model="iPhone17,1", environment=Environment.SANDBOX
        )
        await house.say("i-1", app_version="2.1")
        device = await house.device("i-1")
        assert (device.os_version, device.app_version, device.model) == ("18.1", "2.1", "iPhone17,1")
        assert device.environment is Environment.SANDBOX

    async def test_a_user_signs_in_and_out(self, house: House) -> None:
        await house.say("i-1", ext_id="ada")
        assert (await house.device("i-1")).user_id is not None
        await house.say("i-1")
        assert (await house.device("i-1")).user_id is not None, "left out: as it was"
        await house.say("i-1", ext_id="")
        assert (await house.device("i-1")).user_id is None

    async def test_another_environment_has_to_be_proved_anew(self, house: House) -> None:
        await house.say("i-1", environment=Environment.SANDBOX)
        device = await house.device("i-1")
        await house.store.write(lambda tx: tx.devices.learn_environment(device.device_id, Environment.SANDBOX))
        await house.say("i-1", environment=Environment.SANDBOX)
        assert (await house.device("i-1")).environment_proved
        await house.say("i-1", environment=Environment.PRODUCTION)
        device = await house.device("i-1")
        assert (device.environment, device.environment_proved) == (Environment.PRODUCTION, False)


reports = st.lists(st.tuples(st.sampled_from([A, B, C]), st.integers(1, 9)), max_size=12)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=reports)
async def test_whatever_the_order_the_newest_report_wins(house: House, said: list[tuple[str, int]]) -> None:
    number = len(await house.store.read(lambda tx: tx.connection.execute("SELECT 1 FROM devices").fetchall()))
    installation = kind = f"any-{number}"  # its own, as its tokens are, so that examples do not meet
    base = house.clock[0]
    believed: tuple[int, str] | None = None
    for token, time in said:
        own = f"{token[:-6]}{number:06x}"
        event = DeviceEvent(START, Millis(base + time), token=own, attributes_type=kind)
        (outcome,) = await house.say(installation, event)
        if believed is not None and own == believed[1]:
            assert outcome == "repeated"
        elif believed is not None and time < believed[0]:
            assert outcome == "stale"
        else:
            assert outcome == "accepted"
            believed = (time, own)
    if believed is not None:
        assert await house.held(installation, kind) == believed[1]
