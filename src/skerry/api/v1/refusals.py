"""From what a service raises to what the caller is told: a problem with its status, and what to do about it."""

import structlog

from skerry.api.problems import FieldError, ProblemError
from skerry.api.rest3.errors import Rest3Error
from skerry.api.v1.reading import refused
from skerry.domain.errors import (
    ChangedMeanwhileError,
    EndedError,
    FieldRefusedError,
    FixedAttributesError,
    IdempotencyConflictError,
    NothingToStartError,
    OutdatedError,
    OverloadedError,
    PayloadTooLargeError,
    PersonalOnChannelError,
    RefusedError,
    SurveyTooLongError,
)
from skerry.domain.segment import AudienceTooComplexError, SegmentCycleError, UnknownSegmentError

log = structlog.get_logger()

_REFUSALS: tuple[tuple[type[Exception], int, str, str], ...] = (
    (OutdatedError, 409, "Outdated", "read the activity and send a higher version"),
    (ChangedMeanwhileError, 412, "Changed meanwhile", "read the activity, and send its ETag in If-Match"),
    (EndedError, 409, "Ended", "PUT it, and it runs again"),
    (
        PersonalOnChannelError,
        409,
        "Same for everybody",
        'leave placeholders and languages out (loc-key stays), or start it with "routing": "tokens"',
    ),
    (FixedAttributesError, 409, "Attributes are fixed", "end it first, or leave them out"),
    (PayloadTooLargeError, 413, "Payload too large", "send less state, attributes or alert"),
)


def refusal(error: Exception) -> Exception:
    """What is refused of an activity, as the problem that the caller is told; anything else as it is."""
    if isinstance(error, NothingToStartError):
        return refused(error.field, "is missing", "a start needs it: send it with the audience")
    for kind, status, title, fix in _REFUSALS:
        if isinstance(error, kind):
            return ProblemError(status, title, f"{error}: {fix}")
    return error


def problem_of(error: Exception) -> ProblemError:  # noqa: PLR0911 - one return per kind of error
    """Whatever went wrong, as a problem; what nobody has foreseen is logged."""
    match error:
        case ProblemError():
            return error
        case Rest3Error():  # authentication speaks the contract's language; here it is a problem document
            return ProblemError(error.kind.status, "Refused", error.kind.text, retry_after=error.retry_after)
        case OverloadedError():
            return ProblemError(429, "Overloaded", str(error), retry_after=error.retry_after)
        case FieldRefusedError():
            wrong = [FieldError(error.field, error.problem, error.fix)]
            return ProblemError(422, "Refused", str(error), wrong, code="invalid_field")
        case UnknownSegmentError() | SegmentCycleError() | AudienceTooComplexError():
            return ProblemError(422, "Unusable audience", str(error), code=error.code)
        case SurveyTooLongError():
            return ProblemError(503, "Took too long", str(error), retry_after=error.limit, code="survey_too_long")
        case IdempotencyConflictError():
            key = error.key.removeprefix("v1:")
            detail = f"Idempotency-Key {key!r} came with another request before: use a new one"
            return ProblemError(409, "Idempotency key used again", detail, code="idempotency_key_used")
        case RefusedError():
            return ProblemError(400, "Refused", str(error))
        case _:
            log.error("request failed", exc_info=error)
            return ProblemError(500, "Internal server error", "the error has been logged")
