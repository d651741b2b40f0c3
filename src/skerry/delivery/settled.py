"""Telling that a revision has settled: once, when its last chunk has, whoever settled it."""

from skerry.delivery.ports import Transaction
from skerry.domain.event import settled
from skerry.domain.ids import ActivityId, AppId, Millis, RevisionNumber


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
