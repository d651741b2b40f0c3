"""What is refused, and why: raised by services before anything is changed, turned into answers by the API."""


class RefusedError(Exception):
    """A command that cannot be carried out. Nothing was changed."""


class FieldRefusedError(RefusedError):
    """One field of a request cannot be used."""

    def __init__(self, field: str, problem: str, fix: str) -> None:
        super().__init__(f"{field} {problem}: {fix}")
        self.field = field
        self.problem = problem
        self.fix = fix


class PayloadTooLargeError(RefusedError):
    """The push would exceed APNs' limit."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"the push would have {size} bytes, APNs takes at most {limit}")
        self.size = size
        self.limit = limit


class UnknownNotificationError(RefusedError):
    """No definition or bulk start has this notification key."""


class UnknownGroupError(RefusedError):
    """No activity has this group id (only where the app asks to be told)."""


class NotALiveActivityError(RefusedError):
    """The definition lacks what a Live Activity needs: type, attributes or content state."""


class OutdatedError(RefusedError):
    """A later change has been accepted already: this one comes too late."""

    def __init__(self, version: int | None, last: int | None) -> None:
        super().__init__(f"version {version} comes too late: {last} has been accepted")


class EndedError(RefusedError):
    """The activity has ended, and the request is none to run it again."""


class ChangedMeanwhileError(RefusedError):
    """The activity is not at the revision that the caller saw."""


class FixedAttributesError(RefusedError):
    """Attributes and their type cannot change while cards run: ActivityKit takes them at the start only."""


class PersonalOnChannelError(RefusedError):
    """What is not the same for everybody cannot be broadcast to phones that listen on a channel."""


class NothingToStartError(RefusedError):
    """A start needs the attributes and their type, and nobody has said them. `field` is the first that is missing."""

    def __init__(self, field: str) -> None:
        super().__init__(f"{field} is missing: a start needs it")
        self.field = field


class WrongSecretError(RefusedError):
    """The installation is bound to another secret than the one it came with."""


class UnprovedUserError(RefusedError):
    """A device claims a user without showing that it may."""


class OverloadedError(RefusedError):
    """A queue is full. `retry_after` is in seconds."""

    def __init__(self, what: str, retry_after: float) -> None:
        super().__init__(f"{what} is full, try again in {retry_after:.0f} s")
        self.retry_after = retry_after


class SurveyTooLongError(RefusedError):
    """A question about a whole audience took longer than it may, and was given up. `limit` is in seconds."""

    def __init__(self, limit: float) -> None:
        super().__init__(
            f"the audience could not be gone through within {limit:.0f} s: ask again, or for fewer conditions"
        )
        self.limit = limit


class IdempotencyConflictError(RefusedError):
    """The idempotency key was used before with another request."""

    def __init__(self, key: str) -> None:
        super().__init__(f"the idempotency key {key!r} was used with another request; use a fresh key for this one")
        self.key = key
