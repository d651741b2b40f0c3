"""Telling that a revision has settled: once, when its last chunk has, whoever settled it."""

from collections.abc import Sequence

from skerry.delivery.ports import Transaction
from skerry.domain.event import EventKind, settled, settled_alone
from skerry.domain.ids import ActivityId, AppId, Millis, RevisionNumber
from skerry.domain.parcel import Parcel
from skerry.domain.verdict import Verdict


def tell_if_settled(
    tx: Transaction, app_id: AppId, activity_id: ActivityId, number: RevisionNumber, now: Millis
) -> None:  # fmt: skip
    """Called after something of a revision has settled; does nothing while something of it is open.

    What a card that joins later is sent of it, and what is learned of an unknown start, changes the counts of the
    revision, which can be read at any time, and is not told again.
    """
    found = tx.outbox.settle_revision(activity_id, number, now)
    if found is not None:
        tx.events.add(settled(app_id, activity_id, number, found, now))


def settle_alike(tx: Transaction, parcels: Sequence[Parcel], verdict: Verdict, now: Millis) -> None:
    """Settle parcels that have all come to the same verdict, and tell of it."""
    alone = tx.parcels.settle(parcels, verdict)
    tx.events.add_many(
        EventKind.REVISION_SETTLED,
        now,
        [(one.app_id, one.activity_id, settled_alone(one.revision, verdict)) for one in alone],
    )
    if len(alone) < len(parcels):
        told = {one.chunk_id for one in alone}
        for one in parcels:
            if one.chunk_id not in told:
                tell_if_settled(tx, one.app_id, one.activity_id, one.revision, now)
