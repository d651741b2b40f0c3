"""What the headers of a write ask for: that it is done once, and only where nothing has changed meanwhile."""

import hashlib

from starlette.requests import Request

from skerry.api.v1.reading import refused
from skerry.domain.commands import Idempotency
from skerry.domain.ids import RevisionNumber

MOST_KEY = 300
_MOST_DIGITS = 15
ONCE = {"Idempotency-Key": False}
"""The header of every write, for the route table."""
IF_MATCH = {"If-Match": False}
"""And that of writes to activities."""


def idempotency(request: Request, body: bytes = b"") -> Idempotency | None:
    """`Idempotency-Key`: the caller's name for this request, whose method, path and body belong to it.

    Raises:
        ProblemError: 422, if it is too long.
    """
    key = request.headers.get("idempotency-key", "").strip()
    if not key:
        return None
    if len(key) > MOST_KEY:
        raise refused("Idempotency-Key", f"has more than {MOST_KEY} characters", "send a shorter one")
    path = request.url.path.encode()
    return Idempotency(f"v1:{key}", hashlib.sha256(b"%s %s\n%s" % (request.method.encode(), path, body)).digest())


def expected_revision(request: Request) -> RevisionNumber | None:
    """`If-Match`: the revision that an activity is to be at.

    Raises:
        ProblemError: 422, if it is not an ETag of an activity.
    """
    tag = request.headers.get("if-match", "").strip()
    if not tag or tag == "*":
        return None
    bare = tag.removeprefix("W/").strip('"')
    if not bare.isascii() or not bare.isdigit() or len(bare) > _MOST_DIGITS:
        raise refused("If-Match", "is not an ETag of an activity", "send the ETag that the activity was read with")
    return RevisionNumber(int(bare))
