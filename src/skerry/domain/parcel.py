"""A parcel: a chunk of one card, with all that its push is framed from.

An activity with one card is as frequent as a card of a big one is, so what is done for each of its pushes is done for
thousands a second: parcels are Structs, made in a fifth of the time of a frozen dataclass, and travel in lists.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import Struct

from skerry.domain.chunk import Chunk, ChunkState, Lane, Recipient
from skerry.domain.ids import ActivityId, AppId, CardNumber, ChunkId, Millis, RevisionNumber, Seconds
from skerry.domain.revision import Revision, RevisionKind
from skerry.domain.verdict import Verdict


class Parcel(Struct):
    """An update or end, never a start, for one card: the newest revision, young enough for its own stamp. Leased.

    Nothing in it has to be filled in for its person (`domain.personal`).
    """

    chunk_id: ChunkId
    app_id: AppId
    activity_id: ActivityId
    number: CardNumber
    recipient: Recipient | None
    """The card; None: it is gone."""
    revision: RevisionNumber
    kind: RevisionKind
    timestamp: Seconds
    state: bytes | None
    alert: bytes | None
    priority: int
    stale_date: Seconds | None
    relevance: float | None
    created_at: Millis
    due_at: Millis
    """When it was to go out."""
    dismissal_date: Seconds | None = None
    expiration: Seconds | None = None
    attempt: int = 0
    lane: Lane = Lane.SMALL
    verdict: int = Verdict.PENDING

    def as_chunk(self) -> Chunk:
        """The chunk, for what is rare enough to go the general way."""
        return Chunk(
            chunk_id=self.chunk_id,
            app_id=self.app_id,
            activity_id=self.activity_id,
            revision=self.revision,
            first=self.number,
            last=self.number,
            verdicts=bytes((self.verdict,)),
            state=ChunkState.LEASED,
            lane=self.lane,
            due_at=self.due_at,
            attempt=self.attempt,
            created_at=self.created_at,
        )

    def as_revision(self) -> Revision:
        """The revision, likewise; `created_at` is the chunk's."""
        return Revision(
            activity_id=self.activity_id,
            number=self.revision,
            kind=self.kind,
            timestamp=self.timestamp,
            created_at=self.created_at,
            state=self.state,
            alert=self.alert,
            priority=self.priority,
            stale_date=self.stale_date,
            dismissal_date=self.dismissal_date,
            expiration=self.expiration,
            relevance=self.relevance,
        )


@dataclass(frozen=True, slots=True)
class Planned:
    """What a round has put on its way, within a transaction."""

    parcels: Sequence[Parcel]
    """Leased, to be carried once they are committed."""
    waiting: bool
    """Whether chunks wait in the outbox too."""
