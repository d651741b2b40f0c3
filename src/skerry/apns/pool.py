"""The pool: pushes wait here, not at a connection; connections come, drain and go.

One `RoutePool` per team, key and host. `ApnsClient` is the one object that the rest of the house knows.
"""

import asyncio
import random
from collections import Counter, deque
from typing import Self

from skerry.apns.connection import ConnectError, Connection, State, connect, tls_context
from skerry.apns.job import Job
from skerry.apns.probe import ProbeReport, probe
from skerry.apns.provider_token import CredentialError, ProviderTokens
from skerry.apns.reasons import Remedy, remedy
from skerry.apns.session import Session
from skerry.apns.settings import PoolSettings
from skerry.apns.stats import ClientStats, RouteStats
from skerry.apns.streams import Exceptional, Run
from skerry.domain.push import Outcome, Outcomes, PushBatch, Route

TICK = 0.25
"""Seconds between two looks at deadlines: no outcome is later than its deadline plus this."""
WINDOW = 500
"""Pushes written in one turn of the loop, so that the rest of the process goes on: 1 to 2 ms."""
AGAIN = frozenset({"refused_stream", "goaway"})


class ApnsClient:
    """Sends batches; every push gets exactly one outcome, and nothing raises but cancellation."""

    def __init__(self, settings: PoolSettings | None = None, *, tokens: ProviderTokens | None = None) -> None:
        self._settings = settings or PoolSettings()
        self._tokens = tokens or ProviderTokens()
        self._pools: dict[Route, RoutePool] = {}
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def send(self, route: Route, batch: PushBatch) -> Outcomes:
        """Send a batch and wait for all its outcomes, at the latest at its deadline."""
        deadline = asyncio.get_running_loop().time() + batch.deadline
        job = Job(batch, route.endpoint, deadline)
        if self._closed:
            job.give_up("shutdown")
        if not job.finished:
            pool = self._pools.get(route)
            if pool is None:
                pool = self._pools[route] = RoutePool(route, self._settings, self._tokens)
            await pool.carry(job)
        return job.outcomes

    async def probe(self, route: Route, timeout: float = 10.0) -> ProbeReport:  # noqa: ASYNC109 - a report's limit
        """Try a route without sending a push: name, TLS, HTTP/2, and whether the key can sign."""
        return await probe(route, timeout)

    def stats(self) -> ClientStats:
        """What goes on, by route."""
        return ClientStats(tuple(pool.stats() for pool in self._pools.values()))

    async def close(self, grace: float = 5.0) -> None:
        """Take nothing more, await what is out for `grace` seconds, then close all connections."""
        self._closed = True
        await asyncio.gather(*(pool.close(grace) for pool in self._pools.values()))


class RoutePool:
    """The connections of one route and the pushes that wait for them."""

    def __init__(self, route: Route, settings: PoolSettings, tokens: ProviderTokens) -> None:
        self._route = route
        self._settings = settings
        self._tokens = tokens
        self._jobs: deque[Job] = deque()
        self._connections: list[Connection[Job]] = []
        self._opening: asyncio.Task[None] | None = None
        self._queued = 0
        self._space = asyncio.Condition()
        self._paused_until = 0.0
        self._next_attempt = 0.0
        self._failures = 0
        self._pump_due = False
        self._loop = asyncio.get_running_loop()
        self._ticker = self._loop.create_task(self._tick())
        self._outcomes: Counter[Outcome] = Counter()
        self._reasons: Counter[str] = Counter()
        self._last_error: str | None = None

    async def carry(self, job: Job) -> None:
        """Queue a job and wait for its last outcome."""
        size = job.waiting
        try:
            async with asyncio.timeout_at(job.deadline), self._space:
                await self._space.wait_for(
                    lambda: self._queued == 0 or self._queued + size <= self._settings.max_queued
                )
        except TimeoutError:
            self._outcomes[Outcome.NOT_PROCESSED] += job.give_up("deadline")
            return
        self._queued += size
        self._jobs.append(job)
        self._want_pump()
        try:
            await job.done
        except asyncio.CancelledError:
            self._forget(job)
            raise
        finally:
            self._queued -= size
            async with self._space:
                self._space.notify_all()

    async def close(self, grace: float) -> None:
        """Nothing more goes out; what is out is awaited for `grace` seconds."""
        while self._jobs:
            job = self._jobs.popleft()
            self._outcomes[Outcome.NOT_PROCESSED] += job.give_up("shutdown")
        if self._opening is not None:
            self._opening.cancel()
        for connection in self._connections:
            connection.drain()
        pending = [connection.closed for connection in self._connections if not connection.closed.done()]
        if pending:
            await asyncio.wait(pending, timeout=grace)
        for connection in self._connections:
            connection.close()
        self._collect()
        self._ticker.cancel()
        await asyncio.gather(self._ticker, *([self._opening] if self._opening else []), return_exceptions=True)

    def stats(self) -> RouteStats:
        """What goes on here."""
        states = Counter(connection.state.value for connection in self._connections)
        if self._opening is not None:
            states["opening"] += 1
        alive = [one.session for one in self._connections if one.state is not State.CLOSED]
        return RouteStats(
            endpoint=str(self._route.endpoint),
            team_id=self._route.credential.team_id,
            key_id=self._route.credential.key_id,
            connections=states,
            open_streams=sum(session.open_streams for session in alive),
            stream_limit=sum(session.stream_limit or 0 for session in alive),
            queued=sum(job.waiting for job in self._jobs),
            token_age=self._tokens.age(self._route.credential),
            outcomes=Counter(self._outcomes),
            reasons=Counter(self._reasons),
            last_error=self._last_error,
        )

    # Sending

    def _want_pump(self) -> None:
        if not self._pump_due:
            self._pump_due = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        """Hand waiting pushes to connections with room, one window a turn; open a connection where there is none."""
        self._pump_due = False
        self._collect()
        if not self._jobs or self._loop.time() < self._paused_until:
            return
        try:
            token = self._tokens.current(self._route.credential)
        except CredentialError as error:
            self._last_error = str(error)
            while self._jobs:
                self._outcomes[Outcome.NOT_PROCESSED] += self._jobs.popleft().give_up("credential")
            return
        written = 0
        while self._jobs and written < WINDOW:
            job = self._jobs[0]
            if not job.waiting:
                self._jobs.popleft()
                continue
            connection = self._roomiest(len(job.letter.body))
            if connection is None:
                break
            places = job.take(min(connection.room(len(job.letter.body)), WINDOW))
            connection.send(
                job.letter,
                [job.tokens[place] for place in places],
                authorization=token.authorization,
                owner=job,
                places=places,
                deadline=job.deadline,
            )
            written += len(places)
            self._jobs.rotate(-1)  # the next job's turn: small batches do not wait behind large ones
        if any(job.waiting for job in self._jobs):
            if written >= WINDOW:
                self._want_pump()
            else:
                self._grow()

    def _roomiest(self, body_length: int) -> Connection[Job] | None:
        best = max(self._connections, key=lambda one: one.room(body_length), default=None)
        return best if best is not None and best.room(body_length) > 0 else None

    def _grow(self) -> None:
        """Open one more connection: the first at once; others paced, and only beside some whose limit has risen."""
        alive = [one for one in self._connections if one.state is State.OPEN]
        now = self._loop.time()
        if self._opening is not None or now < self._next_attempt or len(alive) >= self._settings.max_connections:
            return
        if any((one.session.stream_limit or 0) <= 1 for one in alive):
            return
        self._opening = self._loop.create_task(self._open())

    async def _open(self) -> None:
        try:
            context = tls_context(self._route.endpoint)
            session: Session[Job] = Session(stream_bound=self._settings.streams_per_connection)
            connection = await connect(self._route.endpoint, context, session, self._settings, self._want_pump)
        except ConnectError as error:
            self._failures += 1
            self._last_error = str(error)
            wait = min(self._settings.back_off * 2 ** min(self._failures - 1, 16), self._settings.max_back_off)
            self._next_attempt = self._loop.time() + wait * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
            if error.fatal and not self._connections:
                while self._jobs:
                    self._outcomes[Outcome.NOT_PROCESSED] += self._jobs.popleft().give_up("connect_failed")
        else:
            self._failures = 0
            self._next_attempt = self._loop.time() + self._settings.growth_interval
            self._connections.append(connection)
        finally:
            self._opening = None
            self._want_pump()

    # Settling

    def _collect(self) -> None:
        for connection in self._connections:
            exceptional, finished = connection.session.take_settled()
            for one in exceptional:
                self._settle(connection, one)
            for run in finished:
                self._finish(run)
        self._connections = [one for one in self._connections if one.state is not State.CLOSED]

    def _finish(self, run: Run[Job]) -> None:
        """The 200s of a run; the rest has come as exceptional."""
        accepted = run.codes.count(Outcome.ACCEPTED)
        if not accepted:
            return
        places = run.places
        if accepted < len(run.codes):
            places = [place for place, code in zip(places, run.codes, strict=True) if code == Outcome.ACCEPTED]
        self._outcomes[Outcome.ACCEPTED] += run.owner.accept(places)

    def _settle(self, connection: Connection[Job], one: Exceptional[Job]) -> None:
        job, place = one.run.owner, one.run.places[one.position]
        if one.outcome is Outcome.NOT_PROCESSED and one.cause in AGAIN:
            self._again(job, place)
            return
        if one.rejected is not None:
            self._reasons[one.rejected.reason] += 1
            if self._heed(connection, one, job, place):
                return
        self._outcomes[one.outcome] += 1
        job.settle(place, one.outcome, rejected=one.rejected, cause=one.cause)

    def _heed(self, connection: Connection[Job], one: Exceptional[Job], job: Job, place: int) -> bool:
        """What a refusal asks of the route; True: the push goes out again."""
        match remedy(one.rejected.reason if one.rejected else ""):
            case Remedy.RENEW_TOKEN:
                connection.drain()  # once it has said so it stays wedged
                newer = self._tokens.expired(self._route.credential, one.run.authorization)
                if newer and place not in job.renewed:
                    job.renewed.add(place)
                    self._again(job, place)
                    return True
            case Remedy.REPLACE_CONNECTION:
                connection.drain()
            case Remedy.PAUSE:
                self._paused_until = self._loop.time() + self._settings.pause
                connection.drain()
            case _:
                pass
        return False

    def _again(self, job: Job, place: int) -> None:
        job.put_back(place)
        if job not in self._jobs:
            self._jobs.appendleft(job)
        self._want_pump()

    def _forget(self, job: Job) -> None:
        """Its caller has gone: what waits is dropped, what is out is cancelled."""
        job.give_up("cancelled")
        if job in self._jobs:
            self._jobs.remove(job)
        for connection in self._connections:
            for run in connection.session.runs:
                if run.owner is job:
                    connection.cancel(run, "cancelled")
        self._want_pump()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            now = self._loop.time()
            for connection in self._connections[:]:
                connection.tick(now)
            for job in [job for job in self._jobs if job.deadline <= now]:
                self._outcomes[Outcome.NOT_PROCESSED] += job.give_up("deadline")
                self._jobs.remove(job)
            self._pump()
