"""Errors outside the drop-in contract: RFC 9457 problem documents, one shape for all."""

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.responses import JSONResponse


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field, and how to mend it."""

    field: str
    problem: str
    fix: str


CODES = {
    400: "bad_request",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    409: "conflict",
    413: "too_large",
    422: "invalid_field",
    429: "overloaded",
    500: "internal_error",
    503: "unavailable",
}
"""The `code` of a problem that has no narrower one: what a program looks at, where `detail` is for people."""


class ProblemError(Exception):
    """A refused request. Nothing was changed."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        errors: Sequence[FieldError] = (),
        retry_after: float | None = None,
        *,
        code: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.status = status
        self.title = title
        self.detail = detail
        self.errors = tuple(errors)
        self.retry_after = retry_after


def members(error: ProblemError, **more: str) -> dict[str, object]:
    """What a problem says of itself, for programs first; `more` stands before the fields that are wrong."""
    said: dict[str, object] = {
        "title": error.title,
        "status": error.status,
        "code": error.code or CODES.get(error.status, "refused"),
        "detail": error.detail,
        **more,
    }
    if error.errors:
        said["errors"] = [{"field": one.field, "problem": one.problem, "fix": one.fix} for one in error.errors]
    return said


def problem(
    status: int,
    title: str,
    detail: str,
    instance: str,
    errors: Sequence[FieldError] = (),
    *,
    code: str | None = None,
) -> JSONResponse:
    """The answer. `code` names the kind of problem for machines: it stays when the words get better."""
    body = {"type": "about:blank", **members(ProblemError(status, title, detail, errors, code=code), instance=instance)}
    return JSONResponse(body, status, media_type="application/problem+json")
