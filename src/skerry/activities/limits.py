"""What APNs will take: checked before a revision is accepted, so that nothing is accepted that could never be sent."""

from skerry.domain import payload
from skerry.domain.activity import Update
from skerry.domain.errors import PayloadTooLargeError
from skerry.domain.ids import Seconds
from skerry.domain.revision import Revision, RevisionKind

_STAMP = Seconds(9_999_999_999)
"""As long as any."""
_BESIDES = 512
"""More bytes than all that an update's push has beside its state and its alert."""


def check_size(revision: Revision) -> None:
    """Refuse a revision whose largest push would be over APNs' limit.

    Raises:
        PayloadTooLargeError: saying both sizes.
    """
    size = payload.largest_body(revision)
    if size > payload.MAX_BODY:
        raise PayloadTooLargeError(size, payload.MAX_BODY)


def fits(command: Update) -> bool:
    """Whether an update can be sent, told before there is a revision of it."""
    # Most are so small that nothing has to be made to tell.
    small = len(command.state) + len(command.alert or b"") <= payload.MAX_BODY - _BESIDES
    return small or size_of(command) <= payload.MAX_BODY


def size_of(command: Update) -> int:
    """Bytes of an update's push."""
    body = payload.change(
        RevisionKind.UPDATE,
        _STAMP,
        command.state,
        command.alert,
        relevance=command.relevance,
        stale_date=command.stale_date,
    )
    return len(body)
