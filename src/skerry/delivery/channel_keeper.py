"""Channels of activities: made when the first card needs one, recorded before use, deleted when nobody can listen."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace

import structlog

from skerry.delivery.ports import AppDirectory, ChannelService, Transaction
from skerry.domain.activity import Activity
from skerry.domain.channel import ActivityChannel, Broadcast, Refusal, StoragePolicy, refusal_of
from skerry.domain.ids import ActivityId, AppId, CardNumber, ChannelId, Millis
from skerry.domain.push import Accepted, Environment, NotProcessed, Outcome, Rejected, Unknown
from skerry.domain.unit_of_work import UnitOfWork

log = structlog.get_logger()

NOT_WITHOUT = 3_600_000
"""Milliseconds for which an app whose channels APNs refuses is served by token, before another try."""
AGAIN_AFTER = 600_000
"""Milliseconds until a channel that could not be deleted is tried again."""
LONGEST_NAP = 600.0
_AT_ONCE = 20


class ChannelKeeper:
    """Makes and deletes channels. Where APNs will not have one, cards are served by token: nothing waits for it."""

    def __init__(
        self,
        store: UnitOfWork[Transaction],
        wire: ChannelService,
        apps: AppDirectory,
        *,
        clock: Callable[[], Millis],
        nap: Callable[[float], Awaitable[object]],
    ) -> None:
        """`nap` waits for at most that many seconds."""
        self._store = store
        self._wire = wire
        self._apps = apps
        self._clock = clock
        self._nap = nap
        self._making: dict[tuple[ActivityId, CardNumber, Environment], asyncio.Task[ChannelId | None]] = {}
        self._refused_until: dict[tuple[AppId, Environment], Millis] = {}

    async def ensure(self, activity: Activity, environments: Iterable[Environment]) -> dict[Environment, ChannelId]:
        """The channels of the activity's present run, made where there is none; an environment may be left out."""
        found = {one: await self._ensure(activity, one) for one in set(environments)}
        return {environment: channel for environment, channel in found.items() if channel is not None}

    async def publish(self, channel: ActivityChannel, broadcast: Broadcast) -> tuple[Outcome, Rejected | None]:
        """Send a broadcast to one channel. One that APNs no longer knows is forgotten."""
        target = await self._apps.channels(channel.app_id, channel.environment)
        if target is None:
            return Outcome.NOT_PROCESSED, None
        match await self._wire.publish(target.push, broadcast):
            case Accepted():
                return Outcome.ACCEPTED, None
            case Rejected() as rejected:
                if refusal_of(rejected) in (Refusal.GONE, Refusal.NOT_ENABLED):
                    log.warning("a channel is gone: its cards hear no more", reason=rejected.reason)
                    await self._store.write(lambda tx: tx.channels.remove(channel))
                return Outcome.REJECTED, rejected
            case NotProcessed():
                return Outcome.NOT_PROCESSED, None
            case Unknown():
                return Outcome.UNKNOWN, None

    async def run(self) -> None:
        """Delete channels whose time has come, until cancelled."""
        while True:
            now = self._clock()
            due = await self._store.read(lambda tx, now=now: tx.channels.due(now, _AT_ONCE))  # type: ignore[misc]
            for channel in due:
                await self._delete(channel)
            if len(due) < _AT_ONCE:
                following = await self._store.read(lambda tx: tx.channels.next_due())
                wait = LONGEST_NAP if following is None else (following - self._clock()) / 1000
                await self._nap(min(max(wait, 1.0), LONGEST_NAP))

    async def _ensure(self, activity: Activity, environment: Environment) -> ChannelId | None:
        place = activity.activity_id, activity.first_card, environment
        making = self._making.get(place)
        if making is None:
            making = self._making[place] = asyncio.create_task(self._find_or_make(activity, environment))
            making.add_done_callback(lambda _: self._making.pop(place, None))
        return await asyncio.shield(making)

    async def _find_or_make(self, activity: Activity, environment: Environment) -> ChannelId | None:
        known = await self._store.read(lambda tx: tx.channels.of_activity(activity.activity_id))
        for one in known:
            if _is_open(one, environment, activity.first_card):
                return one.channel.channel_id
        app = activity.app_id, environment
        target = await self._apps.channels(*app)
        if target is None or self._refused_until.get(app, 0) > self._clock():
            return None
        result = await self._wire.create(target.management, target.bundle_id, StoragePolicy.MOST_RECENT_MESSAGE_STORED)
        if not isinstance(result, Accepted):
            why = result.reason if isinstance(result, Rejected) else result.cause
            log.warning("no channel: cards are served by token", app_id=activity.app_id, reason=why)
            if isinstance(result, Rejected):
                self._refused_until[app] = Millis(self._clock() + NOT_WITHOUT)
            return None
        made = ActivityChannel(
            activity.app_id, activity.activity_id, activity.first_card, environment, result.value, self._clock()
        )
        return await self._store.write(lambda tx: self._record(tx, made))

    def _record(self, tx: Transaction, made: ActivityChannel) -> ChannelId:
        """Should another process have made one meanwhile, that is the activity's, and ours is deleted again."""
        for one in tx.channels.of_activity(made.activity_id):
            if _is_open(one, made.environment, made.first_card):
                tx.channels.add(replace(made, delete_at=made.created_at))
                return one.channel.channel_id
        tx.channels.add(made)
        return made.channel.channel_id

    async def _delete(self, channel: ActivityChannel) -> None:
        target = await self._apps.channels(channel.app_id, channel.environment)
        result = (
            NotProcessed("credential")
            if target is None
            else await self._wire.delete(target.management, target.bundle_id, channel.channel.channel_id)
        )
        gone = isinstance(result, Accepted) or (
            isinstance(result, Rejected) and refusal_of(result) in (Refusal.GONE, Refusal.NOT_ENABLED)
        )
        if gone:
            await self._store.write(lambda tx: tx.channels.remove(channel))
        else:
            later = Millis(self._clock() + AGAIN_AFTER)
            await self._store.write(lambda tx: tx.channels.put_off(channel, later))


def _is_open(channel: ActivityChannel, environment: Environment, first_card: CardNumber) -> bool:
    """Whether cards of the present run may be started on it."""
    lasting = channel.delete_at is None and channel.closed_at is None
    return lasting and channel.environment is environment and channel.first_card == first_card
