"""Reading a request of ours: a JSON object as a type, with errors that name the field and the fix."""

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from skerry.api.problems import FieldError, ProblemError
from skerry.api.rest3.fields import NUL, is_scalar, read_date
from skerry.domain import personal
from skerry.domain.errors import FieldRefusedError
from skerry.domain.ids import Millis, Seconds

T = TypeVar("T")

_PATH = re.compile(r"(?s)(.*?)(?: - at `\$\.?(.*)`)?")
MOST_DEPTH = 64


class Body(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A request's object: members that it does not know are errors, so that a typo is not overlooked."""


def read(body: bytes, kind: type[T]) -> T:
    """The body as a value of this type.

    Raises:
        ProblemError: 400 where it is not JSON, 422 naming the field where it is something else.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise _unfit(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProblemError(400, "Invalid JSON", f"the body is not JSON: {error}") from error


def refused(field: str, problem: str, fix: str) -> ProblemError:
    """422: a field is wrong; what to do about it."""
    errors = [FieldError(field, problem, fix)]
    return ProblemError(422, "Unprocessable request", f"{field} {problem}: {fix}", errors, code="invalid_field")


def not_found(what: str, fix: str) -> ProblemError:
    """404: something is not there; what to do about it."""
    return ProblemError(404, "Not found", f"{what}: {fix}", code="not_found")


def object_bytes(raw: msgspec.Raw, field: str) -> bytes | None:
    """A member that must be an object, as the bytes that were sent; None where it is absent or null.

    Raises:
        ProblemError: where it is something else, is nested too deeply or is not valid Unicode.
    """
    sent = bytes(raw)
    if not sent or sent == b"null":
        return None
    if not sent.startswith(b"{"):
        raise refused(field, "is not an object", "send a JSON object")
    try:
        value = msgspec.json.decode(sent)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise refused(field, f"is not JSON that can be sent on ({error})", "send a JSON object in UTF-8") from error
    if sent.count(b"{") + sent.count(b"[") > MOST_DEPTH and _depth(value) > MOST_DEPTH:
        raise refused(field, f"is nested deeper than {MOST_DEPTH} levels", "send a flatter object")
    return sent


def template_bytes(raw: msgspec.Raw, field: str, params: Mapping[str, str]) -> bytes | None:
    """The same with `params` filled in; placeholders that are left are filled from profiles (`domain.personal`).

    Raises:
        ProblemError: also where something begins like a placeholder and is none, or a parameter is of another kind.
    """
    sent = object_bytes(raw, field)
    try:
        personal.check(sent, field)
        return None if sent is None else personal.with_params(sent, params)
    except FieldRefusedError as error:
        raise refused(error.field, error.problem, error.fix) from error


def read_params(value: dict[str, Any] | None) -> dict[str, str]:
    """Values of placeholders: texts, numbers and booleans as text.

    Raises:
        ProblemError: where one is something else.
    """
    found = {}
    for name, one in (value or {}).items():
        if not is_scalar(one):
            raise refused(
                f"params.{name}", "is not a value that can be filled in", "send a text, a number or a boolean"
            )
        found[name] = one if isinstance(one, str) else msgspec.json.encode(one).decode()
    return found


def moment(value: Any, field: str) -> Millis | None:
    """A point in time: ISO 8601 (UTC where it says no offset), or epoch seconds or milliseconds.

    Raises:
        ProblemError: where it is none.
    """
    if value is None:
        return None
    found = read_date(value)
    if found is None:
        raise refused(field, "is not a date", "send ISO 8601 such as 2026-01-11T09:21:37Z, or epoch seconds")
    return found


def seconds(value: Any, field: str) -> Seconds | None:
    """The same in whole seconds."""
    found = moment(value, field)
    return None if found is None else Seconds(found // 1000)


def text(value: str | None, field: str, most: int) -> str | None:
    """A text that any store can hold.

    Raises:
        ProblemError: where it is empty, too long or has U+0000 in it.
    """
    if value is None:
        return None
    if not value or len(value) > most or NUL in value:
        raise refused(field, "is not a text that can be kept", f"send 1 to {most} characters without U+0000")
    return value


def _unfit(message: str) -> ProblemError:
    """Msgspec's words, such as "Expected `int`, got `str` - at `$.version`", as a field and a fix."""
    match = _PATH.fullmatch(message)
    problem, path = (match.group(1), match.group(2)) if match else (message, None)
    unknown = re.search(r"unknown field `([^`]*)`", problem)
    missing = re.search(r"missing required field `([^`]*)`", problem)
    if unknown:
        field = f"{path}.{unknown.group(1)}" if path else unknown.group(1)
        return refused(field, "is not a field of this request", "leave it out, or look for a typo")
    if missing:
        field = f"{path}.{missing.group(1)}" if path else missing.group(1)
        return refused(field, "is missing", "send it")
    return refused(path or "body", f"does not fit ({problem[0].lower()}{problem[1:]})", "see /openapi.json")


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level:
        depth += 1
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
    return depth
