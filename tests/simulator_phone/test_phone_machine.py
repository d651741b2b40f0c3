"""A phone under any order of pushes, taps and time: what must hold whatever happens."""

import json
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from skerry.domain.push import Environment
from skerry.simulator.carrier import Broadcast, Delivery, TokenKind
from skerry.simulator.clock import FrozenClock
from skerry.simulator.phone.card import CardStatus
from skerry.simulator.phone.handset import Handset
from skerry.simulator.phone.phone import Phone, UnknownCardError
from skerry.simulator.phone.rules import PhoneRules
from skerry.simulator.phone.verdict import PushRecord, Verdict

ORDER = [CardStatus.LIVE, CardStatus.STALE, CardStatus.ENDED, CardStatus.DISMISSED]
GROUPS = st.sampled_from(["a", "b"])
CHANNEL_IDS = ["YQ==", "Yg=="]
CHANNELS = st.sampled_from(CHANNEL_IDS)
NO_CARD_TOKEN = "80" * 80


class PhoneMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = FrozenClock()
        handset = Handset("phone-1", Environment.SANDBOX, "com.example.skerry")
        # No limits: cards and records are all kept, so that the whole history can be judged.
        rules = PhoneRules(start_budget=10_000, pushes_kept=10_000, dismissed_cards_kept=10_000)
        self.phone = Phone(handset, None, self.clock.now(), rules=rules)
        self.tokens: list[str] = []
        self.deliveries: list[Delivery] = []
        self.sent = 0
        self.reported: list[str] = []
        self.seen: dict[str, tuple[float, int]] = {}
        """Per card: the newest timestamp shown, and the furthest status reached."""
        self.take_out()

    def push(self, token: str, aps: dict[str, Any], *, expiration: int | None, priority: int) -> PushRecord:
        body = json.dumps({"aps": aps}).encode()
        delivery = Delivery(
            Environment.SANDBOX, token, "id", "t", "liveactivity", priority, expiration, body, self.clock.now()
        )
        self.deliveries.append(delivery)
        return self.deliver(delivery)

    def deliver(self, delivery: Delivery) -> PushRecord:
        self.sent += 1
        record = self.phone.receive(delivery, self.clock.now())
        self.take_out()
        return record

    def take_out(self) -> None:
        self.tokens += self.phone.take_issued_tokens()
        self.reported += [r.token for r in self.phone.take_reports(self.clock.now()) if r.token]

    @rule(
        group=GROUPS,
        offset=st.integers(-50, 50),
        alert=st.sampled_from([True, True, True, False]),
        stale=st.none() | st.integers(-10, 20_000),
        channel=st.none() | CHANNELS,
    )
    def start(self, group: str, offset: int, alert: bool, stale: int | None, channel: str | None) -> None:
        now = int(self.clock.now())
        aps: dict[str, Any] = {
            "timestamp": now + offset,
            "event": "start",
            "attributes-type": "T",
            "attributes": {"netmeraGroupId": group},
            "content-state": {"at": now + offset},
        }
        if alert:
            aps["alert"] = {"title": "t"}
        if stale is not None:
            aps["stale-date"] = now + stale
        if channel is not None:
            aps["input-push-channel"] = channel
        token = self.phone.start_token or NO_CARD_TOKEN
        record = self.push(token, aps, expiration=None, priority=10)
        if self.phone.is_online:
            assert record.verdict is (Verdict.STARTED if alert else Verdict.NO_ALERT)

    @rule(
        data=st.data(),
        event=st.sampled_from(["update", "update", "update", "end"]),
        offset=st.integers(-50, 50),
        stale=st.none() | st.integers(-10, 20_000),
        dismissal=st.none() | st.integers(-10, 20_000),
        expiration=st.none() | st.just(0) | st.integers(1, 1000),
    )
    def change(
        self, data: st.DataObject, event: str, offset: int, stale: int | None, dismissal: int | None, expiration: int
    ) -> None:
        now = int(self.clock.now())
        aps = self.aps(event, offset, stale, dismissal)
        running = [card.update_token for card in self.phone.cards if card.is_running and card.update_token]
        # Mostly to a running card: pushes to all the other tokens are dropped early and find little.
        token = data.draw(st.sampled_from(running or self.tokens) | st.sampled_from([*self.tokens, NO_CARD_TOKEN]))
        deadline = expiration if not expiration else now + expiration
        self.push(token, aps, expiration=deadline, priority=5)

    def aps(self, event: str, offset: int, stale: int | None, dismissal: int | None) -> dict[str, Any]:
        now = int(self.clock.now())
        aps: dict[str, Any] = {"timestamp": now + offset, "event": event, "content-state": {"at": now + offset}}
        if stale is not None:
            aps["stale-date"] = now + stale
        if dismissal is not None:
            aps["dismissal-date"] = now + dismissal
        return aps

    @rule(
        channel=CHANNELS,
        event=st.sampled_from(["update", "update", "update", "end", "start"]),
        offset=st.integers(-50, 50),
        stale=st.none() | st.integers(-10, 20_000),
        dismissal=st.none() | st.integers(-10, 20_000),
        expiration=st.just(0) | st.integers(1, 40_000),
    )
    def broadcast(
        self, channel: str, event: str, offset: int, stale: int | None, dismissal: int | None, expiration: int
    ) -> None:
        if channel not in self.phone.subscriptions:  # the world brings it to those who listen
            return
        body = json.dumps({"aps": self.aps(event, offset, stale, dismissal)}).encode()
        now = self.clock.now()
        deadline = int(now) + expiration if expiration else 0
        listening = sum(card.channel == channel and card.is_running for card in self.phone.cards)
        self.sent += listening if self.phone.is_online else 1
        sent = Broadcast(Environment.SANDBOX, "com.example.skerry", channel, True, "id", 5, deadline, body, now)
        self.phone.receive_broadcast(sent, now)
        self.take_out()

    @precondition(lambda self: self.deliveries)
    @rule(data=st.data())
    def repeat_a_push(self, data: st.DataObject) -> None:
        self.deliver(data.draw(st.sampled_from(self.deliveries)))

    @rule(group=GROUPS, act=st.sampled_from(["dismiss", "rotate"]))
    def tap(self, group: str, act: str) -> None:
        action = self.phone.dismiss if act == "dismiss" else self.phone.rotate_update_token
        try:
            action(group, self.clock.now())
        except UnknownCardError:
            assert not any(
                card.group_id == group
                and (card.is_visible if act == "dismiss" else card.is_running and card.update_token is not None)
                for card in self.phone.cards
            )
        self.take_out()

    @rule()
    def rotate_start_token(self) -> None:
        self.phone.rotate_start_token(self.clock.now())
        self.take_out()

    @rule(online=st.sampled_from([True, True, False]))
    def network(self, online: bool) -> None:
        (self.phone.go_online if online else self.phone.go_offline)(self.clock.now())
        # A stored broadcast is one push until it arrives, and then one for each card that listens.
        self.sent = max(self.sent, self.phone.log.received)
        self.take_out()

    @rule(seconds=st.sampled_from([0.5, 1, 30, 600, 4 * 3600, 8 * 3600]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.phone.tick(self.clock.now())
        self.take_out()

    @invariant()
    def an_older_state_is_never_shown_and_nothing_comes_back(self) -> None:
        for card in self.phone.cards:
            assert card.timestamp is not None
            shown, status = self.seen.get(card.id, (card.timestamp, 0))
            assert card.timestamp >= shown
            reached = ORDER.index(card.status)
            if ORDER[status] in {CardStatus.ENDED, CardStatus.DISMISSED}:
                assert reached >= status
                assert card.timestamp == shown
            self.seen[card.id] = (card.timestamp, reached)
            assert json.loads(card.content_state) == {"at": card.timestamp}

    @invariant()
    def every_push_has_exactly_one_verdict(self) -> None:
        records = self.phone.log.records
        assert len(records) == self.sent == self.phone.log.received
        stored = [record for record in records if record.verdict is Verdict.STORED]
        assert len(stored) <= (0 if self.phone.is_online else 1 + len(CHANNEL_IDS))
        assert self.phone.log.counts.total() == self.sent - len(stored)
        assert sum(record.verdict is Verdict.STARTED for record in records) == len(self.phone.cards)

    @invariant()
    def the_clocks_are_kept(self) -> None:
        now = self.clock.now()
        for card in self.phone.cards:
            if card.is_running:
                assert now < card.started_at + 8 * 3600
                assert (card.status is CardStatus.STALE) == (card.stale_date is not None and card.stale_date <= now)
            elif card.is_visible:
                assert card.ended_at is not None
                assert now < card.ended_at + 4 * 3600
        due = self.phone.next_due()
        assert due is None or due > now

    @invariant()
    def tokens_are_known_and_reported(self) -> None:
        now = self.clock.now()
        for token in self.tokens:
            assert self.phone.standing(token, now) is not None
        current = {self.phone.start_token, *(card.update_token for card in self.phone.cards)} - {None}
        if self.phone.is_online:
            assert current <= set(self.reported)
        for card in self.phone.cards:
            assert (card.update_token is None) == (card.channel is not None)
            if card.update_token is None:
                continue
            standing = self.phone.standing(card.update_token, now)
            assert standing is not None
            assert standing.kind is TokenKind.UPDATE
            assert (standing.gone is None) == (now < card.started_at + 8 * 3600)


TestPhoneMachine = PhoneMachine.TestCase
TestPhoneMachine.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
