"""The courier: carries parcels, hundreds at a time: framed in one go, one batch for the wire, settled by one statement.

What each push means is the same as in the sender; only what is done once for each of a thousand chunks there is done
once for all of them here.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field

from skerry.delivery.framing import unsendable
from skerry.delivery.ports import AppDirectory, PushService, Transaction
from skerry.delivery.settled import settle_alike
from skerry.delivery.settlement import Answer, Settlement
from skerry.delivery.tally import Tally
from skerry.domain import payload
from skerry.domain.chunk import Lane
from skerry.domain.ids import AppId, Millis, Seconds
from skerry.domain.parcel import Parcel
from skerry.domain.push import Environment, Outcome, Outcomes, PushBatch
from skerry.domain.unit_of_work import UnitOfWork
from skerry.domain.verdict import Verdict

PATIENCE = 0.25
"""Seconds after which what has been answered is settled, whatever is still silent."""

_ACCEPTED = int(Outcome.ACCEPTED)

_Headers = tuple[AppId, Environment, int, Seconds | None, Lane]
"""What pushes must have in common to go out together: app, environment, priority, expiration, lane."""


@dataclass(slots=True)
class _Load:
    """Parcels that share a route and the headers of their pushes, with a body and a token each."""

    parcels: list[Parcel] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)


class Courier:
    """Belongs to the sender, which says what to carry."""

    def __init__(
        self,
        store: UnitOfWork[Transaction],
        pushes: PushService,
        apps: AppDirectory,
        settlement: Settlement,
        tally: Tally,
        *,
        clock: Callable[[], Millis],
        deadline: float,
        put_off: Callable[[Transaction, Parcel], None],
        wake: Callable[[], None],
    ) -> None:
        """A courier.

        Args:
            store: the store.
            pushes: the wire.
            apps: where pushes go.
            settlement: judges what was not simply accepted.
            tally: where it is counted.
            clock: the time.
            deadline: seconds that a push may take.
            put_off: stores a parcel whose app has no key to push with.
            wake: says that the outbox has something to send again.
        """
        self._store = store
        self._pushes = pushes
        self._apps = apps
        self._settlement = settlement
        self._clock = clock
        self._deadline = deadline
        self._put_off = put_off
        self._tally = tally
        self._wake = wake

    async def carry(self, parcels: Sequence[Parcel]) -> None:
        """Push each, or say why not, and settle it."""
        apps = {one.app_id for one in parcels}
        defaults = {app_id: await self._apps.default_environment(app_id) for app_id in apps}
        unsent: dict[Verdict, list[Parcel]] = defaultdict(list)
        loads: dict[_Headers, _Load] = defaultdict(_Load)
        for one in parcels:
            recipient = one.recipient
            verdict = unsendable(recipient, one.kind)
            if verdict is not None or recipient is None:
                unsent[verdict or Verdict.NO_CARD].append(one)
                continue
            environment = recipient.environment or defaults[one.app_id]
            load = loads[one.app_id, environment, one.priority, one.expiration, one.lane]
            load.parcels.append(one)
            load.tokens.append(recipient.token or "")
            load.bodies.append(
                payload.change(
                    one.kind,
                    one.timestamp,
                    one.state,
                    one.alert,
                    relevance=one.relevance,
                    stale_date=one.stale_date,
                    dismissal_date=one.dismissal_date,
                )
            )
        work: list[Awaitable[None]] = [self._ship(headers, load) for headers, load in loads.items()]
        if unsent:
            work.append(self._settle_unsent(unsent))
        if len(work) == 1:
            await work[0]
        else:
            await asyncio.gather(*work)

    async def _ship(self, headers: _Headers, load: _Load) -> None:
        app_id, environment, priority, expiration, lane = headers
        target = await self._apps.target(app_id, environment)
        if target is None:
            await self._store.write(lambda tx: [self._put_off(tx, one) for one in load.parcels])
            return
        batch = PushBatch(
            topic=target.topic,
            body=b"",
            tokens=load.tokens,
            priority=priority,
            expiration=expiration,
            urgent=lane is Lane.SMALL,
            deadline=self._deadline,
            bodies=load.bodies,
        )
        outcomes = Outcomes(bytearray(len(load.parcels)))
        since = self._clock()
        sending = asyncio.ensure_future(self._pushes.send(target.route, batch, outcomes))
        try:
            silent: Sequence[int] = range(len(load.parcels))
            while silent:
                await asyncio.wait({sending}, timeout=PATIENCE)
                codes = bytes(outcomes.codes)  # as they are now: more may come while these are being settled
                answered = [place for place in silent if codes[place]]
                if answered:
                    await self._settle(load.parcels, environment, outcomes, answered)
                silent = [place for place in silent if not codes[place]]
                if sending.done() and not answered:
                    raise RuntimeError(f"the wire has no outcome for {len(silent)} pushes of a batch")
        finally:
            sending.cancel()
        self._count_waits(load.parcels, outcomes, since)

    def _count_waits(self, parcels: Sequence[Parcel], outcomes: Outcomes, since: Millis) -> None:
        """How long they waited for the wire, which has written them in their order; `since`: when it got them."""
        place = 0
        for seconds, count in outcomes.waits:
            first_tries = [one for one in parcels[place : place + count] if not one.attempt]
            for waited, many in _ages(first_tries, since):
                self._tally.to_wire.add(waited + seconds, many)
            place += count

    async def _settle(
        self, parcels: Sequence[Parcel], environment: Environment, outcomes: Outcomes, places: Sequence[int]
    ) -> None:
        accepted, others = _sorted(parcels, environment, outcomes, places)
        now = self._clock()

        def work(tx: Transaction) -> None:
            if accepted:
                settle_alike(tx, accepted, Verdict.ACCEPTED, now)
            for parcel, answer in others:
                chunk, revision = parcel.as_chunk(), parcel.as_revision()
                self._settlement.settle(tx, chunk, revision, {}, [answer], now, last=True)

        await self._store.write(work)
        if others:
            self._wake()  # what is sent again may be due before the lane's nap is over
        tally, done = self._tally, self._clock()
        for seconds, count in _ages([parcels[place] for place in places], done):
            tally.to_verdict.add(seconds, count)
        tally.judged(len(accepted), (answer for _, answer in others))

    async def _settle_unsent(self, unsent: dict[Verdict, list[Parcel]]) -> None:
        now = self._clock()

        def work(tx: Transaction) -> None:
            for verdict, parcels in unsent.items():
                settle_alike(tx, parcels, verdict, now)

        await self._store.write(work)
        for verdict, parcels in unsent.items():
            self._tally.verdicts[verdict] += len(parcels)


def _sorted(
    parcels: Sequence[Parcel], environment: Environment, outcomes: Outcomes, places: Sequence[int]
) -> tuple[list[Parcel], list[tuple[Parcel, Answer]]]:
    """Those that were accepted and teach nothing, nearly all; and those that need a look."""
    accepted: list[Parcel] = []
    others: list[tuple[Parcel, Answer]] = []
    for place in places:
        parcel, code = parcels[place], outcomes.codes[place]
        recipient = parcel.recipient
        if recipient is None:  # only those that have one are sent
            continue
        if code == _ACCEPTED and recipient.environment_proved:
            accepted.append(parcel)
        else:
            rejected = outcomes.rejections.get(place)
            others.append((parcel, Answer(recipient, environment, Outcome(code), rejected)))
    return accepted, others


def _ages(parcels: Sequence[Parcel], now: Millis) -> Iterator[tuple[float, int]]:
    """How many parcels are how many seconds beyond the moment when they were to go out."""
    for due, count in Counter([one.created_at if one.attempt else one.due_at for one in parcels]).items():
        yield (now - due) / 1000, count
