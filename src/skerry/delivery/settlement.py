"""Settle: from outcomes to verdicts, dead tokens, learned environments and what is sent again, in one transaction."""

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from skerry.delivery.framing import BEFORE_REPEAT
from skerry.delivery.ports import Transaction
from skerry.delivery.settled import tell_if_settled
from skerry.domain.card import NO_ANSWER, Card, CardStatus, lose_token, refuse_start
from skerry.domain.chunk import Chunk, ChunkState, Recipient, runs
from skerry.domain.event import Event, EventKind, of_card
from skerry.domain.ids import AppId, CardNumber, ChunkId, Millis
from skerry.domain.push import Environment, Outcome, Rejected
from skerry.domain.revision import Revision, RevisionKind
from skerry.domain.timer import TimerKind
from skerry.domain.verdict import Cure, RetryPolicy, Verdict, grown, treat

TOO_LATE = "TooLate"
"""Our word for a start whose time passed before it could be sent: without an APNs key, a way to APNs, or a service, or
because its activity ended first: while the start waited for its phone's budget, or to begin anew."""


_ACCEPTED = int(Verdict.ACCEPTED)
_NEVER_SENT = 0
"""No HTTP status: it was not APNs that refused it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The wire's outcome of one push, with all that settling it needs."""

    recipient: Recipient
    environment: Environment
    outcome: Outcome
    rejected: Rejected | None = None


class Settlement:
    """Applies answers to a chunk. Holds the retry policy; knows no clock but the time it is given."""

    def __init__(
        self,
        policy: RetryPolicy,
        *,
        resend_unknown_starts: bool,
        unknown_start_after: Millis,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._policy = policy
        self._resend = resend_unknown_starts
        self._unknown_after = unknown_start_after
        self._jitter = jitter

    def settle(
        self,
        tx: Transaction,
        chunk: Chunk,
        revision: Revision,
        verdicts: Mapping[CardNumber, Verdict],
        answers: Sequence[Answer],
        now: Millis,
        *,
        last: bool,
        accepted: Sequence[CardNumber] = (),
        refused: Mapping[CardNumber, str] | None = None,
    ) -> Chunk:
        """Write the verdicts into the chunk; where it is the chunk's last window, settle it or make it ready for later.

        Args:
            tx: the transaction.
            chunk: the chunk as it was claimed, or as the window before left it.
            revision: the chunk's.
            verdicts: of cards to which nothing was sent.
            answers: of pushes that need a look.
            now: the time.
            last: no window follows.
            accepted: cards whose push was accepted and taught nothing; nearly all, so that an `Answer` for each would
                cost as much as the rest of settling.
            refused: cards for which no body could be written, and why: it is remembered as a refusal by APNs is.

        Returns the chunk as it was stored (not stored before the last window: the caller goes on with it).
        """
        board = bytearray(chunk.verdicts)
        for number, verdict in verdicts.items():
            board[number - chunk.first] = verdict
        for number in accepted:
            board[number - chunk.first] = _ACCEPTED
        for number, why in (refused or {}).items():
            board[number - chunk.first] = self._refuse_unwritten(tx, chunk, revision, number, why, now)
        delays: dict[CardNumber, float] = {}
        for answer in answers:
            verdict, delay = self._judge(tx, chunk, revision, answer, now)
            board[answer.recipient.number - chunk.first] = verdict
            if delay is not None:
                delays[answer.recipient.number] = delay
        if revision.kind is RevisionKind.START and any(answer.outcome is Outcome.UNKNOWN for answer in answers):
            due = Millis(now + self._unknown_after)
            tx.timers.set(TimerKind.UNKNOWN_START, chunk.activity_id, chunk.chunk_id, due)
        chunk = replace(chunk, verdicts=bytes(board))
        return self._conclude(tx, chunk, delays, now) if last else self._postpone(tx, chunk, delays, now)

    def recover(self, tx: Transaction, chunk: Chunk, revision: Revision | None, now: Millis) -> None:
        """The chunk's sender is gone: of a start in flight nobody knows; an update or end is simply sent again."""
        starting = revision is not None and revision.kind is RevisionKind.START
        lost = Verdict.UNKNOWN if starting else Verdict.RETRY
        board = bytes(lost if byte == Verdict.IN_FLIGHT else byte for byte in chunk.verdicts)
        if starting and Verdict.UNKNOWN in board:
            due = Millis(now + self._unknown_after)
            tx.timers.set(TimerKind.UNKNOWN_START, chunk.activity_id, chunk.chunk_id, due)
        chunk = replace(chunk, verdicts=board, due_at=now)
        self._save(tx, replace(chunk, state=ChunkState.READY if chunk.open_numbers else ChunkState.SETTLED), now)

    def is_too_old(self, chunk: Chunk, now: Millis) -> bool:
        """Whether what has not been pushed by now is better not pushed at all."""
        return now - chunk.created_at > self._policy.max_age * 1000

    def give_up(self, tx: Transaction, chunk: Chunk, now: Millis) -> Chunk:
        """Nothing more is sent of this chunk; its starts never came to be, but for those that were to be repeated."""
        board = bytearray(chunk.verdicts)
        repeated = self._repeated(tx, chunk)
        for number in chunk.open_numbers:
            board[number - chunk.first] = repeated.get(number, Verdict.NOT_PROCESSED)
        self.come_too_late(tx, chunk, [number for number in chunk.open_numbers if number not in repeated], now)
        settled = replace(chunk, verdicts=bytes(board), state=ChunkState.SETTLED)
        self._save(tx, settled, now)
        return settled

    def _repeated(self, tx: Transaction, chunk: Chunk) -> dict[CardNumber, Verdict]:
        """The cards of a start that was to be sent again, and what is known of the one before."""
        if not chunk.attempt or chunk.is_broadcast:
            return {}
        cards = [tx.activities.card(chunk.activity_id, number) for number in chunk.open_numbers]
        return {
            card.number: BEFORE_REPEAT[card.reason]
            for card in cards
            if card is not None and card.status is CardStatus.STARTING and card.reason in BEFORE_REPEAT
        }

    def come_too_late(self, tx: Transaction, chunk: Chunk, numbers: Iterable[CardNumber], now: Millis) -> None:
        """These cards of a start are not started any more."""
        for number in numbers:
            card = tx.activities.card(chunk.activity_id, number)
            if card is not None and card.started_by == chunk.revision:
                _save_fate(tx, chunk.app_id, card, refuse_start(card, TOO_LATE, now), now)

    def resolve_unknown(self, tx: Transaction, chunk: Chunk, now: Millis) -> bool:
        """Starts without an answer, a while later: what the device has reported since decides (invariant 4).

        Returns whether any is sent again: once, and only where the policy allows it and its run goes on. The card says
        whether it has been; the chunk's attempts would not, which count those that certainly came to nothing. A card
        that was to listen on a channel reports no token, so nobody could ever say that it is not there: it counts as
        live. A card whose run has ended stays as it is: should it be there, its token comes and the end goes to it.
        """
        activity = tx.activities.get(chunk.activity_id)
        over = activity is None or activity.end_revision > chunk.revision
        board = bytearray(chunk.verdicts)
        listening = {one.number for one in tx.outbox.card_recipients(chunk) if one.on_channel}
        for place, byte in enumerate(chunk.verdicts):
            if byte != Verdict.UNKNOWN:
                continue
            number = CardNumber(chunk.first + place)
            if number in listening:
                tx.activities.listen(chunk.activity_id, [number], live=True)
                continue
            card = tx.activities.card(chunk.activity_id, number)
            if card is None or card.token is not None or card.status.is_over:
                board[place] = Verdict.ACCEPTED if card is not None else Verdict.NO_CARD
            elif over:
                continue
            elif self._resend and card.reason != NO_ANSWER:
                board[place] = Verdict.RETRY
                tx.activities.start_again(chunk.activity_id, [number], NO_ANSWER, now)
            elif self._resend:
                _save_fate(tx, chunk.app_id, card, refuse_start(card, NO_ANSWER, now), now)
            else:  # without a time of closing: nothing else may start it again while it may run
                _save_fate(tx, chunk.app_id, card, replace(card, status=CardStatus.LOST, reason=NO_ANSWER), now)
        resent = Verdict.RETRY in board
        if resent:
            chunk = replace(chunk, state=ChunkState.READY, due_at=now, attempt=chunk.attempt + 1)
        tx.outbox.save(replace(chunk, verdicts=bytes(board)))
        return resent

    def _judge(
        self, tx: Transaction, chunk: Chunk, revision: Revision, answer: Answer, now: Millis
    ) -> tuple[Verdict, float | None]:  # fmt: skip
        match answer.outcome:
            case Outcome.ACCEPTED:
                if not answer.recipient.environment_proved:
                    tx.devices.learn_environment(answer.recipient.device_id, answer.environment)
                return Verdict.ACCEPTED, None
            case Outcome.REJECTED if answer.rejected is not None:
                return self._judge_refusal(tx, chunk, revision, answer, answer.rejected, now)
            case Outcome.NOT_PROCESSED:
                delay = min(grown(self._policy.not_processed, chunk.attempt), 60.0)
                return self._again(chunk, delay, Verdict.NOT_PROCESSED, now)
            case _:
                if revision.kind is RevisionKind.START or chunk.attempt + 1 >= self._policy.unknown_attempts:
                    return Verdict.UNKNOWN, None
                return self._again(chunk, grown(self._policy.unknown, chunk.attempt), Verdict.UNKNOWN, now)

    def _judge_refusal(
        self, tx: Transaction, chunk: Chunk, revision: Revision, answer: Answer, rejected: Rejected, now: Millis
    ) -> tuple[Verdict, float | None]:
        one = answer.recipient
        tried = one.environment_proved or one.other_environment_tried
        treatment = treat(rejected, chunk.attempt, self._policy, other_environment_tried=tried)
        if treatment.cure is Cure.OTHER_ENVIRONMENT:
            tx.devices.try_environment(one.device_id, answer.environment.other)
            return Verdict.RETRY, 0.0
        if treatment.cure is Cure.RETRY:
            verdict, delay = self._again(chunk, treatment.delay, Verdict.REJECTED, now)
            if verdict is Verdict.RETRY:
                return verdict, delay
        dead = treatment.cure is Cure.DROP_TOKEN
        if dead and revision.kind is RevisionKind.START and self._has_another(tx, chunk, revision, one, rejected, now):
            return Verdict.RETRY, 0.0
        return self._refuse(tx, chunk, revision, one, rejected, now, dead=dead), None

    def _has_another(
        self, tx: Transaction, chunk: Chunk, revision: Revision, one: Recipient, rejected: Rejected, now: Millis
    ) -> bool:
        """Forget a dead start token; whether the device has another one, reported while this one was being sent to.

        Nobody else would start it then: when that report came it was starting.
        """
        if one.token is None:
            return False
        if tx.devices.lose_start_token(one.device_id, one.token, rejected.reason, rejected.invalid_since, now):
            body = {"reason": rejected.reason}
            tx.events.add(Event(chunk.app_id, EventKind.START_TOKEN_LOST, now, device_id=one.device_id, body=body))
        current = tx.devices.current_start_token(chunk.app_id, one.device_id, revision.attributes_type or "")
        return current is not None and current != one.token

    def _refuse_unwritten(
        self, tx: Transaction, chunk: Chunk, revision: Revision, number: CardNumber, why: str, now: Millis
    ) -> Verdict:
        tx.rejections.add(chunk.activity_id, revision.number, number, Rejected(_NEVER_SENT, why), now)
        card = tx.activities.card(chunk.activity_id, number)
        if card is not None and revision.kind is RevisionKind.START:
            return self._refuse_start(tx, chunk, card, why, now)
        return Verdict.REJECTED

    def _refuse_start(self, tx: Transaction, chunk: Chunk, card: Card, why: str, now: Millis) -> Verdict:
        """Nothing comes of a start. Where it was the repeat of one in doubt, that one is in doubt as before.

        A dead start token is a sign that the start may have come: phones often get a new one with it (apple.md 4.6).
        So the repeat is not spent; it waits for the token, and whatever else the device says with it, as it did before.
        """
        if card.status is not CardStatus.STARTING or card.reason not in BEFORE_REPEAT:
            _save_fate(tx, chunk.app_id, card, refuse_start(card, why, now), now)
            return Verdict.REJECTED
        if card.reason == NO_ANSWER:
            tx.activities.save_card(replace(card, reason=None))
            due = Millis(now + self._unknown_after)
            tx.timers.set(TimerKind.UNKNOWN_START, chunk.activity_id, chunk.chunk_id, due)
        else:
            _save_fate(tx, chunk.app_id, card, replace(card, status=CardStatus.LOST), now)
        return BEFORE_REPEAT[card.reason]

    def _refuse(
        self,
        tx: Transaction,
        chunk: Chunk,
        revision: Revision,
        one: Recipient,
        rejected: Rejected,
        now: Millis,
        *,
        dead: bool,
    ) -> Verdict:
        tx.rejections.add(chunk.activity_id, revision.number, one.number, rejected, now)
        card = tx.activities.card(chunk.activity_id, one.number)
        if card is None or one.token is None:
            return Verdict.REJECTED
        if revision.kind is RevisionKind.START:
            return self._refuse_start(tx, chunk, card, rejected.reason, now)
        if dead:
            lost = lose_token(card, one.token, rejected.reason, rejected.invalid_since, now)
            _save_fate(tx, chunk.app_id, card, lost, now)
        return Verdict.REJECTED

    def _again(self, chunk: Chunk, delay: float, otherwise: Verdict, now: Millis) -> tuple[Verdict, float | None]:
        if self.is_too_old(chunk, Millis(now + int(delay * 1000))):
            return otherwise, None  # by the time of another attempt there would be nothing left to say
        return Verdict.RETRY, delay

    def _postpone(self, tx: Transaction, chunk: Chunk, delays: Mapping[CardNumber, float], now: Millis) -> Chunk:
        """Within a start's windows, cards to send again leave for chunks of their own; the rest goes on."""
        return self._split_off(tx, chunk, delays, now)

    def _conclude(self, tx: Transaction, chunk: Chunk, delays: Mapping[CardNumber, float], now: Millis) -> Chunk:
        """Settle the chunk, or make it ready for what is sent again; what has to wait differently leaves it."""
        if not delays:
            state = ChunkState.READY if chunk.open_numbers else ChunkState.SETTLED
            chunk = replace(chunk, state=state, due_at=now)
            self._save(tx, chunk, now)
            return chunk
        longest = max(delays.values())
        chunk = self._split_off(tx, chunk, {n: d for n, d in delays.items() if d != longest}, now)
        due = self._due(longest, now)
        chunk = replace(chunk, state=ChunkState.READY, due_at=due, attempt=chunk.attempt + 1)
        tx.outbox.save(chunk)
        return chunk

    def _save(self, tx: Transaction, chunk: Chunk, now: Millis) -> None:
        tx.outbox.save(chunk)
        if chunk.state is ChunkState.SETTLED:
            tell_if_settled(tx, chunk.app_id, chunk.activity_id, chunk.revision, now)

    def _split_off(self, tx: Transaction, chunk: Chunk, delays: Mapping[CardNumber, float], now: Millis) -> Chunk:
        if not delays:
            return chunk
        board = bytearray(chunk.verdicts)
        by_delay: dict[float, list[CardNumber]] = defaultdict(list)
        for number, delay in delays.items():
            board[number - chunk.first] = Verdict.DEFERRED
            by_delay[delay].append(number)
        tx.outbox.add_chunks(
            [
                replace(
                    chunk,
                    chunk_id=ChunkId(0),
                    first=first,
                    last=last,
                    verdicts=bytes([Verdict.RETRY]) * (last - first + 1),
                    state=ChunkState.READY,
                    due_at=self._due(delay, now),
                    attempt=chunk.attempt + 1,
                )
                for delay, numbers in by_delay.items()
                for first, last in runs(numbers)
            ]
        )
        return replace(chunk, verdicts=bytes(board))

    def _due(self, delay: float, now: Millis) -> Millis:
        """The wait Apple asks for, and up to a tenth more, so that not all come back at once."""
        return Millis(now + int(1000 * delay * (1 + self._jitter() / 10)))


def _save_fate(tx: Transaction, app_id: AppId, before: Card, after: Card, now: Millis) -> None:
    """Store and tell what a refusal has made of a card, where it has made something of it."""
    if after == before:
        return
    tx.activities.save_card(after)
    kind = EventKind.CARD_REFUSED if before.status is CardStatus.STARTING else EventKind.CARD_LOST
    tx.events.add(of_card(app_id, kind, after, now, reason=after.reason))
