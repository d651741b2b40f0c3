"""Random histories against a simple model: after quiet every phone shows what the model says, and nothing twice.

Commands, token reports (late, twice, rotated, never), swipes, crashes, jumps of the clock and faults of APNs are drawn
from a seed, which a failure names: `run(tmp_path, seed)` repeats it.
"""

import random
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from virtual_world import Apple, VirtualService, virtual_service

from skerry.domain.activity import End
from skerry.domain.audience import Audience
from skerry.domain.desired import Desired, Policies, Routing, Swipe
from skerry.domain.ids import GroupId
from skerry.domain.push import Outcome
from skerry.simulator.phone.phone import Phone
from skerry.simulator.phone.reports import ReportPolicy, ReportRule
from skerry.simulator.phone.rules import PhoneRules

GROUP = GroupId("match")
COMMANDS = 14
LENIENT = PhoneRules(start_budget=1_000)


class Faulty(Apple):
    """Loses answers and pushes for as long as `rate` says."""

    dice: random.Random
    rate = 0.0

    def fault(self, event: str, token: str) -> tuple[Outcome, bool] | None:
        if self.rate and self.dice.random() < self.rate:
            return self.dice.choice([(Outcome.UNKNOWN, True), (Outcome.UNKNOWN, False), (Outcome.NOT_PROCESSED, False)])
        return None


@dataclass
class Model:
    """What ought to be so."""

    swipe: Swipe
    routing: Routing
    state: int = 0
    running: bool = False
    away: set[str] = field(default_factory=set)
    """Phones whose owners have swiped the activity away, for now or for good."""

    def put(self, *, alert: bool) -> None:
        if not self.running:
            self.away.clear()
        self.running = True
        if self.swipe is Swipe.IGNORE or (self.swipe is Swipe.UNTIL_NEXT_ALERT and alert):
            self.away.clear()


class History:
    """One run."""

    def __init__(self, service: VirtualService, seed: int) -> None:
        self.service = service
        self.dice = random.Random(seed)
        self.model = Model(
            self.dice.choice([Swipe.FINAL, Swipe.UNTIL_NEXT_ALERT, Swipe.IGNORE]),
            self.dice.choice([Routing.TOKENS, Routing.CHANNEL]),
        )
        self.log: list[str] = [f"{self.model.swipe} {self.model.routing}"]
        self.mute: set[str] = set()
        """Phones that never report an update token: nobody can tell them anything after the start."""

    async def live(self) -> None:
        assert isinstance(self.service.apple, Faulty)
        self.service.apple.dice = self.dice
        for _ in range(self.dice.randint(1, 4)):
            self._buy_phone()
        await self.service.quiet()
        for _ in range(COMMANDS):
            await self._command()
        self.service.apple.rate = 0.0
        for _ in range(30):
            await self.service.pass_time(60.0)
        self._check()

    def _buy_phone(self) -> None:
        late = ReportRule(delay_s=self.dice.choice([0.0, 0.0, 2.0, 45.0, 120.0]), times=self.dice.choice([1, 1, 2]))
        never = self.dice.random() < 0.1
        policy = ReportPolicy(update_token=ReportRule(times=0) if never else late, shuffle=self.dice.random() < 0.3)
        version = self.dice.choice(["18.1", "18.1", "17.5"])
        (phone,) = self.service.world.add_phones(1, os_version=version, policy=policy)
        if never and (self.model.routing is Routing.TOKENS or version == "17.5"):
            self.mute.add(phone.id)
        self.log.append(f"{phone.id}: iOS {version}, {policy}")

    async def _command(self) -> None:
        weights = {
            self._put: 6, self._end: 1, self._swipe: 2, self._rotate: 2, self._relaunch: 1, self._crash: 2,
            self._wait: 4, self._fault: 1, self._join: 1,
        }  # fmt: skip
        command = self.dice.choices(list(weights), list(weights.values()))[0]
        self.log.append(command.__name__)
        self.service.world.advance(0.05)
        await command()
        if self.dice.random() < 0.4:
            await self.service.quiet()

    async def _put(self) -> None:
        alert = self.dice.random() < 0.3
        self.model.put(alert=alert)
        self.model.state += 1
        await self.service.desired.put(
            self.service.app_id,
            Desired(
                group_id=GROUP,
                state=b'{"n":%d}' % self.model.state,
                attributes_type="Match",
                attributes=b"{}",
                audience=Audience(everyone=True),
                alert=b'{"title":"!","body":"!"}' if alert else None,
                policies=Policies(swipe=self.model.swipe, routing=self.model.routing),
            ),
        )

    async def _end(self) -> None:
        if self.mute:
            return  # a phone that cannot be told keeps its card, and the next run would be a second one
        await self.service.desired.end(self.service.app_id, GROUP, End())
        self.model.running = False

    async def _swipe(self) -> None:
        """A swipe, and the app's word of it, with nothing else in between."""
        await self.service.quiet()
        phones = [one for one in self.service.world.phones.values() if _running(one)]
        if not phones or not self.model.running:
            return
        phone = self.dice.choice(phones)
        self.service.world.act(phone.id, lambda one, now: one.dismiss(GROUP, now))
        await self.service.take_reports()
        self.model.away.add(phone.id)

    async def _rotate(self) -> None:
        phones = list(self.service.world.phones.values())
        phone = self.dice.choice(phones)
        if self.dice.random() < 0.5:
            self.service.world.act(phone.id, lambda one, now: one.rotate_start_token(now))
        elif any(card.update_token for card in _running(phone)) and phone.id not in self.mute:
            self.service.world.act(phone.id, lambda one, now: one.rotate_update_token(GROUP, now))

    async def _relaunch(self) -> None:
        phone = self.dice.choice(list(self.service.world.phones.values()))
        self.service.world.act(phone.id, lambda one, now: one.launch_app(now))

    async def _crash(self) -> None:
        await self.service.crash()
        self.service.start()

    async def _wait(self) -> None:
        self.service.world.advance(self.dice.choice([0.3, 1.0, 5.0, 60.0, 400.0]))

    async def _fault(self) -> None:
        assert isinstance(self.service.apple, Faulty)
        self.service.apple.rate = self.dice.choice([0.0, 0.3, 1.0])

    async def _join(self) -> None:
        if len(self.service.world.phones) < 6:
            self._buy_phone()

    def _check(self) -> None:
        for phone in self.service.world.phones.values():
            cards = _running(phone)
            told = "\n".join([*self.log, *(f"{one.event} {one.verdict} {one.why}" for one in phone.log.records)])
            if not self.model.running:
                assert not cards, f"{phone.id} still shows the activity\n{told}"
            elif phone.id in self.model.away:
                assert not cards, f"{phone.id} swiped it away, and it came back\n{told}"
            else:
                assert len(cards) == 1, f"{phone.id} shows {len(cards)} cards\n{told}"
                if phone.id not in self.mute:
                    newest = b'{"n":%d}' % self.model.state
                    assert cards[0].content_state == newest, f"{phone.id} shows {cards[0].content_state!r}\n{told}"


def _running(phone: Phone) -> list:  # type: ignore[type-arg]
    return [card for card in phone.cards if card.is_running and card.group_id == GROUP]


async def run(directory: Path, seed: int) -> None:
    async with virtual_service(directory, Faulty, seed=str(seed), rules=LENIENT) as service:
        await History(service, seed).live()


@pytest.mark.parametrize("block", range(10))
async def test_after_quiet_every_phone_shows_what_the_model_says(tmp_path: Path, block: int) -> None:
    for seed in range(20 * block, 20 * (block + 1)):
        await run(tmp_path / str(seed), seed)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("block", range(50))
async def test_the_same_five_thousand_times(tmp_path: Path, block: int) -> None:
    for seed in range(1_000 + 100 * block, 1_000 + 100 * (block + 1)):
        await run(tmp_path / str(seed), seed)
