"""Cards whose start APNs has taken and whose device never says an update token: what is to become of them.

APNs' 200 says nothing of the phone (apple.md 3.3), and a token may come hours after the start, with the next time that
a person opens the app, or never (4.6). So nobody knows whether such a card is on the phone. Giving it up as lost is
harmless: the device can still report it. A second start may show a second card, and is sent only where the caller
asks for it, to phones that cannot have spoken since the first.

A chunk has one timer, and its cards are looked at together. Cards on a channel are live as soon as they are started.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from skerry.delivery.planner import when_full
from skerry.delivery.ports import Transaction
from skerry.domain.budget import StartBudget
from skerry.domain.card import NO_TOKEN
from skerry.domain.chunk import Chunk, ChunkState
from skerry.domain.desired import NoToken, Standing
from skerry.domain.event import Event, EventKind
from skerry.domain.ids import ChunkId, Millis
from skerry.domain.timer import Timer, TimerKind
from skerry.domain.verdict import Verdict

JITTER = 0.1
"""Share of the wait by which it may be longer: a million starts are not looked at in one minute."""
BUSY = 5_000
"""Milliseconds until another look at a chunk that is being sent."""


@dataclass(frozen=True, slots=True)
class NoTokenSettings:
    """What holds where an activity says nothing else."""

    policy: NoToken = NoToken.LOST
    after: Millis = Millis(8 * 3_600_000)
    """Apple's limit: a card of that age runs no more."""
    most: int = 1
    """Starts that follow the first."""


class Tokenless:
    """Sets a timer for each chunk of starts, and decides when it is due."""

    def __init__(
        self, settings: NoTokenSettings, starts: StartBudget, *, jitter: Callable[[], float] = random.random
    ) -> None:
        self._settings = settings
        self._starts = starts
        self._jitter = jitter

    def watch(self, tx: Transaction, chunk: Chunk, now: Millis) -> None:
        """APNs has taken starts of this chunk: look at them when their time for a token is over."""
        policy, after = self._policy(tx.desired.get(chunk.activity_id))
        if policy is not NoToken.WAIT:
            due = Millis(now + int(after * (1 + self._jitter() * JITTER)))
            tx.timers.set(TimerKind.NO_TOKEN, chunk.activity_id, chunk.chunk_id, due)

    def look(self, tx: Transaction, timer: Timer, now: Millis) -> None:
        """The time is over."""
        chunk = tx.outbox.get(ChunkId(timer.subject))
        activity = tx.activities.get(timer.activity_id)
        policy, _ = self._policy(tx.desired.get(timer.activity_id))
        if chunk is None or activity is None or chunk.first < activity.first_card or policy is NoToken.WAIT:
            return
        if chunk.state is not ChunkState.SETTLED:
            tx.timers.set(timer.kind, timer.activity_id, timer.subject, Millis(now + BUSY))
            return
        silent = [
            one
            for one in tx.activities.without_token(chunk.activity_id, chunk.first, chunk.last)
            if chunk.verdicts[one.number - chunk.first] == Verdict.ACCEPTED
        ]
        again = policy is NoToken.AGAIN and chunk.attempt < self._settings.most
        waiting = [one for one in silent if again and not one.may_have_reported]
        full = when_full(tx, self._starts, [one.device_id for one in waiting], now)
        repeated = {one.number for one in waiting if one.device_id not in full}
        lost = [one for one in silent if one.number not in repeated]
        if lost:
            tx.activities.lose_starts(chunk.activity_id, [one.number for one in lost], NO_TOKEN)
        for one in lost:
            body = {"reason": NO_TOKEN}
            tx.events.add(
                Event(chunk.app_id, EventKind.CARD_LOST, now, chunk.activity_id, one.number, one.device_id, body)
            )
        if repeated:
            tx.activities.start_again(chunk.activity_id, sorted(repeated), NO_TOKEN, now)
            board = bytearray(chunk.verdicts)
            for number in repeated:
                board[number - chunk.first] = Verdict.RETRY
            tx.outbox.save(
                replace(
                    chunk, verdicts=bytes(board), state=ChunkState.READY, due_at=now, attempt=chunk.attempt + 1
                )
            )  # fmt: skip

    def _policy(self, standing: Standing | None) -> tuple[NoToken, Millis]:
        asked = None if standing is None else standing.policies
        policy = None if asked is None else asked.no_token
        after = None if asked is None else asked.no_token_after
        return policy or self._settings.policy, self._settings.after if after is None else after
