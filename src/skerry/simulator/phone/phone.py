"""A phone as a state machine: pushes, a person's taps and the passing of time in; cards, verdicts and reports out.

It owns no socket and no clock. Whoever drives it passes the time, never backwards, and takes what has gathered after
each call: `take_issued_tokens` for APNs, `take_reports` for the service. It decides as iOS would (apple.md 4, 8 and 9.1
rule 11), and says for every push what it did with it.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from skerry.domain.device import DeviceEventKind
from skerry.simulator.carrier import Broadcast, Delivery, Standing, TokenKind
from skerry.simulator.phone.aps import UnreadablePush, read_push
from skerry.simulator.phone.card import Card, CardStatus, EndCause
from skerry.simulator.phone.handset import Handset
from skerry.simulator.phone.judgement import Decision, Judge, group_id_of
from skerry.simulator.phone.push_log import PushLog
from skerry.simulator.phone.reports import Installation, Report, ReportPolicy, ReportSchedule
from skerry.simulator.phone.rules import (
    ACTIVE_LIMIT_S,
    START_OS,
    UPDATE_OS,
    PhoneRules,
    read_os_version,
)
from skerry.simulator.phone.storage import Storage
from skerry.simulator.phone.swift_types import AttributesType
from skerry.simulator.phone.tokens import EXPIRED, TokenBook, TokenLife
from skerry.simulator.phone.verdict import Dropped, PushRecord, Verdict


class UnknownCardError(LookupError):
    """The phone has no such card."""


class PhoneActionError(ValueError):
    """What was asked of the phone is impossible in its present state; the text says why and what would help."""


class Phone:
    """One iPhone with one app on it.

    `types` are the `ActivityAttributes` structs the app was built with; None stands for an app that knows every type
    and decodes everything, which forgives what a real one would not.
    """

    def __init__(
        self,
        handset: Handset,
        user: str | None,
        now: float,
        *,
        types: Mapping[str, AttributesType] | None = None,
        rules: PhoneRules | None = None,
        policy: ReportPolicy | None = None,
    ) -> None:
        self.handset = handset
        self.rules = rules or PhoneRules()
        self.policy = policy or ReportPolicy()
        self.user = user
        self.types = types
        self.is_online = True
        self.activities_enabled = True
        self.cards: list[Card] = []
        self.log = PushLog(self.rules.pushes_kept)
        self.start_token: str | None = None
        self.installation: Installation | None = None
        """None while the app is not installed."""
        self._os = read_os_version(handset.os_version)
        self._tokens = TokenBook(handset.own_seed, handset.bundle_id)
        self._reports = ReportSchedule(handset.own_seed)
        self._judge = Judge(self.rules, self._os, types)
        self._storage = Storage(self.log)
        self._installs = 0
        self._activities = 0
        self.install_app(now)

    # What others see of it

    @property
    def id(self) -> str:
        """`phone-1`."""
        return self.handset.id

    @property
    def visible_cards(self) -> list[Card]:
        """The cards on the Lock Screen, oldest first."""
        return [card for card in self.cards if card.is_visible]

    @property
    def subscriptions(self) -> frozenset[str]:
        """The channels that a running card listens on."""
        return frozenset(card.channel for card in self.cards if card.channel is not None and card.is_running)

    @property
    def reports_waiting(self) -> int:
        """Reports whose moment has not come, or that wait for the network."""
        return len(self._reports)

    def standing(self, token: str, now: float) -> Standing | None:
        """What APNs knows of one of this phone's tokens; None: not this phone's."""
        return self._tokens.standing(token, now)

    def take_issued_tokens(self) -> list[str]:
        """Tokens issued since the last call."""
        return self._tokens.take_issued()

    def take_reports(self, now: float) -> list[Report]:
        """Reports that leave the phone now; none while it is offline."""
        return self._reports.take_due(now, shuffle=self.policy.shuffle) if self.is_online else []

    # Time

    def next_due(self) -> float | None:
        """When `tick` has something to do, UNIX seconds; None: not before the next push or tap."""
        moments = [card.next_due() for card in self.cards if card.is_visible]
        moments.append(self._storage.next_due())
        if self.is_online:
            moments.append(self._reports.next_due())
        return min((moment for moment in moments if moment is not None), default=None)

    def tick(self, now: float) -> None:
        """Let everything happen that time alone brings about: stale, the eight- and four-hour walls, expiry."""
        for card in self.cards:
            for moment, status in card.pass_time(now):
                if status in {CardStatus.ENDED, CardStatus.DISMISSED}:
                    self._report_close(card, moment)
        self._storage.expire(now)
        self._forget_old_cards()

    # Pushes

    def receive(self, delivery: Delivery, now: float) -> PushRecord:
        """Take a push that APNs accepted for one of this phone's tokens."""
        self.tick(now)
        life = self._tokens.find(delivery.token)
        record = PushRecord.of(delivery, life.kind if life else None, self.log.next_number(), now)
        if self.is_online or self.installation is None:
            return self.log.add(self._decide(record, delivery, now))
        return self._storage.hold(record, delivery, now)

    def receive_broadcast(self, broadcast: Broadcast, now: float) -> None:
        """Take a broadcast on a channel that a card of this phone listens on."""
        self.tick(now)
        record = PushRecord.of_broadcast(broadcast, self.log.next_number(), now)
        if self.is_online:
            self._hear(self.log.add, record, broadcast, now)
        else:
            self._storage.hold(record, broadcast, now)

    def _hear(
        self, write: Callable[[PushRecord], PushRecord], record: PushRecord, broadcast: Broadcast, now: float
    ) -> None:
        """Let every running card of the channel take a broadcast; each has a record of its own."""
        cards = [card for card in self.cards if card.channel == broadcast.channel_id]
        running: list[Card | None] = [card for card in cards if card.is_running]
        first, *others = running or cards[-1:] or [None]
        write(self._decide_broadcast(record, broadcast, first, now))
        for card in others:
            another = replace(record, number=self.log.next_number())
            self.log.add(self._decide_broadcast(another, broadcast, card, now))

    def _decide_broadcast(self, record: PushRecord, broadcast: Broadcast, card: Card | None, now: float) -> PushRecord:
        push = read_push(broadcast.body)
        decision = self._judge.judge_broadcast(push, broadcast, card, now, enabled=self.activities_enabled)
        if isinstance(decision, Decision):
            self._apply(decision, card, now)
        return replace(
            record,
            event=None if push.event is None else str(push.event),
            timestamp=push.timestamp,
            decided_at=now,
            verdict=decision.verdict,
            why=decision.why,
            notes=decision.notes if isinstance(decision, Decision) else push.notes,
            group_id=None if card is None else card.group_id,
            card_id=None if card is None else card.id,
        )

    def _decide(self, record: PushRecord, delivery: Delivery, now: float) -> PushRecord:
        push = read_push(delivery.body)
        event = None if push.event is None else str(push.event)
        record = replace(record, event=event, timestamp=push.timestamp, decided_at=now)
        life = self._tokens.find(delivery.token)
        card = self._card_of(life)
        if card is not None:
            record = replace(record, group_id=card.group_id, card_id=card.id)
        if dropped := self._judge.refused_unread(delivery, life, now, installed=self.installation is not None):
            return replace(record, verdict=dropped.verdict, why=dropped.why)
        if isinstance(push, UnreadablePush):
            return replace(record, verdict=push.dropped.verdict, why=push.dropped.why)
        assert life is not None
        decision = self._judge.judge(push, life, card, delivery.priority, now, enabled=self.activities_enabled)
        if isinstance(decision, Dropped):
            return replace(record, verdict=decision.verdict, why=decision.why, notes=push.notes)
        shown = self._apply(decision, card, now)
        return replace(
            record,
            verdict=decision.verdict,
            why=decision.why,
            notes=decision.notes,
            group_id=shown.group_id,
            card_id=shown.id,
        )

    def _apply(self, decision: Decision, card: Card | None, now: float) -> Card:
        push = decision.push
        if decision.verdict is Verdict.STARTED:
            card = self._start(decision, now, push.timestamp)
            card.channel = push.input_push_channel
            card.stale_date = push.stale_date
            card.relevance_score = push.relevance_score
            if decision.gets_token:
                self._issue_update_token(card, now)
            if self.rules.start_rotates_start_token:
                self.rotate_start_token(now)
        else:
            assert card is not None
            state = card.content_state if push.content_state is None else push.content_state
            card.show(state, push.timestamp, push.stale_date, now)
            if push.relevance_score is not None:
                card.relevance_score = push.relevance_score
            if decision.verdict is Verdict.ENDED:
                card.end(EndCause.PUSH, now, push.dismissal_date)
                self._report_close(card, now)
        if push.alert is not None:
            card.alert = push.alert
        self.tick(now)
        return card

    # The app and its owner

    def start_locally(
        self, attributes_type: str, attributes: bytes, content_state: bytes, now: float, channel: str | None = None
    ) -> Card:
        """The app starts an activity itself and observes it. The JSON texts must fit the declared type.

        With a `channel` it listens there, and has no update token.

        Raises:
            PhoneActionError: if iOS would refuse it, or a text does not decode.
        """
        self._need_app()
        self.tick(now)
        if self._os < UPDATE_OS or not self.activities_enabled:
            raise PhoneActionError("Live Activities are not available: they need iOS 16.1 and to be switched on")
        decision = self._judge.local_start(attributes_type, attributes, content_state, now, channel)
        if isinstance(decision, Dropped):
            raise PhoneActionError(decision.why)
        card = self._start(decision, now, None)
        card.channel = channel
        if channel is None:
            self._issue_update_token(card, now)
        return card

    def dismiss(self, group_id: str, now: float, card_id: str | None = None) -> Card:
        """The person swipes a card away: the newest one of the group, or the one named.

        Raises:
            UnknownCardError: if none of that group is on the Lock Screen.
        """
        self.tick(now)
        card = self._find(group_id, card_id, [card for card in self.cards if card.is_visible], "visible")
        card.dismiss(EndCause.PERSON, now)
        self._report_close(card, now)
        return card

    def rotate_update_token(self, group_id: str, now: float, card_id: str | None = None) -> str:
        """The system replaces the update token of a running card; the app reports the new one.

        Raises:
            UnknownCardError: if no card of that group with an update token is running.
        """
        self.tick(now)
        running = [card for card in self.cards if card.is_running and card.update_token]
        card = self._find(group_id, card_id, running, "running, with an update token,")
        assert card.update_token is not None
        life = self._tokens.replace(card.update_token, now, self.rules.rotated_token_lives_s)
        life.goes(card.started_at + ACTIVE_LIMIT_S, EXPIRED)
        card.update_token = life.token
        self._report(DeviceEventKind.UPDATE_TOKEN, now, token=life.token, group_id=card.group_id)
        return life.token

    def rotate_start_token(self, now: float) -> str:
        """The system replaces the push-to-start token; the app reports the new one.

        Raises:
            PhoneActionError: on iOS before 17.2, which has none, and without the app.
        """
        self._need_app()
        if self.start_token is None:
            raise PhoneActionError(f"iOS {self.handset.os_version} has no start token; push-to-start needs 17.2")
        self.start_token = self._tokens.replace(self.start_token, now, self.rules.rotated_token_lives_s).token
        self._report(DeviceEventKind.START_TOKEN, now, token=self.start_token)
        return self.start_token

    def go_offline(self, now: float) -> None:
        """No network: no pushes, no reports."""
        self.tick(now)
        self.is_online = False

    def go_online(self, now: float) -> None:
        """Network again: what was stored arrives, waiting reports leave."""
        self.tick(now)
        self.is_online = True
        for record, push in self._storage.take():
            if isinstance(push, Broadcast):
                self._hear(self.log.settle, record, push, now)
            else:
                self.log.settle(self._decide(record, push, now))

    def launch_app(self, now: float) -> None:
        """The app starts anew and observes everything again: it reports all its tokens once more (netmera.md 6).

        Raises:
            PhoneActionError: without the app.
        """
        self._need_app()
        self.tick(now)
        if self.start_token is not None:
            self._report(DeviceEventKind.START_TOKEN, now, token=self.start_token)
        for card in self.cards:
            if card.is_running and card.update_token:
                self._report(DeviceEventKind.UPDATE_TOKEN, now, token=card.update_token, group_id=card.group_id)

    def switch_user(self, user: str | None, now: float) -> None:
        """Another person signs in, or nobody (None). The start token stays the installation's and is reported again."""
        self.user = user
        if self.installation is not None:
            self.installation = replace(self.installation, ext_id=user or "")
            if self.start_token is not None:
                self._report(DeviceEventKind.START_TOKEN, now, token=self.start_token)

    def set_activities_enabled(self, *, enabled: bool, now: float) -> None:
        """The switch in Settings. Off removes what is on the Lock Screen and refuses starts."""
        self.tick(now)
        self.activities_enabled = enabled
        if not enabled:
            for card in self.visible_cards:
                card.dismiss(EndCause.PERSON, now)
                self._report_close(card, now)

    def delete_app(self, now: float, unregistered_after_s: float = 0.0) -> None:
        """The app goes, with its cards and unsent reports; nobody tells the service. APNs answers 410 after the delay.

        Raises:
            PhoneActionError: if it is not there.
        """
        self._need_app()
        self.tick(now)
        for card in self.visible_cards:
            card.dismiss(EndCause.APP_DELETED, now)
        self.installation = None
        self.start_token = None
        self._reports.clear()
        self._tokens.retire_all(now, now + unregistered_after_s)
        self._storage.discard_all(Dropped(Verdict.APP_DELETED, "the app was deleted before the push could arrive"), now)

    def install_app(self, now: float) -> None:
        """The app comes onto the phone as a new installation and reports its start token.

        Raises:
            PhoneActionError: if it is there already.
        """
        if self.installation is not None:
            raise PhoneActionError("the app is installed already; delete it first")
        self._installs += 1
        self.installation = self.handset.installation(self._installs, self.user)
        self._tokens.issue(TokenKind.DEVICE, now)
        if self._os >= START_OS:
            self.start_token = self._tokens.issue(TokenKind.START, now).token
            self._report(DeviceEventKind.START_TOKEN, now, token=self.start_token)

    # Inner workings

    def _start(self, decision: Decision, now: float, timestamp: float | None) -> Card:
        self._activities += 1
        activity_id = self.handset.activity_id(self._activities)
        push = decision.push
        assert push.attributes is not None
        assert push.content_state is not None
        card = Card(
            id=activity_id,
            group_id=group_id_of(decision.attributes) or activity_id,
            attributes_type=push.attributes_type or "",
            attributes=push.attributes,
            content_state=push.content_state,
            started_at=now,
            updated_at=now,
            timestamp=timestamp,
        )
        self.cards.append(card)
        return card

    def _issue_update_token(self, card: Card, now: float) -> None:
        life = self._tokens.issue(TokenKind.UPDATE, now, card.id)
        life.goes(card.started_at + ACTIVE_LIMIT_S, EXPIRED)
        card.update_token = life.token
        self._report(DeviceEventKind.UPDATE_TOKEN, now, token=life.token, group_id=card.group_id)

    def _report_close(self, card: Card, moment: float) -> None:
        self._report(DeviceEventKind.CLOSE, moment, group_id=card.group_id)

    def _report(
        self, kind: DeviceEventKind, moment: float, *, token: str | None = None, group_id: str | None = None
    ) -> None:
        if self.installation is not None:
            report = Report(self.installation, kind, moment, token, group_id)
            self._reports.add(report, self.policy.rule(kind))

    def _card_of(self, life: TokenLife | None) -> Card | None:
        if life is None or life.card_id is None:
            return None
        return next((card for card in self.cards if card.id == life.card_id), None)

    def _find(self, group_id: str, card_id: str | None, cards: list[Card], condition: str) -> Card:
        for card in reversed(cards):
            if card.group_id == group_id and card_id in {None, card.id}:
                return card
        named = f" and id {card_id!r}" if card_id else ""
        raise UnknownCardError(f"{self.id} has no {condition} card of group {group_id!r}{named}")

    def _need_app(self) -> None:
        if self.installation is None:
            raise PhoneActionError("the app is not on the phone; install it first")

    def _forget_old_cards(self) -> None:
        dismissed = [card for card in self.cards if not card.is_visible]
        surplus = len(dismissed) - self.rules.dismissed_cards_kept
        if surplus > 0:
            forgotten = {card.id for card in dismissed[:surplus]}
            self.cards = [card for card in self.cards if card.id not in forgotten]
