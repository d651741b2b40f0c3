"""What sends for the rest of the house: batches of pushes and single requests, each through its route's pool."""

import asyncio
from typing import Self

from skerry.apns.answer import Answer
from skerry.apns.job import Job, Request
from skerry.apns.pool import RoutePool
from skerry.apns.probe import ProbeReport, probe
from skerry.apns.provider_token import ProviderTokens
from skerry.apns.settings import PoolSettings
from skerry.apns.stats import ClientStats
from skerry.domain.push import Outcomes, PushBatch, Result, Route


class ApnsClient:
    """Sends batches; every push gets exactly one outcome, and nothing raises but cancellation."""

    def __init__(self, settings: PoolSettings | None = None, *, tokens: ProviderTokens | None = None) -> None:
        self._settings = settings or PoolSettings()
        self._tokens = tokens or ProviderTokens()
        self._pools: dict[Route, RoutePool] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def send(self, route: Route, batch: PushBatch, outcomes: Outcomes | None = None) -> Outcomes:
        """Send a batch and wait for all its outcomes, at the latest at its deadline.

        `outcomes`: where they go, all `PENDING`, for a caller who looks at them before all are there.
        """
        deadline = asyncio.get_running_loop().time() + batch.deadline
        job = Job.of(batch, route.endpoint, deadline, outcomes)
        await self._carry(route, job)
        return job.outcomes

    async def ask(self, route: Route, request: Request) -> Result[Answer]:
        """Make a single request and wait for its whole answer, at the latest at its deadline."""
        deadline = asyncio.get_running_loop().time() + request.deadline
        job = Job.asking(request, route.endpoint, deadline)
        await self._carry(route, job)
        return job.result

    async def warm_up(self, route: Route, connections: int = 1) -> int:
        """Open connections before they are needed, at the usual pace; returns how many there are then.

        APNs allows one stream until the first push on a connection has been accepted, so they are warm, not hot.
        """
        return await self._pool(route).warm_up(connections)

    async def probe(self, route: Route, timeout: float = 10.0) -> ProbeReport:  # noqa: ASYNC109 - a report's limit
        """Try a route without sending a push: name, TLS, HTTP/2, and whether the key can sign."""
        return await probe(route, timeout, self._settings.proxy)

    def stats(self) -> ClientStats:
        """What goes on, by route."""
        return ClientStats(tuple(pool.stats() for pool in self._pools.values()))

    async def close(self, grace: float = 5.0) -> None:
        """Take nothing more, await what is out for `grace` seconds, then close all connections."""
        self._closed = True
        await asyncio.gather(*(pool.close(grace) for pool in self._pools.values()), *self._closing)

    async def _carry(self, route: Route, job: Job) -> None:
        if self._closed:
            job.give_up("shutdown")
        if not job.finished:
            await self._pool(route).carry(job)

    def _pool(self, route: Route) -> RoutePool:
        pool = self._pools.get(route)
        if pool is None:
            self._forget_unused()
            pool = self._pools[route] = RoutePool(route, self._settings, self._tokens)
        return pool

    def _forget_unused(self) -> None:
        """Routes of keys that were replaced and of apps that are gone: looked for when a new route appears."""
        for route, pool in list(self._pools.items()):
            if pool.is_unused:
                del self._pools[route]
                task = asyncio.create_task(pool.close(0.0))
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)
