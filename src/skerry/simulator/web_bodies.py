"""The bodies that the simulator's HTTP API takes, read into values or into a problem that names the field."""

import re
from http import HTTPStatus
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.requests import Request

from skerry.domain.push import Environment
from skerry.simulator.phone.reports import ReportPolicy, ReportRule
from skerry.simulator.phone.swift_types import AttributesType, DeclarationError

BODY_LIMIT = 256 * 1024
"""Bytes; a chaos plan or a list of declared types is far smaller."""
_LONGEST_ADVANCE_S = 10 * 366 * 86_400.0

Body = TypeVar("Body", bound=Struct)


class ProblemError(Exception):
    """What was asked cannot be done: answered as an RFC 9457 problem document.

    400: the body is not JSON. 404: no such phone, card or page. 409: impossible in the phone's present state. 413: the
    body is too large. 422: a field is missing, unknown, of the wrong type or out of range; `field` names it.
    """

    def __init__(self, status: HTTPStatus, detail: str, *, field: str | None = None, fix: str | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.field = field
        self.fix = fix

    def document(self, path: str) -> dict[str, Any]:
        """The problem document."""
        extra = {"field": self.field, "fix": self.fix}
        return {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
            "instance": path,
            **{key: value for key, value in extra.items() if value is not None},
        }


GroupId = Annotated[str, Meta(min_length=1, max_length=4096, description="the card's group id, a text")]


class _Body(Struct, forbid_unknown_fields=True):
    """A field that nobody asked for is a spelling mistake, and is said to be one."""


class Nothing(_Body):
    """No fields: the body may be empty or `{}`."""


class WhichCard(_Body):
    """A card on a phone."""

    group_id: GroupId
    card_id: Annotated[str, Meta(description="the id of one card, where several share the group id")] | None = None


class WhichToken(_Body):
    """A token to be replaced."""

    token: Annotated[Literal["start", "update"], Meta(description="'start' or 'update'")] = "update"  # noqa: S105 - a kind of token
    group_id: GroupId | None = None
    card_id: Annotated[str, Meta(description="the id of one card, where several share the group id")] | None = None


class NewUser(_Body):
    """Who signs in."""

    user: Annotated[str, Meta(min_length=1, max_length=512, description="the user's id, or null for nobody")] | None


class Switch(_Body):
    """On or off."""

    enabled: Annotated[bool, Meta(description="true or false")]


class Deletion(_Body):
    """How fast APNs learns that the app is gone."""

    unregistered_after_s: Annotated[float, Meta(ge=0, le=30 * 86_400.0, description="seconds until APNs says 410")] = (
        0.0
    )


class LocalStart(_Body):
    """An activity that the app starts itself."""

    attributes_type: Annotated[str, Meta(min_length=1, description="the Swift name of the ActivityAttributes struct")]
    attributes: Annotated[msgspec.Raw, Meta(description="an object, as the struct encodes it")]
    content_state: Annotated[msgspec.Raw, Meta(description="an object, as ContentState encodes it")]
    channel: Annotated[str, Meta(min_length=1, description="the id of a broadcast channel to listen on")] | None = None


class Rule(_Body):
    """How one kind of report leaves the phone."""

    delay_s: Annotated[float, Meta(ge=0, le=30 * 86_400.0, description="seconds by which the report is late")] = 0.0
    times: Annotated[int, Meta(ge=0, le=10, description="0: never, 1: once, 2: twice, at most 10")] = 1

    def value(self) -> ReportRule:
        """As the phone wants it."""
        return ReportRule(self.delay_s, self.times)


class Policy(_Body):
    """How an app reports; what is left out is reported at once, once."""

    start_token: Annotated[Rule, Meta(description="{'delay_s', 'times'}")] = msgspec.field(default_factory=Rule)
    update_token: Annotated[Rule, Meta(description="{'delay_s', 'times'}")] = msgspec.field(default_factory=Rule)
    close: Annotated[Rule, Meta(description="{'delay_s', 'times'}")] = msgspec.field(default_factory=Rule)
    shuffle: Annotated[bool, Meta(description="true: reports that leave together leave in any order")] = False

    def value(self) -> ReportPolicy:
        """As the phone wants it."""
        return ReportPolicy(self.start_token.value(), self.update_token.value(), self.close.value(), self.shuffle)


class NewPhones(_Body):
    """Phones to add."""

    count: Annotated[int, Meta(ge=1, le=20_000, description="how many, from 1 to 20,000")] = 1
    user: Annotated[
        str, Meta(min_length=1, max_length=512, description="who is signed in; {n} is the phone's number")
    ] | (None) = "user-{n}"
    environment: Annotated[Environment, Meta(description="'sandbox' or 'production'")] = Environment.SANDBOX
    os_version: Annotated[str, Meta(description="an iOS version such as '18.1'")] = "18.1"
    language: Annotated[str, Meta(min_length=2, max_length=35, description="a language tag such as 'zh-Hant-TW'")] = (
        "en"
    )
    types: Annotated[list[dict[str, Any]], Meta(description="declarations of ActivityAttributes")] | UnsetType = UNSET
    reports: Annotated[Policy, Meta(description="as in PUT /simulator/phones/{id}/reports")] | UnsetType = UNSET

    def declared_types(self) -> dict[str, AttributesType] | None:
        """The app's types by name, None where the world's are meant.

        Raises:
            ProblemError: naming the declaration and the field at fault.
        """
        if self.types is UNSET:
            return None
        declared = {}
        for index, declaration in enumerate(self.types):
            try:
                known = AttributesType.declared(declaration)
            except DeclarationError as error:
                raise unprocessable(f"types[{index}].{error}", field=f"types[{index}]") from None
            declared[known.name] = known
        return declared


class Advance(_Body):
    """Time to pass."""

    advance_s: Annotated[float, Meta(ge=0, le=_LONGEST_ADVANCE_S, description="seconds to move forward, 0 or more")]


def unprocessable(detail: str, *, field: str | None = None, fix: str | None = None) -> ProblemError:
    """422, for a field."""
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, detail, field=field, fix=fix)


async def read_text(request: Request) -> bytes:
    """The body, up to the limit.

    Raises:
        ProblemError: 413 if it is longer.
    """
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > BODY_LIMIT:
            raise ProblemError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than {BODY_LIMIT} bytes; send less"
            )
        parts.append(part)
    return b"".join(parts)


async def read_json(request: Request) -> Any:
    """The body as JSON of any shape.

    Raises:
        ProblemError: 400 if it is not JSON, 413 if it is too large.
    """
    try:
        return msgspec.json.decode(await read_text(request))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _not_json(error) from None


async def read_body(request: Request, body_type: type[Body]) -> Body:
    """The body as one of the types above; an empty one counts as `{}`.

    Raises:
        ProblemError: 400 if it is not JSON, 413 if it is too large, 422 naming the field at fault and the fix.
    """
    text = await read_text(request)
    try:
        return msgspec.json.decode(text.strip() or b"{}", type=body_type)
    except msgspec.ValidationError as error:
        raise _invalid(str(error), body_type) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _not_json(error) from None


def _not_json(error: Exception) -> ProblemError:
    return ProblemError(HTTPStatus.BAD_REQUEST, f"the body is not JSON: {error}", fix="send a JSON object")


_PLACE = re.compile(r" - at `\$\.?(?P<path>.*)`$")
_MENTIONED = re.compile(r"^Object (?:missing required|contains unknown) field `(?P<name>[^`]*)`")


def _invalid(message: str, body_type: type[Struct]) -> ProblemError:
    """Reads the place out of msgspec's message: `Expected `int`, got `str` - at `$.reports.close.times``."""
    place = _PLACE.search(message)
    mentioned = _MENTIONED.match(message)
    path = ".".join(step for step in (place["path"] if place else "", mentioned["name"] if mentioned else "") if step)
    fix = _description(body_type, path.split("."))
    fields = ", ".join(body_type.__struct_fields__) or "none"
    fix = f"fields here are: {fields}" if fix is None else f"{path}: {fix}"
    return unprocessable(_PLACE.sub("", message), field=path or None, fix=fix)


def _description(body_type: type[Struct], path: list[str]) -> str | None:
    """What the field at `path` is for, in the words of its `Meta`."""
    hint = get_type_hints(body_type, include_extras=True).get(path[0])
    for option in (hint, *getattr(hint, "__args__", ())):
        if len(path) > 1 and isinstance(option, type) and issubclass(option, Struct):
            return _description(option, path[1:])
        for meta in getattr(option, "__metadata__", ()):
            if len(path) == 1 and isinstance(meta, Meta) and meta.description:
                return meta.description
    return None
