"""A random history of one or two activities on a few phones, and the look at the end: is all as the model says?

The commands are drawn from a seed: words of the backend, some of which it has to say twice, swipes, tokens that change,
apps that start anew, services that die, clocks that jump, and an APNs that loses, delays and refuses.
"""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from reference_model import ReferenceModel
from unkind_apple import Fate, UnkindApple
from virtual_world import VirtualService

from skerry.domain.activity import End
from skerry.domain.audience import Audience
from skerry.domain.card import NO_ANSWER
from skerry.domain.card import Card as StoredCard
from skerry.domain.chunk import CHANNEL
from skerry.domain.desired import Desired, NoToken, Policies, Priority, Routing, Swipe
from skerry.domain.errors import OutdatedError
from skerry.domain.ids import CardNumber, GroupId, Millis, RevisionNumber, Seconds
from skerry.domain.revision import RevisionKind
from skerry.simulator.phone.card import Card
from skerry.simulator.phone.phone import Phone
from skerry.simulator.phone.reports import ReportPolicy, ReportRule
from skerry.store.sqlite.transaction import SqliteTransaction

UNENDED = "was not ended"
MISSING = "is not there"
TWICE = "is there twice"
OUTDATED = "does not show the newest state"
RETURNED = "came back after a swipe"

COMMANDS = 14
MOST_PHONES = 5
SWIPED_FOR = 300_000
"""Milliseconds that a swipe counts where the policy sets a time."""
PATIENT_TURNS = 40
"""Looks for a start in flight, before the service dies all the same."""
PATIENCE = 290.0
"""Seconds within which a phone must say its token, or its start may be repeated: the service's time, and a margin."""


class History:
    """One run."""

    def __init__(self, service: VirtualService, seed: int) -> None:
        assert isinstance(service.apple, UnkindApple)
        self.service, self.apple, self.world = service, service.apple, service.world
        self.dice = random.Random(seed)
        self.apple.dice = random.Random(f"apple {seed}")
        self.lasting = self.dice.random() < 0.15
        """Whether days pass, and the activities are renewed."""
        skewed = not self.lasting and self.dice.random() < 0.2
        service.skew = self.dice.choice([-90.0, 90.0]) if skewed else 0.0
        service.resend_unknown_starts = self.dice.random() < 0.7
        self.skewed = skewed
        names = ["match", "order"] if self.dice.random() < 0.3 else ["match"]
        self.models = [ReferenceModel(GroupId(name), self._policies(skewed=skewed)) for name in names]
        self.erased: set[str] = set()
        """Phones of whom everything was erased: what they show is nobody's any more."""
        self.mute: set[str] = set()
        """Phones that never say an update token."""
        self.late: set[str] = set()
        """Phones that say it so late, or never, that a start in doubt is repeated first."""
        self.unclear: set[tuple[str, GroupId]] = set()
        """Swipes of one of two cards of an activity: a close names the activity and not the card."""
        self.unsaid: set[tuple[str, GroupId]] = set()
        """Cards whose token died with the next one not yet told: they cannot be told from cards that are gone."""
        self.mingled: set[tuple[str, GroupId]] = set()
        """Activities whose next run had begun when an app that started anew said the token of a card of the run before.

        Where that overtakes the first report of the same token, it passes for a new token of the newer card.
        """
        self.log: list[str] = []
        self.excused: list[str] = []
        """What the model says and a phone does not show, for reasons that nobody but the world can know."""
        self.looked_at = 0
        """On how many phones an activity was looked for."""

    async def live(self) -> None:
        """Let it happen, and see.

        Raises:
            AssertionError: with the history and what the phone did, where a phone does not show what it must.
        """
        for model in self.models:
            self.log.append(f"{model.group}: {model.policies}")
        self.log.append(f"clock {self.service.skew:+}, resend {self.service.resend_unknown_starts}")
        await self._restart()
        for _ in range(self.dice.randint(1, 3)):
            self._buy_phone()
        await self.service.quiet()
        for _ in range(COMMANDS):
            await self._command()
        self.apple.rate = 0.0
        for minutes in [1] * 20 + [10] * 14:
            await self.service.pass_time(60.0 * minutes)
        for model in self.models:
            for phone in self.world.phones.values():
                if phone.id not in self.erased:
                    await self._look_at(phone, model)

    # What happens

    def _policies(self, *, skewed: bool) -> Policies:
        # A phone's clock says when it was swiped, the service's when a revision came: they have to agree for the rest.
        swipe = Swipe.FINAL if skewed else self.dice.choice(list(Swipe))
        return Policies(
            swipe=swipe,
            swipe_for=Millis(SWIPED_FOR if swipe is Swipe.AFTER else 0),
            routing=self.dice.choice([Routing.TOKENS, Routing.CHANNEL]),
            renew=self.lasting,
            no_token=self.dice.choice([None, NoToken.WAIT, NoToken.LOST, NoToken.AGAIN]),
            no_token_after=self.dice.choice([None, Millis(600_000)]),
        )

    def _buy_phone(self) -> None:
        delay = self.dice.choice([0.0, 0.0, 2.0, 45.0, 120.0, 1_000.0])
        times = self.dice.choice([1] * 10 + [2] * 4 + [3] * 3 + [0])
        policy = ReportPolicy(
            start_token=ReportRule(delay_s=self.dice.choice([0.0, 0.0, 5.0])),
            update_token=ReportRule(delay_s=delay, times=times),
            close=ReportRule(delay_s=self.dice.choice([0.0, 0.0, 0.0, 10.0, 60.0]), times=self.dice.choice([1, 1, 2])),
            shuffle=not self.skewed and self.dice.random() < 0.3,  # what happened when, only a right clock can say
        )
        version = self.dice.choice(["18.1", "18.1", "17.5"])
        (phone,) = self.world.add_phones(1, os_version=version, policy=policy)
        if not times:
            self.mute.add(phone.id)
        if not times or delay > PATIENCE:
            self.late.add(phone.id)
        self.log.append(f"{phone.id}: iOS {version}, token {delay:.0f} s late, {times} times")

    async def _command(self) -> None:
        weights: dict[Callable[[], Awaitable[None]], float] = {
            self._put: 7, self._end: 1, self._swipe: 2, self._rotate: 2, self._relaunch: 1, self._crash: 2,
            self._wait: 4, self._fault: 2, self._join: 1, self._say_it_late: 1,
            self._begin_and_die: 1, self._erase: 0.3,
        }  # fmt: skip
        command = self.dice.choices(list(weights), list(weights.values()))[0]
        self.log.append(command.__name__)
        self.world.advance(0.05)
        await command()
        if self.dice.random() < 0.4:
            await self.service.quiet()

    async def _put(self, model: ReferenceModel | None = None) -> None:
        model = model or self.dice.choice(self.models)
        model.put(self.world.clock.now(), alerts=self.dice.random() < 0.3)
        priority, important = self.dice.choice(list(Priority)), self.dice.random() < 0.2
        desired = replace(self._desired(model), priority=priority, important=important)
        await self._say(lambda: self.service.desired.put(self.service.app_id, desired))

    async def _say_it_late(self) -> None:
        """A word that has been overtaken, or was said before."""
        model = self.dice.choice(self.models)
        if not model.running:
            return
        desired = self._desired(model)
        if self.dice.random() < 0.5:
            await self.service.desired.put(self.service.app_id, desired)
        else:
            with pytest.raises(OutdatedError):
                await self.service.desired.put(
                    self.service.app_id, replace(desired, state=b'{"n":-1}', version=model.state - 1)
                )

    async def _end(self, model: ReferenceModel | None = None) -> None:
        if self.skewed:
            return  # of which run a late token is, only clocks that agree can say
        model = model or self.dice.choice(self.models)
        model.end()
        # A card that lingers is closed once more when it leaves, hours later, and a close does not say which it is of.
        dismissal = Seconds(0) if self.lasting else self.dice.choice([None, Seconds(0)])
        await self._say(
            lambda: self.service.desired.end(self.service.app_id, model.group, End(dismissal_date=dismissal))
        )

    async def _say(self, word: Callable[[], Awaitable[object]]) -> None:
        """To a service that may die before it has answered; the backend then says it once more."""
        if self.dice.random() < 0.15:
            saying = asyncio.ensure_future(word())
            for _ in range(self.dice.randint(0, 4)):
                await asyncio.sleep(0)
            saying.cancel()
            await asyncio.gather(saying, return_exceptions=True)
            await self._restart()
        await word()

    async def _swipe(self) -> None:
        """A swipe, of which the app may tell at once or later."""
        await self.service.quiet()
        self.world.advance(0.05)  # two closes of one and the same millisecond would be one that is said twice
        shown = [(phone, card) for phone in self.world.phones.values() for card in phone.cards if card.is_running]
        if not shown:
            return
        phone, card = self.dice.choice(shown)
        model = next(one for one in self.models if one.group == card.group_id)
        if not model.running or _run_of(card) != model.run:
            return
        if sum(one.is_running and one.group_id == card.group_id for one in phone.cards) > 1:
            self.unclear.add((phone.id, model.group))
        self.world.act(phone.id, lambda one, now: one.dismiss(card.group_id, now, card.id))
        model.swiped(phone.id, self.world.clock.now())
        self.log.append(f"{phone.id} has swiped {model.group}")

    async def _rotate(self) -> None:
        phone = self.dice.choice(list(self.world.phones.values()))
        # A token that changes after the run is over would be the next one's, for all that its report says.
        now = {model.group: model.run for model in self.models if model.running}
        cards = [card for card in phone.cards if card.is_running and card.update_token]
        cards = [card for card in cards if _run_of(card) == now.get(GroupId(card.group_id))]
        if not cards or self.dice.random() < 0.5:
            self.world.act(phone.id, lambda one, now: one.rotate_start_token(now))
        else:
            card = self.dice.choice(cards)
            if not phone.rules.rotated_token_lives_s:
                self.unsaid.add((phone.id, GroupId(card.group_id)))
            self.world.act(phone.id, lambda one, now: one.rotate_update_token(card.group_id, now, card.id))

    async def _relaunch(self) -> None:
        phone = self.dice.choice(list(self.world.phones.values()))
        for model in self.models:
            cards = [card for card in phone.cards if card.group_id == model.group and card.is_running]
            if phone.policy.shuffle and any(card.update_token and _run_of(card) < model.run for card in cards):
                self.mingled.add((phone.id, model.group))
        self.world.act(phone.id, lambda one, now: one.launch_app(now))

    async def _crash(self) -> None:
        """Somewhere on the way from a claim to its settlement, as likely as not."""
        for _ in range(self.dice.randint(0, 25)):
            await asyncio.sleep(0)
        await self._restart()

    async def _begin_and_die(self) -> None:
        """A run begins, often right after the one before, and the service dies with starts in flight."""
        model = self.dice.choice(self.models)
        if model.running and self.dice.random() < 0.5:
            await self._end(model)
        if self.dice.random() < 0.5:
            self.world.advance(self.dice.choice([0.3, 5.0, 60.0]))
            await self.service.quiet()
        await self._put(model)
        for _ in range(PATIENT_TURNS):
            if await self.service.store.read(_starts_in_flight):
                break
        for _ in range(self.dice.randint(0, 6)):
            await asyncio.sleep(0)
        await self._restart()

    async def _erase(self) -> None:
        """Somebody wants to be forgotten, and may be a user again with the app's next word."""
        phone = self.dice.choice(list(self.world.phones.values()))
        if phone.user is None or len(self.world.phones) == len(self.erased) + 1:
            return
        self.erased.add(phone.id)
        await self.service.registry.erase_users(self.service.app_id, [phone.user])

    async def _restart(self) -> None:
        await self.service.crash()
        for installation, attributes in await self.service.store.read(_starts_in_flight):
            (phone,) = (one for one in self.world.phones.values() if _is(one, installation))
            self.apple.forget_start(phone.id, attributes)
        self.service.start()

    async def _wait(self) -> None:
        """The clock jumps, with whatever is under way; or, where days pass, hours go by."""
        if self.lasting and self.dice.random() < 0.5:
            for _ in range(12):
                await self.service.pass_time(600.0)
        else:
            self.world.advance(self.dice.choice([0.3, 1.0, 5.0, 60.0, 400.0]))

    async def _fault(self) -> None:
        self.apple.rate = self.dice.choice([0.0, 0.3, 0.3, 1.0])

    async def _join(self) -> None:
        if len(self.world.phones) < MOST_PHONES:
            self._buy_phone()

    def _desired(self, model: ReferenceModel) -> Desired:
        return Desired(
            group_id=model.group,
            state=model.content_state,
            attributes_type="Match",
            attributes=b'{"run":%d}' % model.run,
            audience=Audience(everyone=True),
            alert=b'{"title":"!","body":"!"}' if model.alerts else None,
            version=model.state,
            policies=model.policies,
        )

    # What is to be seen

    async def _look_at(self, phone: Phone, model: ReferenceModel) -> None:
        self.looked_at += 1
        running = [card for card in phone.cards if card.is_running and card.group_id == model.group]
        current = [card for card in running if model.running and _run_of(card) == model.run]
        for card in running:
            if card not in current:
                await self._excuse(phone, model, card, UNENDED)
        if model.is_due_on(phone.id):
            if not current:
                await self._excuse(phone, model, None, MISSING)
            for card in current[1:]:
                await self._excuse(phone, model, card, TWICE)
            if current and all(card.content_state != model.content_state for card in current):
                await self._excuse(phone, model, current[-1], OUTDATED)
        else:
            for card in current:
                await self._excuse(phone, model, card, RETURNED)

    async def _excuse(self, phone: Phone, model: ReferenceModel, card: Card | None, what: str) -> None:
        """Whether there is a cause in what the world has done, and the service says the same: else it is a fault.

        Raises:
            AssertionError: with the history and what the phone did.
        """
        said = await self.service.store.read(lambda tx: self._said(tx, phone, model, card))
        cause = self._cause(phone, model, card, what, said)
        told = [f"{one.event} {one.timestamp} {one.verdict} {one.why}" for one in phone.log.records]
        story = "\n".join([*self.log, *told, str(said)])
        assert cause is not None, f"{phone.id}, {model.group}: the card {what}, with {model.content_state!r}\n{story}"
        self.excused.append(f"{what}: {cause}")

    def _cause(
        self, phone: Phone, model: ReferenceModel, card: Card | None, what: str, said: dict[str, Any]
    ) -> str | None:
        swipes_count = card is None and model.policies.swipe is not Swipe.FINAL
        doubtful = card is None and any(
            self.apple.starts[Fate.DONE, phone.id, (model.group, run)] for run in range(1, model.run)
        )
        if doubtful or self._is_muddled(phone, model) or (swipes_count and (phone.id, model.group) in self.unclear):
            return "of which card a report is, cannot be told"
        run = model.group, model.run if card is None else _run_of(card)
        starts = {fate: self.apple.starts[fate, phone.id, run] for fate in Fate}
        if card is None:
            return self._cause_of_none(phone, starts, said)
        running = [one for one in phone.cards if one.is_running and one.group_id == model.group]
        mingled = what in (UNENDED, OUTDATED) and (phone.id, model.group) in self.mingled
        if mingled or (len(running) > 1 and (phone.id, model.group) in self.unsaid):
            return "its token passed for the other card's" if mingled else "its token had died, and the next came late"
        asked = model.policies.no_token is NoToken.AGAIN
        repeatable = asked or (starts[Fate.DONE] and self.service.resend_unknown_starts)
        doubled = repeatable and self._was_repeated(phone, card, what)
        if doubled or what in (TWICE, RETURNED):
            return "its start was repeated, for want of an answer and a token" if doubled else None
        if card.channel is None and phone.id in self.mute:
            return "it has never said its token"
        lost = self.apple.changes[Fate.LOST, card.channel or card.update_token or ""]
        unheard = lost and "UNKNOWN" in (said["target"], said["broadcast"])
        return "a push was lost, and given up after three attempts" if unheard else None

    def _was_repeated(self, phone: Phone, card: Card, what: str) -> bool:
        """Whether the run has had two cards on the phone, the start being repeated, and this may be one too many.

        Only one of them is ever updated, and ended: the one whose token came last (docs, "How an activity lives").
        """
        cards = [one for one in phone.cards if (one.group_id, _run_of(one)) == (card.group_id, _run_of(card))]
        first, *others = sorted(cards, key=lambda one: self.apple.sent_at[one.id])
        waited = any(self.apple.sent_at[one.id] >= self.apple.sent_at[first.id] + PATIENCE for one in others)
        overtaken = what in (TWICE, RETURNED) or (what == UNENDED and card is first)
        # Its token could not be told before the repeat: the app is slow, or the push was, and the clock has jumped.
        told_at = first.started_at + phone.policy.update_token.delay_s
        untold = phone.id in self.late or any(self.apple.sent_at[one.id] <= told_at for one in others)
        return first.channel is None and waited and overtaken and untold

    def _cause_of_none(self, phone: Phone, starts: dict[Fate, int], said: dict[str, Any]) -> str | None:
        # The repeat of a lost start may be lost as well; on a channel nobody could tell, so there is none.
        often = 2 if self.service.resend_unknown_starts and not said["listens"] else 1
        if starts[Fate.LOST] >= often and (said["start"] == "UNKNOWN" or said["reason"] == NO_ANSWER):
            return "its start was lost"
        if starts[Fate.ASTRAY]:
            return "its start went to a token that had been replaced"
        unrenewed = phone.id in self.mute or said["reason"] == "Unregistered"
        return "without a token there is no renewal" if self.lasting and unrenewed else None

    def _is_muddled(self, phone: Phone, model: ReferenceModel) -> bool:
        """Whether a card came to the phone after the next run had begun.

        Reports name the activity and not the card: whose token came first is all that tells two runs apart.
        """
        cards = [card for card in phone.cards if card.group_id == model.group]
        return any(card.started_at >= model.began.get(_run_of(card) + 1, card.started_at + 1) for card in cards)

    def _said(
        self, tx: SqliteTransaction, phone: Phone, model: ReferenceModel, shown: Card | None
    ) -> dict[str, Any]:  # fmt: skip
        """What the service knows of a card of the phone, or else of the newest one."""
        activity = tx.activities.by_group(self.service.app_id, model.group)
        assert phone.installation is not None
        device = tx.devices.find(self.service.app_id, phone.installation.id)
        card = None
        if activity is not None and device is not None:
            place = activity.activity_id, device.device_id
            card = tx.activities.newest_card(*place)
            while card is not None and shown is not None and _run_started(tx, card) > _run_of(shown):
                card = tx.activities.card_before(*place, card.number, card.created_at)
        if activity is None or card is None:
            return {"reason": "", "listens": False, "start": "", "target": "", "broadcast": ""}

        def verdict(revision: RevisionNumber, number: CardNumber) -> str:
            found = tx.outbox.verdict_of(activity.activity_id, revision, number)
            return "" if found is None else found.name

        # Of an older run the end that was planned for it, not the newest one.
        planned = tx.connection.execute(
            "SELECT max(revision) FROM chunks JOIN revisions ON revisions.activity_id = chunks.activity_id"
            " AND revisions.number = chunks.revision AND revisions.kind = ?"
            " WHERE chunks.activity_id = ? AND ? BETWEEN first AND last",
            (int(RevisionKind.END), card.activity_id, card.number),
        ).fetchone()[0]
        target = planned or activity.target_of(card.number)
        listens = tx.connection.execute(
            "SELECT on_channel FROM cards WHERE activity_id = ? AND number = ?", (card.activity_id, card.number)
        ).fetchone()[0]
        return {
            "reason": card.reason or "",
            "listens": bool(listens),
            "start": verdict(card.started_by, card.number),
            "target": verdict(target, card.number),
            "broadcast": verdict(target, CHANNEL),
        }


def _is(phone: Phone, installation: str) -> bool:
    return phone.installation is not None and phone.installation.id == installation


def _run_of(card: Card) -> int:
    return int(json.loads(card.attributes)["run"])


def _run_started(tx: SqliteTransaction, card: StoredCard) -> int:
    """Of which run a card is, as its start says; one that the service has not started is of any."""
    start = tx.activities.revision(card.activity_id, card.started_by)
    return 0 if start is None or start.attributes is None else int(json.loads(start.attributes)["run"])


def _starts_in_flight(tx: SqliteTransaction) -> list[tuple[str, bytes]]:
    """Installation and attributes of starts that a service has died over."""
    rows = tx.connection.execute(
        "SELECT devices.installation_id, revisions.attributes FROM chunks"
        " JOIN revisions ON revisions.activity_id = chunks.activity_id AND revisions.number = chunks.revision"
        " JOIN cards ON cards.activity_id = chunks.activity_id AND cards.number BETWEEN chunks.first AND chunks.last"
        " JOIN devices USING (device_id)"
        " WHERE revisions.kind = 1 AND substr(chunks.verdicts, cards.number - chunks.first + 1, 1) = x'01'"
    )
    return rows.fetchall()
