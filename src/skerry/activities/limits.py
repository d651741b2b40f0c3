"""What APNs will take: checked before a revision is accepted, so that nothing is accepted that could never be sent."""

from collections.abc import Sequence

from skerry.domain import payload
from skerry.domain.activity import Update
from skerry.domain.desired import ScriptPhase
from skerry.domain.errors import FieldRefusedError, PayloadTooLargeError
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
    """Bytes of the largest push that an update can have, as `payload.largest_body` counts them."""
    return payload.largest(
        command.alert,
        lambda alert: payload.change(
            RevisionKind.UPDATE,
            _STAMP,
            command.state,
            alert,
            relevance=command.relevance,
            stale_date=command.stale_date,
        ),
    )


def check_phases(phases: Sequence[ScriptPhase]) -> None:
    """Refuse phases that could not be pushed at their time.

    Raises:
        FieldRefusedError: naming the first of them.
    """
    for number, phase in enumerate(phases):
        size = size_of(Update(phase.state, stale_date=_STAMP, alert=phase.alert, relevance=phase.relevance))
        if size > payload.MAX_BODY:
            problem = f"is too large: the push would have {size} bytes, APNs takes at most {payload.MAX_BODY}"
            raise FieldRefusedError(f"phases[{number}]", problem, "send less state or alert")
