"""The simulator over HTTP: look at phones and channels, do what people do, move time, read the ledger, play chaos.

All answers are JSON; errors are RFC 9457 problem documents (see `ProblemError`). There is no authentication: it is a
test instrument, to be bound to the loopback address.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Protocol

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from skerry.domain.push import Environment
from skerry.simulator.phone.phone import Phone, PhoneActionError, UnknownCardError
from skerry.simulator.phone.view import phone_detail, phone_summary
from skerry.simulator.web_bodies import (
    Advance,
    Deletion,
    LocalStart,
    NewPhones,
    NewUser,
    Nothing,
    Policy,
    ProblemError,
    Switch,
    WhichCard,
    WhichToken,
    read_body,
    read_json,
    unprocessable,
)
from skerry.simulator.world import MOST_PHONES, UnknownPhoneError, World


class LedgerView(Protocol):
    """What APNs has seen and said; see `skerry.simulator.apns.ledger`."""

    def to_json(
        self,
        since: int = 0,
        limit: int = 1000,
        *,
        token: str | None = None,
        event: str | None = None,
        operation: str | None = None,
    ) -> dict[str, Any]:
        """Entries after `since` that match. ValueError for numbers out of range."""


class ChaosControl(Protocol):
    """What goes wrong at APNs; see `skerry.simulator.apns.chaos`."""

    def as_dict(self) -> dict[str, Any]:
        """The plan in force."""

    def update_from(self, value: object) -> None:
        """Replace the plan. ValueError naming the field at fault."""


class ChannelControl(Protocol):
    """The broadcast channels at APNs; see `skerry.simulator.apns.channels`."""

    def enabled(self, bundle_id: str) -> bool:
        """Whether the app may have any."""

    def switch(self, bundle_id: str, *, enabled: bool) -> None:
        """Let the app have some, or delete all it has."""

    def to_json(self) -> list[dict[str, Any]]:
        """One object for each, with at least `environment` and `id`."""


def build_app(world: World, ledger: LedgerView, chaos: ChaosControl, channels: ChannelControl) -> Starlette:
    """The API over one world and its APNs."""
    api = _Api(world, ledger, chaos, channels)
    routes = [
        Route("/simulator/phones", api.list_phones, methods=["GET"]),
        Route("/simulator/phones", api.add_phones, methods=["POST"]),
        Route("/simulator/phones/{id}", api.show_phone, methods=["GET"]),
        Route("/simulator/phones/{id}/reports", api.set_reports, methods=["PUT"]),
        *(
            Route(f"/simulator/phones/{{id}}/{name}", api.endpoint(body_type, action), methods=["POST"])
            for name, (body_type, action) in _ACTIONS.items()
        ),
        Route("/simulator/channels", api.list_channels, methods=["GET"]),
        Route("/simulator/channels", api.switch_channels, methods=["PUT"]),
        Route("/simulator/verdicts", api.count_verdicts, methods=["GET"]),
        Route("/simulator/clock", api.show_clock, methods=["GET"]),
        Route("/simulator/clock", api.move_clock, methods=["POST"]),
        Route("/simulator/ledger", api.show_ledger, methods=["GET"]),
        Route("/simulator/chaos", api.show_chaos, methods=["GET"]),
        Route("/simulator/chaos", api.set_chaos, methods=["PUT"]),
    ]
    handlers: Mapping[Any, Callable[[Request, Any], Response]] = {
        ProblemError: _problem,
        HTTPException: _http_problem,
        UnknownPhoneError: _not_found,
        UnknownCardError: _not_found,
        PhoneActionError: _conflict,
    }
    return Starlette(routes=routes, exception_handlers=handlers)


# What a phone's owner can do: the path's last part, the body, and the deed.


def _start_locally(phone: Phone, body: LocalStart, now: float) -> None:
    phone.start_locally(body.attributes_type, bytes(body.attributes), bytes(body.content_state), now, body.channel)


def _rotate(phone: Phone, body: WhichToken, now: float) -> None:
    if body.token == "start":  # noqa: S105 - a kind of token
        phone.rotate_start_token(now)
    elif body.group_id is None:
        raise unprocessable("group_id is missing", field="group_id", fix="name the card, or send token: 'start'")
    else:
        phone.rotate_update_token(body.group_id, now, body.card_id)


_ACTIONS: dict[str, tuple[type[msgspec.Struct], Callable[[Phone, Any, float], object]]] = {
    "dismiss": (WhichCard, lambda phone, body, now: phone.dismiss(body.group_id, now, body.card_id)),
    "rotate": (WhichToken, _rotate),
    "offline": (Nothing, lambda phone, _, now: phone.go_offline(now)),
    "online": (Nothing, lambda phone, _, now: phone.go_online(now)),
    "start": (LocalStart, _start_locally),
    "launch-app": (Nothing, lambda phone, _, now: phone.launch_app(now)),
    "delete-app": (Deletion, lambda phone, body, now: phone.delete_app(now, body.unregistered_after_s)),
    "install-app": (Nothing, lambda phone, _, now: phone.install_app(now)),
    "user": (NewUser, lambda phone, body, now: phone.switch_user(body.user, now)),
    "live-activities": (
        Switch,
        lambda phone, body, now: phone.set_activities_enabled(enabled=body.enabled, now=now),
    ),
}


@dataclass(frozen=True, slots=True)
class _Api:
    world: World
    ledger: LedgerView
    chaos: ChaosControl
    channels: ChannelControl

    async def list_phones(self, request: Request) -> Response:
        """`GET /simulator/phones?user=&limit=&offset=`: a list of summaries."""
        _only(request, "user", "limit", "offset")
        user = request.query_params.get("user")
        offset = _whole_number(request, "offset", 0, 0, MOST_PHONES)
        limit = _whole_number(request, "limit", MOST_PHONES, 1, MOST_PHONES)
        phones = [phone for phone in self.world.phones.values() if user in {None, phone.user}]
        return _json([phone_summary(phone) for phone in phones[offset : offset + limit]])

    async def add_phones(self, request: Request) -> Response:
        """`POST /simulator/phones`: 201 and the list of the new ones."""
        body = await read_body(request, NewPhones)
        policy = None if body.reports is msgspec.UNSET else body.reports.value()
        try:
            phones = self.world.add_phones(
                body.count,
                user=body.user,
                environment=body.environment,
                os_version=body.os_version,
                language=body.language,
                types=body.declared_types(),
                policy=policy,
            )
        except ValueError as error:
            field, _, _ = str(error).partition(":")
            raise unprocessable(str(error), field=field) from None
        return _json([phone_summary(phone) for phone in phones], HTTPStatus.CREATED)

    async def show_phone(self, request: Request) -> Response:
        """`GET /simulator/phones/{id}`: cards (dismissed ones too), pushes with their verdicts, reports."""
        return self._detail(self.world.phone(request.path_params["id"]))

    async def set_reports(self, request: Request) -> Response:
        """`PUT /simulator/phones/{id}/reports`: how the app reports from now on."""
        phone = self.world.phone(request.path_params["id"])
        phone.policy = (await read_body(request, Policy)).value()
        return self._detail(phone)

    def endpoint(
        self, body_type: type[msgspec.Struct], action: Callable[[Phone, Any, float], object]
    ) -> Callable[[Request], Awaitable[Response]]:
        """`POST /simulator/phones/{id}/<action>`: does it and answers with the phone."""

        async def act(request: Request) -> Response:
            phone = self.world.phone(request.path_params["id"])
            body = await read_body(request, body_type)
            self.world.act(phone.id, lambda phone, now: action(phone, body, now))
            return self._detail(phone)

        return act

    async def list_channels(self, _: Request) -> Response:
        """`GET /simulator/channels`: every channel, with the number of phones that have a running card on it."""
        return self._channels()

    async def switch_channels(self, request: Request) -> Response:
        """`PUT /simulator/channels`: the app's broadcast capability at Apple; off deletes all its channels."""
        body = await read_body(request, Switch)
        self.channels.switch(self.world.bundle_id, enabled=body.enabled)
        return self._channels()

    async def count_verdicts(self, _: Request) -> Response:
        """`GET /simulator/verdicts`: what became of all pushes, on all phones together."""
        verdicts, cards = self.world.counts()
        return _json(
            {
                "phones": len(self.world.phones),
                "verdicts": {verdict.value: count for verdict, count in sorted(verdicts.items())},
                "cards": {status.value: count for status, count in sorted(cards.items())},
                "reports_pending": self.world.reporter.pending if self.world.reporter else 0,
            }
        )

    async def show_clock(self, _: Request) -> Response:
        """`GET /simulator/clock`: simulated time."""
        return self._clock()

    async def move_clock(self, request: Request) -> Response:
        """`POST /simulator/clock`: moves time forward and lets happen what falls due."""
        self.world.advance((await read_body(request, Advance)).advance_s)
        return self._clock()

    async def show_ledger(self, request: Request) -> Response:
        """`GET /simulator/ledger?since=&limit=&token=&event=&operation=`: what APNs has seen and said."""
        _only(request, "since", "limit", "token", "event", "operation")
        try:
            page = self.ledger.to_json(
                _whole_number(request, "since", 0, 0, 2**63),
                _whole_number(request, "limit", 100, 1, 10_000),
                token=request.query_params.get("token"),
                event=request.query_params.get("event"),
                operation=request.query_params.get("operation"),
            )
        except ValueError as error:
            raise unprocessable(str(error), field=str(error).split(" ", 1)[0]) from None
        return _json(page)

    async def show_chaos(self, _: Request) -> Response:
        """`GET /simulator/chaos`: the plan in force."""
        return _json(self.chaos.as_dict())

    async def set_chaos(self, request: Request) -> Response:
        """`PUT /simulator/chaos`: replaces the plan; `{}` is peace."""
        try:
            self.chaos.update_from(await read_json(request))
        except ValueError as error:
            raise unprocessable(str(error), fix="GET /simulator/chaos shows every field there is") from None
        return _json(self.chaos.as_dict())

    def _detail(self, phone: Phone) -> Response:
        reporter = self.world.reporter
        return _json(phone_detail(phone, reporter.status(phone.id) if reporter else None))

    def _channels(self) -> Response:
        """`{"enabled", "channels": [{"environment", "bundle_id", "id", …, "listeners"}]}`."""
        channels = [
            {**one, "listeners": self.world.listeners(Environment(one["environment"]), one["id"])}
            for one in self.channels.to_json()
        ]
        return _json({"enabled": self.channels.enabled(self.world.bundle_id), "channels": channels})

    def _clock(self) -> Response:
        now = self.world.clock.now()
        return _json({"now": now, "time": datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")})


def _json(value: object, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def _only(request: Request, *known: str) -> None:
    for name in request.query_params:
        if name not in known:
            raise unprocessable(f"{name} is not a parameter", field=name, fix=f"parameters are: {', '.join(known)}")


def _whole_number(request: Request, name: str, default: int, least: int, most: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    # Twenty digits are more than any limit here; int() of a longer text may be refused by Python itself.
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else least - 1  # noqa: PLR2004
    if not least <= number <= most:
        raise unprocessable(f"{name} is {text!r}", field=name, fix=f"{name}: a whole number from {least} to {most}")
    return number


def _problem(request: Request, problem: ProblemError) -> Response:
    document = msgspec.json.encode(problem.document(request.url.path))
    return Response(document, problem.status, media_type="application/problem+json")


def _http_problem(request: Request, error: HTTPException) -> Response:
    response = _problem(request, ProblemError(HTTPStatus(error.status_code), error.detail))
    response.headers.update(error.headers or {})
    return response


def _not_found(request: Request, error: LookupError) -> Response:
    return _problem(request, ProblemError(HTTPStatus.NOT_FOUND, str(error)))


def _conflict(request: Request, error: PhoneActionError) -> Response:
    return _problem(request, ProblemError(HTTPStatus.CONFLICT, str(error)))
