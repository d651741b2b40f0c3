"""Accepting a revision: what every change of an activity has in common, whoever decided on it."""

from dataclasses import replace

from skerry.activities.limits import check_size
from skerry.activities.ports import Transaction
from skerry.domain import personal
from skerry.domain.activity import Activity
from skerry.domain.errors import PersonalOnChannelError
from skerry.domain.event import revised
from skerry.domain.languages import Alert
from skerry.domain.revision import Revision, RevisionKind


def accept(tx: Transaction, activity: Activity, revision: Revision) -> None:
    """Store the revision and the activity as it is with it, and tell of it.

    Raises:
        PayloadTooLargeError: if the push could not be sent.
        PersonalOnChannelError: if it is not the same for everybody, and phones listen on the activity's channel.
    """
    check_size(revision)
    if revision.kind is RevisionKind.UPDATE and differs(revision.state, revision.alert):
        _keep_off_channels(tx, activity)
    tx.activities.add_revision(revision)
    tx.activities.save(activity)
    tx.events.add(revised(activity.app_id, revision))


def differs(state: bytes | None, alert: bytes | None) -> bool:
    """Whether a state and an alert are not the same for everybody: they have placeholders, or several languages.

    Attributes may have, on a channel too: they go out with the start, which every phone gets for itself.
    """
    return personal.is_personal(state) or personal.is_personal(alert) or Alert.of(alert) is not None


def _keep_off_channels(tx: Transaction, activity: Activity) -> None:
    """What differs goes by token: from now on nobody of this run is started on a channel."""
    if tx.channels.is_listened_to(activity.activity_id, activity.first_card):
        raise PersonalOnChannelError("phones listen to this activity on a channel, where all get the same")
    standing = tx.desired.get(activity.activity_id)
    if standing is not None and not standing.personal:
        tx.desired.save(replace(standing, personal=True))
