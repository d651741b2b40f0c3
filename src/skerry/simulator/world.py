"""The simulated world: any number of phones behind one APNs, their tokens, their timers and their reports.

```
 APNs ──standing, deliver, broadcast──► World ──receive──► Phone
                                          │  ◄── tokens, reports,
                                          │       subscriptions ──┘
                                          └──submit──► Reporter ──► the service
```

Everything in it but the Reporter's requests follows from the seed, the clock and the order of calls. It belongs to one
event loop.
"""

import asyncio
import heapq
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

import structlog

from skerry.domain.push import Environment
from skerry.simulator.carrier import Broadcast, Delivery, Phones, Standing
from skerry.simulator.clock import Clock
from skerry.simulator.phone.card import CardStatus
from skerry.simulator.phone.handset import Handset
from skerry.simulator.phone.phone import Phone
from skerry.simulator.phone.reporter import Reporter
from skerry.simulator.phone.reports import ReportPolicy
from skerry.simulator.phone.rules import PhoneRules
from skerry.simulator.phone.swift_types import AttributesType
from skerry.simulator.phone.verdict import Verdict

_log = structlog.get_logger("skerry.simulator")

Result = TypeVar("Result")

MOST_PHONES = 200_000
_POLL_S = 0.05
"""How late a timer may fire in real time."""
_PHONES_PER_TURN = 200
"""Phones that something happens to in one turn of the event loop: 2,000 reach the eight-hour wall at one moment, and a
broadcast has 60,000 listeners."""
_NOTHING: frozenset[str] = frozenset()


class UnknownPhoneError(LookupError):
    """There is no phone of that id."""


class World(Phones):
    """Phones by id (`phone-1`, `phone-2`, …), and everything that happens to them.

    Args:
        clock: simulated time.
        bundle_id: of the app on all phones.
        seed: tokens and installation ids follow from it.
        rules: how strict the phones are.
        types: the `ActivityAttributes` structs of the app; None: phones decode everything.
        reporter: takes the phones' reports; None: nobody hears them.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        bundle_id: str = "com.example.skerry",
        seed: str = "0",
        rules: PhoneRules | None = None,
        types: Mapping[str, AttributesType] | None = None,
        reporter: Reporter | None = None,
    ) -> None:
        self.clock = clock
        self.bundle_id = bundle_id
        self.reporter = reporter
        self.phones: dict[str, Phone] = {}
        self.unclaimed = 0
        """Pushes that came for a token nobody has; APNs should have refused them."""
        self._seed = seed
        self._rules = rules or PhoneRules()
        self._types = types
        self._holders: dict[tuple[Environment, str], Phone] = {}
        self._subscriptions: dict[str, frozenset[str]] = {}
        """The channels that each phone listens on; phones that listen on none are left out."""
        self._listeners: dict[tuple[Environment, str], dict[str, Phone]] = {}
        """The same the other way round."""
        self._broadcasts: deque[tuple[Broadcast, deque[Phone]]] = deque()
        """Broadcasts under way, and the phones that they have not reached yet."""
        self._timers: list[tuple[float, str]] = []
        self._next_timer: dict[str, float] = {}
        """The earliest timer of each phone; another one of the phone in the heap is out of date."""

    # Phones

    def add_phones(
        self,
        count: int = 1,
        *,
        user: str | None = "user-{n}",
        environment: Environment = Environment.SANDBOX,
        os_version: str = "18.1",
        language: str = "en",
        types: Mapping[str, AttributesType] | None = None,
        policy: ReportPolicy | None = None,
    ) -> list[Phone]:
        """Buy phones, install the app, report the start tokens.

        Args:
            count: how many.
            user: who is signed in; `{n}` becomes the phone's number. None: nobody.
            environment: which APNs world the app was built for.
            os_version: such as `18.1`.
            language: what their people read.
            types: what the app knows, if not what the world's phones know.
            policy: how the app reports.

        Raises:
            ValueError: naming the field at fault.
        """
        if not 1 <= count <= MOST_PHONES - len(self.phones):
            raise ValueError(f"count: must be at least 1, and a world has at most {MOST_PHONES} phones")
        now = self.clock.now()
        phones = []
        for number in range(len(self.phones) + 1, len(self.phones) + count + 1):
            name = f"phone-{number}"
            handset = Handset(name, environment, self.bundle_id, os_version, self._seed, language=language)
            owner = None if user is None else user.replace("{n}", str(number))
            known = self._types if types is None else types
            phone = Phone(handset, owner, now, types=known, rules=self._rules, policy=policy)
            phones.append(phone)
        for phone in phones:
            self.phones[phone.id] = phone
            self._settle(phone, now)
        return phones

    def phone(self, phone_id: str) -> Phone:
        """The phone of that id.

        Raises:
            UnknownPhoneError: if there is none.
        """
        try:
            return self.phones[phone_id]
        except KeyError:
            raise UnknownPhoneError(f"there is no phone {phone_id!r}; GET /simulator/phones lists them") from None

    def act(self, phone_id: str, action: Callable[[Phone, float], Result]) -> Result:
        """Do something with a phone at this moment, and let what follows from it happen.

        Raises:
            UnknownPhoneError: if there is no such phone; and what `action` raises.
        """
        phone = self.phone(phone_id)
        now = self.clock.now()
        try:
            return action(phone, now)
        finally:
            self._settle(phone, now)

    def counts(self) -> tuple[Counter[Verdict], Counter[CardStatus]]:
        """Final verdicts of all pushes so far, and the remembered cards by status."""
        verdicts: Counter[Verdict] = Counter()
        cards: Counter[CardStatus] = Counter()
        for phone in self.phones.values():
            verdicts.update(phone.log.counts)
            cards.update(card.status for card in phone.cards)
        return verdicts, cards

    def holder(self, environment: Environment, token: str) -> Phone | None:
        """The phone that has, or had, this token; None: nobody."""
        return self._holders.get((environment, token.lower()))

    # What APNs asks

    def standing(self, environment: Environment, token: str) -> Standing | None:
        """What this token is in this environment; None: unknown here."""
        phone = self.holder(environment, token)
        return None if phone is None else phone.standing(token.lower(), self.clock.now())

    def deliver(self, delivery: Delivery) -> None:
        """Take an accepted push. Returns at once and never raises."""
        try:
            self._deliver(delivery)
        except Exception:  # noqa: BLE001 - the contract: a fault of a phone must not become one of APNs
            _log.exception("phone_failed_on_push", token=delivery.token[:8], apns_id=delivery.apns_id)

    def _deliver(self, delivery: Delivery) -> None:
        token = delivery.token.lower()
        phone = self._holders.get((delivery.environment, token))
        if phone is None:
            self.unclaimed += 1
            _log.warning("push_for_unknown_token", token=token[:8], verdict=Verdict.UNKNOWN_TOKEN.value)
            return
        now = self.clock.now()
        phone.receive(delivery if token == delivery.token else replace(delivery, token=token), now)
        self._settle(phone, now)

    def broadcast(self, broadcast: Broadcast) -> None:
        """Take an accepted broadcast: some phones have it at once, the others in the next turns (see `tick`)."""
        listeners = self._listeners.get((broadcast.environment, broadcast.channel_id), {})
        self._broadcasts.append((broadcast, deque(listeners.values())))
        self._spread(_PHONES_PER_TURN)

    def listeners(self, environment: Environment, channel_id: str) -> int:
        """How many phones have a running card on the channel."""
        return len(self._listeners.get((environment, channel_id), ()))

    def _spread(self, limit: int) -> int:
        """Bring broadcasts, in the order in which they came, to the next phones; returns to how many."""
        reached = 0
        while self._broadcasts and reached < limit:
            broadcast, waiting = self._broadcasts[0]
            if not waiting:
                self._broadcasts.popleft()
                continue
            phone = waiting.popleft()
            reached += 1
            now = self.clock.now()
            try:
                phone.receive_broadcast(broadcast, now)
                self._settle(phone, now)
            except Exception:  # noqa: BLE001 - the contract: a fault of a phone must not become one of APNs
                _log.exception("phone_failed_on_broadcast", phone=phone.id, request_id=broadcast.request_id)
        return reached

    # Time

    def advance(self, seconds: float) -> None:
        """Move the world forward, and let everything happen that falls due.

        Raises:
            ValueError: if `seconds` is negative.
        """
        self.clock.advance(seconds)
        while self.tick():
            pass

    def tick(self, limit: int = _PHONES_PER_TURN) -> int:
        """Let what is due happen on up to `limit` phones: broadcasts under way first, then timers.

        Returns:
            How many phones had something due.
        """
        ticked = self._spread(limit)
        now = self.clock.now()
        while ticked < limit and self._timers and self._timers[0][0] <= now:
            due, phone_id = heapq.heappop(self._timers)
            if self._next_timer.get(phone_id) != due:
                continue
            del self._next_timer[phone_id]
            phone = self.phones[phone_id]
            phone.tick(now)
            self._settle(phone, now)
            ticked += 1
        return ticked

    async def run(self) -> None:
        """Let time pass and reports leave, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pass_time())
            if self.reporter is not None:
                group.create_task(self.reporter.run())

    async def _pass_time(self) -> None:
        while True:
            busy = self.tick() == _PHONES_PER_TURN
            await asyncio.sleep(0 if busy else _POLL_S)

    def _settle(self, phone: Phone, now: float) -> None:
        """After every call into a phone: its new tokens become known, its reports leave, its next timer is set."""
        for token in phone.take_issued_tokens():
            self._holders[phone.handset.environment, token] = phone
        self._follow(phone)
        reports = phone.take_reports(now)
        if self.reporter is not None:
            if phone.installation is None:
                self.reporter.forget(phone.id)
            if reports:
                self.reporter.submit(phone.id, reports)
        due = phone.next_due()
        known = self._next_timer.get(phone.id)
        # A timer that has moved back is left to fire in vain once: so there is about one per phone for all its pushes.
        if due is not None and (known is None or due < known):
            self._next_timer[phone.id] = due
            heapq.heappush(self._timers, (due, phone.id))

    def _follow(self, phone: Phone) -> None:
        """Let the phone hear the channels that it now listens on, and no others."""
        before, after = self._subscriptions.get(phone.id, _NOTHING), phone.subscriptions
        if before == after:
            return
        environment = phone.handset.environment
        for channel in after - before:
            self._listeners.setdefault((environment, channel), {})[phone.id] = phone
        for channel in before - after:
            listeners = self._listeners[environment, channel]
            del listeners[phone.id]
            if not listeners:
                del self._listeners[environment, channel]
        if after:
            self._subscriptions[phone.id] = after
        else:
            del self._subscriptions[phone.id]
