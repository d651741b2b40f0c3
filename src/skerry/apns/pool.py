"""The pool of a route: pushes wait here, not at a connection; connections come, drain and go.

One `RoutePool` per team, key and host. It asks its parts what to do: the gate whether anything may go out, the
addresses where to connect, growth whether one more connection would help, a connection's health what it can bear.
"""

import asyncio
import random
import socket
import ssl
from collections import Counter, deque
from collections.abc import Sequence
from operator import itemgetter
from statistics import median
from typing import Final

from skerry.apns.addresses import Address, Addresses
from skerry.apns.connection import ConnectError, Connection, State, connect, tls_context
from skerry.apns.gate import Gate, GateSettings
from skerry.apns.growth import CROWDED, Growth
from skerry.apns.health import ERRORS_LEAST, Bearing
from skerry.apns.job import Job
from skerry.apns.provider_token import CredentialError, ProviderToken, ProviderTokens
from skerry.apns.reasons import Remedy, remedy
from skerry.apns.session import Session
from skerry.apns.settings import PoolSettings
from skerry.apns.stats import RouteStats
from skerry.apns.streams import Exceptional, Run
from skerry.domain.push import Outcome, Route

TICK: Final = 0.25
"""Seconds between two looks at deadlines: no outcome is later than its deadline plus this."""
WINDOW: Final = 500
"""Pushes written in one turn of the loop, so that the rest of the process goes on: 1 to 2 ms."""
RACING: Final = 4
"""Attempts at once: each to another address while none has led to a connection, later on at the pace of growth."""
AGAIN: Final = frozenset({"refused_stream", "goaway"})
SERVER_ERROR: Final = 500
CONTEXT_FOR: Final = 3600.0
"""Seconds for which a TLS context is used: loading the roots takes some 20 ms, and they may be exchanged."""
_TIMED_OUT: Final = "timeout"


class RoutePool:
    """The connections of one route and the pushes that wait for them."""

    def __init__(self, route: Route, settings: PoolSettings, tokens: ProviderTokens) -> None:
        self._route = route
        self._settings = settings
        self._tokens = tokens
        self._loop = asyncio.get_running_loop()
        self._urgent: deque[Job] = deque()
        self._large: deque[Job] = deque()
        self._queued = {True: 0, False: 0}
        self._space = asyncio.Condition()
        self._crowd = 0
        self._gate = Gate(GateSettings(pause=settings.pause, credential_probe=settings.credential_probe))
        self._growth = Growth(settings.growth_interval)
        self._bearing = Bearing()
        self._addresses = Addresses(back_off=settings.back_off, max_back_off=settings.max_back_off)
        self._connections: list[Connection[Job]] = []
        self._openings: set[asyncio.Task[None]] = set()
        self._opening_since = 0.0
        self._resolves_at = 0.0
        self._context: ssl.SSLContext | None = None
        self._context_at = 0.0
        self._probe: Run[Job] | None = None
        self._latency: float | None = None
        """Seconds that answers take: the median of the connections."""
        self._pump_due = False
        self._closing = False
        self._used_at = self._loop.time()
        self._ticker = self._loop.create_task(self._tick())
        self._outcomes: Counter[Outcome] = Counter()
        self._reasons: Counter[str] = Counter()
        self._last_error: str | None = None
        self._clock_skew: float | None = None

    @property
    def is_unused(self) -> bool:
        """Whether nothing has been sent for so long that its connections serve nobody."""
        busy = self._urgent or self._large or any(one.session.open_streams for one in self._connections)
        return not busy and self._loop.time() - self._used_at > self._settings.forget_after

    async def carry(self, job: Job) -> None:
        """Queue a job and wait for its last outcome."""
        size = job.waiting
        if not self._fits(job, size) and not await self._space_for(job, size):
            self._outcomes[Outcome.NOT_PROCESSED] += job.give_up("deadline")
            return
        self._queued[job.urgent] += size
        self._used_at = self._loop.time()
        self._enter(job)
        try:
            await job.done
        except asyncio.CancelledError:
            self._forget(job)
            raise
        finally:
            self._queued[job.urgent] -= size
            if self._crowd:
                async with self._space:
                    self._space.notify_all()

    async def warm_up(self, connections: int) -> int:
        """Have that many connections, as far as the settings and the peer allow."""
        goal = min(connections, self._settings.max_connections)
        while not self._closing and len(self._alive()) < goal:
            now = self._loop.time()
            if not self._openings:
                if now < self._not_before():
                    break
                self._start_opening(now)
            await asyncio.wait(self._openings)
            if self._last_error and not self._alive():
                break
            await asyncio.sleep(self._settings.growth_interval)
        return len(self._alive())

    async def close(self, grace: float) -> None:
        """Nothing more goes out; what is out is awaited for `grace` seconds."""
        self._closing = True
        self._give_up_all("shutdown")
        for task in self._openings:
            task.cancel()
        for connection in self._connections:
            connection.drain()
        pending = [connection.closed for connection in self._connections if not connection.closed.done()]
        if pending and grace > 0:
            await asyncio.wait(pending, timeout=grace)
        for connection in self._connections:
            connection.close()
        self._collect()
        self._give_up_all("shutdown")
        self._ticker.cancel()
        await asyncio.gather(self._ticker, *self._openings, return_exceptions=True)

    def stats(self) -> RouteStats:
        """What goes on here."""
        states = Counter(connection.state.value for connection in self._connections)
        if self._openings:
            states["opening"] = len(self._openings)
        alive = [one.session for one in self._connections if one.state is not State.CLOSED]
        return RouteStats(
            endpoint=str(self._route.endpoint),
            team_id=self._route.credential.team_id,
            key_id=self._route.credential.key_id,
            connections=states,
            open_streams=sum(session.open_streams for session in alive),
            stream_limit=sum(session.stream_limit or 0 for session in alive),
            window=sum(session.window for session in alive if session.accepting),
            queued=sum(job.waiting for lane in (self._urgent, self._large) for job in lane),
            token_age=self._tokens.age(self._route.credential),
            gate=self._gate.closed.value if self._gate.closed else None,
            outcomes=Counter(self._outcomes),
            reasons=Counter(self._reasons),
            last_error=self._last_error,
            clock_skew=self._clock_skew,
        )

    # ------------------------------------------------------------------ sending

    def _want_pump(self) -> None:
        if not self._pump_due:
            self._pump_due = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        """Hand waiting pushes to connections with room, one window a turn; see to it that there are connections."""
        self._pump_due = False
        self._collect()
        if not self._waiting():
            return
        now = self._loop.time()
        token = self._token(now)
        allowance = self._gate.allowance(now)
        if token is None or self._gate.hands_back(now):
            self._give_up_all("credential")
        elif allowance is None:
            written = self._write(token, WINDOW)
            if written >= WINDOW:
                self._want_pump()
            elif self._waiting():
                self._grow(now)
        elif allowance:
            if self._write(token, allowance):
                self._gate.sent_probe()
            else:
                self._grow(now)

    def _token(self, now: float) -> ProviderToken | None:
        try:
            return self._tokens.current(self._route.credential)
        except CredentialError as error:
            self._last_error = str(error)
            self._gate.refused_credential(now, str(error))
            return None

    def _write(self, token: ProviderToken, most: int) -> int:
        """Small before large; within a lane each job has its turn. Returns how many went out."""
        written = 0
        for lane, keep in ((self._urgent, False), (self._large, True)):
            roomy, asked = self._connections, 0
            while lane and written < most:
                job = lane[0]
                if not job.waiting:
                    lane.popleft().queued = False
                    continue
                length = len(job.letter.body)
                # Nothing makes room meanwhile: who had none for a body of this length is not asked again.
                if length != asked:
                    roomy, asked = self._connections, length
                rooms = [(room, one) for one in roomy if (room := one.room(length, keep=keep)) > 0]
                if not rooms:
                    break
                roomy = [one for _, one in rooms]
                room, connection = max(rooms, key=itemgetter(0))
                places = job.take(min(room, most - written))
                run = connection.send(
                    job.letter,
                    [job.tokens[place] for place in places],
                    authorization=token.authorization,
                    owner=job,
                    places=places,
                    deadline=job.deadline,
                    answers=job.answers,
                    bodies=None if job.bodies is None else [job.bodies[place] for place in places],
                )
                if self._gate.closed:
                    self._probe = run
                written += len(places)
                lane.rotate(-1)
        return written

    def _waiting(self) -> bool:
        return any(job.waiting for job in self._urgent) or any(job.waiting for job in self._large)

    def _lane(self, job: Job) -> deque[Job]:
        return self._urgent if job.urgent else self._large

    def _enter(self, job: Job) -> None:
        if not job.queued:
            job.queued = True
            self._lane(job).append(job)
        self._want_pump()

    async def _space_for(self, job: Job, size: int) -> bool:
        """Wait until the queue has room; False: its deadline came first."""
        self._crowd += 1
        try:
            async with asyncio.timeout_at(job.deadline), self._space:
                await self._space.wait_for(lambda: self._fits(job, size))
        except TimeoutError:
            return False
        finally:
            self._crowd -= 1
        return True

    def _fits(self, job: Job, size: int) -> bool:
        queued = self._queued[job.urgent]
        return queued == 0 or queued + size <= self._settings.max_queued

    def _give_up_all(self, cause: str) -> None:
        for lane in (self._urgent, self._large):
            while lane:
                job = lane.popleft()
                job.queued = False
                self._outcomes[Outcome.NOT_PROCESSED] += job.give_up(cause)

    # ------------------------------------------------------------------ connections

    def _alive(self) -> list[Connection[Job]]:
        return [one for one in self._connections if one.state is State.OPEN and not one.is_suspect]

    def _grow(self, now: float) -> None:
        """Pushes wait and no connection has room: open one where that helps.

        The first at once, and beside stalled attempts one to another address; further ones at the pace of `Growth`,
        and never on the guess that a fresh connection's limit of 1 is all there will be.
        """
        alive = self._alive()
        if len(self._openings) >= RACING:
            return
        if alive:
            if not self._needs_more(alive) or not self._growth.wanted(
                now, self._latency, yielding=self._bearing.yields
            ):
                return
        elif self._openings:
            stalled = now - self._opening_since > self._settings.stall
            if not stalled or self._addresses.spare(now) is None:
                return
        if now >= self._not_before():
            self._start_opening(now)

    def _needs_more(self, alive: Sequence[Connection[Job]]) -> bool:
        """Whether there may be more connections, and those that are coming up will not do."""
        if len(alive) + len(self._openings) >= self._settings.max_connections:
            return False
        unproved = sum(one.is_unproved for one in alive)
        if not unproved and not self._openings:
            return True
        waiting = sum(job.waiting for lane in (self._urgent, self._large) for job in lane)
        return unproved < len(alive) and self._growth.outrun(waiting, sum(one.session.open_streams for one in alive))

    def _not_before(self) -> float:
        """When the next attempt may be made: when some address is free of its back-off."""
        return max(self._resolves_at, self._addresses.next_attempt())

    def _start_opening(self, now: float, *, instead_of: Connection[Job] | None = None) -> None:
        self._opening_since = now
        self._growth.began(now)
        task = self._loop.create_task(self._open(instead_of))
        self._openings.add(task)
        task.add_done_callback(self._opened)

    def _opened(self, task: asyncio.Task[None]) -> None:
        self._openings.discard(task)
        self._want_pump()

    async def _open(self, instead_of: Connection[Job] | None) -> None:
        await self._resolve()
        now = self._loop.time()
        address = self._addresses.choose(now, elsewhere=len(self._openings) > 1 and not self._alive())
        if address is None:
            self._resolves_at = max(self._resolves_at, now + TICK)
            return
        address.connections += 1
        try:
            session: Session[Job] = Session(stream_bound=self._settings.streams_per_connection)
            connection = await connect(
                self._route.endpoint,
                address,
                self._tls(now),
                session,
                self._settings,
                self._want_pump,
                self._bearing,
            )
        except ConnectError as error:
            address.connections -= 1
            self._failed(address, error)
            return
        except BaseException:
            address.connections -= 1
            raise
        self._last_error = None
        self._addresses.trusted(address)
        self._connections.append(connection)
        connection.closed.add_done_callback(lambda _: self._gone(connection))
        if instead_of is not None:
            instead_of.drain()

    async def _resolve(self) -> None:
        """Look the name up, or the proxy's; where that fails, the addresses that are known serve on."""
        endpoint = self._settings.proxy or self._route.endpoint
        try:
            async with asyncio.timeout(self._settings.resolve_timeout):
                found = await self._loop.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:  # TimeoutError is an OSError
            self._last_error = f"cannot look up {endpoint.host}: {str(error) or 'no answer'}"
            now = self._loop.time()
            if not self._addresses:
                self._resolves_at = now + self._settings.back_off * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
            return
        self._addresses.resolved([str(one[4][0]) for one in found], self._loop.time())

    def _tls(self, now: float) -> ssl.SSLContext:
        if self._context is None or now - self._context_at > CONTEXT_FOR:
            self._context, self._context_at = tls_context(self._route.endpoint), now
        return self._context

    def _failed(self, address: Address, error: ConnectError) -> None:
        self._last_error = str(error)
        now = self._loop.time()
        self._addresses.failed(address, now, fatal=error.fatal)
        if error.fatal:
            self._context = None  # whoever mends it may have exchanged the roots
        if error.credential:
            self._gate.refused_credential(now, str(error))
        if self._addresses.all_untrusted and not self._connections:
            self._give_up_all("connect_failed")

    def _gone(self, connection: Connection[Job]) -> None:
        """A connection that the peer ended before it had answered anything is a failed attempt, however far it came."""
        address = connection.address
        address.connections -= 1
        if connection.session.answered:
            self._addresses.succeeded(address)
        elif not (connection.drained or self._closing):
            self._addresses.failed(address, self._loop.time(), fatal=False)

    def _renew(self, now: float) -> None:
        """Connections that are sick, old, or alone with an announced end get a successor first, then they drain."""
        alive = self._alive()
        latencies = [one.health.latency for one in alive if one.health.latency is not None]
        self._latency = median(latencies) if latencies else None
        self._growth.observe(now, self._latency)
        self._bearing.looked(queueing=self._growth.queueing(self._latency, CROWDED))
        usual = self._latency if len(latencies) > 1 else None
        for one in alive:
            one.slow = len(alive) > 1 and one.health.is_slow(usual)
            # Where others get answers, a connection that gets only errors is the one that is broken.
            broken = one.health.server_errors >= ERRORS_LEAST and any(not each.health.server_errors for each in alive)
            if one.health.is_sick or broken:
                one.drain()
        aged = next((one for one in alive if one.is_old(now)), None)
        if aged is not None and not self._openings and now >= self._not_before():
            self._start_opening(now, instead_of=aged)
        idle = [one for one in alive if now - one.used_at > self._settings.idle_after]
        if len(alive) > 1 and idle:
            idle[0].drain()
        leaving = any(one.session.goaway is not None and one.session.open_streams for one in self._connections)
        if leaving and not alive and not self._openings and now >= self._not_before():
            self._start_opening(now)

    # ------------------------------------------------------------------ settling

    def _collect(self) -> None:
        now = self._loop.time()
        for connection in self._connections:
            exceptional, finished = connection.session.take_settled()
            for one in exceptional:
                self._settle(connection, one, now)
            for run in finished:
                self._finish(connection, run, now)
            goaway = connection.session.goaway
            if goaway is not None and remedy(goaway.reason) is Remedy.FIX_CREDENTIAL:
                self._last_error = goaway.reason
                self._gate.refused_credential(now, goaway.reason)
        if any(one.state is State.CLOSED for one in self._connections):
            self._connections = [one for one in self._connections if one.state is not State.CLOSED]

    def _finish(self, connection: Connection[Job], run: Run[Job], now: float) -> None:
        """The 200s of a run; the rest has come as exceptional."""
        accepted = run.codes.count(Outcome.ACCEPTED)
        if not accepted:
            return
        places = run.places
        if accepted < len(run.codes):
            places = [place for place, code in zip(places, run.codes, strict=True) if code == Outcome.ACCEPTED]
        self._accept(connection, run, places, now)
        if accepted == len(run.codes):
            connection.health.measured(now - run.sent_at)

    def _accept(self, connection: Connection[Job], run: Run[Job], places: Sequence[int], now: float) -> None:
        self._outcomes[Outcome.ACCEPTED] += run.owner.accept(places)
        if connection.address.failures:
            self._addresses.succeeded(connection.address)
        connection.health.answered(len(places))
        self._gate.answered(now, 200, probe=run is self._probe)

    def _settle(self, connection: Connection[Job], one: Exceptional[Job], now: float) -> None:
        job, place = one.run.owner, one.run.places[one.position]
        if one.outcome is Outcome.NOT_PROCESSED and one.cause in AGAIN:
            if one.cause == "refused_stream":
                connection.health.refused(connection.session.limit_falls)
            self._probe_ended(one.run, now)
            self._again(job, place)
            return
        if one.rejected is not None:
            self._reasons[one.rejected.reason] += 1
            if one.rejected.said_at is not None:
                self._clock_skew = self._tokens.skew(one.rejected.said_at)
            if self._heed(connection, one, job, place, now):
                return
        else:
            if one.cause == _TIMED_OUT:
                connection.health.silent(1)
            self._probe_ended(one.run, now)
        self._outcomes[one.outcome] += 1
        job.settle(place, one.outcome, rejected=one.rejected, cause=one.cause)

    def _heed(self, connection: Connection[Job], one: Exceptional[Job], job: Job, place: int, now: float) -> bool:
        """What a refusal says of the connection and the route; True: the push goes out again."""
        rejected = one.rejected
        assert rejected is not None
        if rejected.status >= SERVER_ERROR:
            connection.health.server_error()
            if one.run is self._probe:
                connection.drain()  # the next probe takes another connection: this one may be all that is broken
        else:
            connection.health.answered(1)
        match remedy(rejected.reason):
            case Remedy.RENEW_TOKEN:
                connection.drain()  # once it has said so it stays wedged
                newer = self._tokens.expired(self._route.credential, one.run.authorization)
                if newer and place not in job.renewed:
                    self._probe_ended(one.run, now)
                    job.renewed.add(place)
                    self._again(job, place)
                    return True
                self._last_error = f"{rejected.reason} for a fresh provider token: check the clock and the key"
                self._gate.refused_credential(now, self._last_error)
            case Remedy.REPLACE_CONNECTION:
                connection.drain()
                self._probe_ended(one.run, now)
            case Remedy.PAUSE:
                self._gate.too_many_tokens(now, rejected.reason)
                self._probe_ended(one.run, now)
                connection.drain()
            case Remedy.FIX_CREDENTIAL:
                self._last_error = f"{rejected.reason}: check team id, key id, key and environment"
                self._gate.refused_credential(now, rejected.reason)
            case _:
                self._gate.answered(now, rejected.status, probe=one.run is self._probe)
        return False

    def _hand_out(self, now: float) -> None:
        """The 200s of runs that still wait for other answers: one silent stream must not keep them from their owner."""
        for connection in self._connections:
            for run in connection.session.runs:
                if now - run.sent_at > TICK and (positions := run.take_accepted()):
                    self._accept(connection, run, [run.places[one] for one in positions], now)

    def _probe_ended(self, run: Run[Job], now: float) -> None:
        if run is self._probe:
            self._probe = None
            self._gate.lost_probe(now)

    def _again(self, job: Job, place: int) -> None:
        job.put_back(place)
        self._enter(job)

    def _forget(self, job: Job) -> None:
        """Its caller has gone: what waits is dropped, what is out is cancelled."""
        job.give_up("cancelled")
        if job.queued:
            self._lane(job).remove(job)
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
            for lane in (self._urgent, self._large):
                for job in [job for job in lane if job.deadline <= now]:
                    self._outcomes[Outcome.NOT_PROCESSED] += job.give_up("deadline")
                    lane.remove(job)
                    job.queued = False
            self._pump()
            self._hand_out(now)
            self._renew(now)
