"""What APNs will take: checked before a revision is accepted, so that nothing is accepted that could never be sent."""

from skerry.domain import payload
from skerry.domain.errors import PayloadTooLargeError
from skerry.domain.revision import Revision


def check_size(revision: Revision) -> None:
    """Refuse a revision whose largest push would be over APNs' limit.

    Raises:
        PayloadTooLargeError: saying both sizes.
    """
    size = payload.largest_body(revision)
    if size > payload.MAX_BODY:
        raise PayloadTooLargeError(size, payload.MAX_BODY)
