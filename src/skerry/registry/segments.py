"""Segments: named audiences, and the users in them."""

from collections.abc import Callable
from typing import Generic

import msgspec

from skerry.domain import audience_json
from skerry.domain.audience import Audience, Quantifier, Segment, SegmentCondition
from skerry.domain.commands import Idempotency
from skerry.domain.ids import AppId, Millis
from skerry.domain.repeats import once
from skerry.domain.segment import (
    MOST_SEGMENTS,
    SegmentInUseError,
    SegmentSize,
    SegmentUsers,
    StoredSegment,
    TooManySegmentsError,
    names,
    resolved,
    using,
)
from skerry.domain.unit_of_work import UnitOfWork
from skerry.registry.reports import TxT


class Segments(Generic[TxT]):
    """Every change is on disk when its method returns."""

    def __init__(self, store: UnitOfWork[TxT], *, clock: Callable[[], Millis]) -> None:
        self._store = store
        self._clock = clock

    async def save(
        self, app_id: AppId, name: str, audience: Audience, *, idempotency: Idempotency | None = None
    ) -> StoredSegment:
        """Store an audience under a name, in place of what was there.

        Raises:
            UnknownSegmentError: if it is made of a segment that there is not.
            SegmentCycleError: if it would be made of itself.
            AudienceTooComplexError: if it, or a segment that is made of it, would have too many conditions or levels.
            TooManySegmentsError: if it would be one too many.
            IdempotencyConflictError: if the idempotency key was used for another request.
        """

        def save(tx: TxT) -> StoredSegment:
            audiences = {one.name: one.audience for one in tx.segments.all(app_id)}
            if name not in audiences and len(audiences) >= MOST_SEGMENTS:
                raise TooManySegmentsError
            audiences[name] = audience
            for one in (name, *using(name, audiences)):
                resolved(_of(one), audiences.get)
            tx.segments.save(app_id, name, audience, self._clock())
            stored = tx.segments.find(app_id, name)
            assert stored is not None
            return stored

        found = await self._once(app_id, idempotency, save)
        assert found is not None
        return found

    async def find(self, app_id: AppId, name: str) -> StoredSegment | None:
        """The segment with this name."""
        return await self._store.read(lambda tx: tx.segments.find(app_id, name))

    async def all(self, app_id: AppId) -> list[StoredSegment]:
        """All of an app, by name."""
        return await self._store.read(lambda tx: tx.segments.all(app_id))

    async def remove(self, app_id: AppId, name: str, *, idempotency: Idempotency | None = None) -> StoredSegment | None:
        """Forget a segment; what it was, or None where there was none.

        Raises:
            SegmentInUseError: if other segments are made of it.
            IdempotencyConflictError: if the idempotency key was used for another request.
        """

        def remove(tx: TxT) -> StoredSegment | None:
            stored = tx.segments.find(app_id, name)
            if stored is None:
                return None
            users = tuple(one.name for one in tx.segments.all(app_id) if name in names(one.audience))
            if users:
                raise SegmentInUseError(name, users)
            tx.segments.remove(app_id, name)
            return stored

        return await self._once(app_id, idempotency, remove)

    async def sizes(self, app_id: AppId, platform: str) -> list[SegmentSize]:
        """All segments, with how many users have a device of this platform in them."""

        def work(tx: TxT) -> list[SegmentSize]:
            stored = tx.segments.all(app_id)
            audiences = {one.name: one.audience for one in stored}
            return [
                SegmentSize(
                    one.segment_id,
                    one.name,
                    tx.audiences.count_users(app_id, resolved(_of(one.name), audiences.get), platform),
                )
                for one in stored
            ]

        return await self._store.survey(work)

    async def users(
        self, app_id: AppId, segment_id: int, platform: str, maximum: int, offset: int
    ) -> SegmentUsers | None:  # fmt: skip
        """Users who have a device of this platform in a segment; None: there is no such segment."""

        def work(tx: TxT) -> SegmentUsers | None:
            stored = tx.segments.get(app_id, segment_id)
            if stored is None:
                return None
            audiences = {one.name: one.audience for one in tx.segments.all(app_id)}
            audience = resolved(_of(stored.name), audiences.get)
            found = tx.audiences.users(app_id, audience, platform, maximum + 1, offset)
            return SegmentUsers(stored.name, tuple(found[:maximum]), more=len(found) > maximum)

        return await self._store.survey(work)

    async def _once(
        self, app_id: AppId, idempotency: Idempotency | None, work: Callable[[TxT], StoredSegment | None]
    ) -> StoredSegment | None:
        now = self._clock()
        return await self._store.write(
            lambda tx: once(
                tx.notifications, app_id, idempotency, now, lambda: work(tx), write=_segment_text, read=_read_segment
            )
        )


def _segment_text(stored: StoredSegment | None) -> str | None:
    if stored is None:
        return None
    audience = audience_json.encode(stored.audience).decode()
    known = (stored.segment_id, stored.name, audience, stored.created_at, stored.updated_at)
    return msgspec.json.encode(known).decode()


def _read_segment(text: str) -> StoredSegment:
    segment_id, name, audience, created_at, updated_at = msgspec.json.decode(text)
    return StoredSegment(segment_id, name, audience_json.decode(audience.encode()), created_at, updated_at)


def _of(name: str) -> Audience:
    """Who is in a segment, as a start for it would say."""
    return Audience(segments=SegmentCondition(Quantifier.ANY, (Segment(name),)))
