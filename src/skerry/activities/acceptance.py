"""Accepting a revision: what every change of an activity has in common, whoever decided on it."""

from skerry.activities.limits import check_size
from skerry.activities.ports import Transaction
from skerry.domain.activity import Activity
from skerry.domain.event import revised
from skerry.domain.revision import Revision


def accept(tx: Transaction, activity: Activity, revision: Revision) -> None:
    """Store the revision and the activity as it is with it, and tell of it.

    Raises:
        PayloadTooLargeError: if the push could not be sent.
    """
    check_size(revision)
    tx.activities.add_revision(revision)
    tx.activities.save(activity)
    tx.events.add(revised(activity.app_id, revision))
