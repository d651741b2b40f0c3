"""One handler per route: read, ask a service, answer. Errors are raised and shaped in one place (`app.py`)."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from skerry.api.auth import authenticate, client_address, scheme
from skerry.api.intake import Intake
from skerry.api.limits import RateLimit, bucket_of
from skerry.api.metrics import ApiMetrics
from skerry.api.ports import ApiSettings, Services
from skerry.api.problems import FieldError, ProblemError
from skerry.api.rest3 import device_events, live_activities, queries, statistics, users
from skerry.api.rest3.errors import (
    UNKNOWN_GROUP,
    UNKNOWN_MESSAGE,
    UNKNOWN_USER,
    Rest3Error,
    invalid,
    missing,
)
from skerry.api.rest3.fields import Fields, parse
from skerry.api.v1.activity_handlers import ActivityHandlers
from skerry.api.v1.batch import BatchHandler
from skerry.api.v1.events import read_report
from skerry.api.v1.schedule import ScheduleHandlers
from skerry.api.v1.stream import StreamHandlers
from skerry.api.v1.webhooks import WebhookHandlers
from skerry.domain.activity import Update
from skerry.domain.app import Principal
from skerry.domain.commands import Idempotency
from skerry.domain.device import DeviceReport, normal_token
from skerry.domain.errors import UnprovedUserError, WrongSecretError
from skerry.domain.ids import AppId, Millis
from skerry.domain.user_token import why_not

TWO_WEEKS = 14 * 24 * 3600 * 1000
EXT_REF = "extRef:"
"""What idempotency keys begin with that come from that field."""


class Handlers:
    """The API's handlers over its services."""

    def __init__(
        self, services: Services, settings: ApiSettings, metrics: ApiMetrics, clock: Callable[[], Millis]
    ) -> None:
        self._services = services
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        rates = settings.events_per_minute
        self._by_installation = RateLimit(*rates["installation"], clock=time.monotonic)
        self._by_address = RateLimit(*rates["address"], clock=time.monotonic)
        self.intake = Intake(services.keys, settings)
        self.activities = ActivityHandlers(self.intake, services, clock)
        self.schedule = ScheduleHandlers(self.intake, services.schedule)
        self.stream = StreamHandlers(self.intake, services.feed, metrics, settings.stream)
        self.webhooks = WebhookHandlers(self.intake, services.webhooks)
        self.batches = BatchHandler(self.intake, services.batches)

    # Live Activities

    async def send_bulk(self, request: Request) -> Response:
        """Start for many."""
        app_id, body, fields = await self._object(request)
        command = live_activities.bulk_start(
            fields, _idempotency(request, body, fields), self._settings.timezone, self._clock
        )
        key = await self._services.activities.start_bulk(app_id, command)
        return JSONResponse({"notificationKey": key})

    async def define(self, request: Request) -> Response:
        """Keep a definition."""
        app_id, _, fields = await self._object(request)
        key = await self._services.activities.define(app_id, live_activities.definition(fields, self._clock))
        return JSONResponse({"notificationKey": key})

    async def send(self, request: Request) -> Response:
        """Start for one user, or some."""
        app_id, body = await self._body(request)
        if not isinstance(parse(body), dict | list):
            raise invalid("Request should be an object or a list of objects")
        strict = self._settings.strict_notification_key
        entries = live_activities.sends(body, strict_key=strict, now=self._clock)
        await self._services.activities.send(app_id, entries, _idempotency(request, body, None))
        return JSONResponse({})

    async def update(self, request: Request) -> Response:
        """Update or end a group."""
        principal = await self._principal(request)
        fields = _object(await self._read(request))
        group_id, command = live_activities.revision(fields)
        activities = self._services.activities
        if isinstance(command, Update):
            known = await activities.update(principal.app.app_id, group_id, command)
        else:
            known = await activities.end(principal.app.app_id, group_id, command)
        if not known:
            self._metrics.unknown_groups.inc()
            if principal.app.strict_groups:
                raise Rest3Error(UNKNOWN_GROUP)
        return JSONResponse({})

    async def fire_events(self, request: Request) -> Response:
        """Device events through a backend."""
        app_id, body = await self._body(request)
        parse(body)
        for one in device_events.fired(body, self._clock):
            await self._services.registry.fire(
                app_id,
                one.ext_id,
                one.event,
                installation_id=one.installation_id,
                device_token=one.device_token,
            )
        return Response()

    # Users

    async def register_users(self, request: Request) -> Response:
        """Users, and devices by their ordinary tokens."""
        app_id, body = await self._body(request)
        parse(body)
        await self._services.registry.register_users(app_id, users.registrations(body))
        return Response()

    async def delete_users(self, request: Request) -> Response:
        """Users leave the audience."""
        app_id, _, fields = await self._object(request)
        await self._services.registry.delete_users(app_id, users.ext_ids(fields))
        return Response()

    async def erase_users(self, request: Request) -> Response:
        """Everything about users is erased."""
        app_id, _, fields = await self._object(request)
        await self._services.registry.erase_users(app_id, users.ext_ids(fields))
        return Response()

    async def enable_push(self, request: Request) -> Response:
        """Ordinary notifications are permitted."""
        return await self._set_push(request, enabled=True)

    async def disable_push(self, request: Request) -> Response:
        """Ordinary notifications are not permitted."""
        return await self._set_push(request, enabled=False)

    async def _set_push(self, request: Request, *, enabled: bool) -> Response:
        app_id, _, fields = await self._object(request)
        ext_id, token = fields.text("extId"), fields.text("deviceToken")
        if not ext_id and not token:
            raise missing("extId")
        token = (normal_token(token) or token) if token else None
        await self._services.registry.set_push(app_id, ext_id=ext_id, device_token=token, enabled=enabled)
        return Response()

    async def tag_users(self, request: Request) -> Response:
        """Users get tags."""
        app_id, tags, ext_ids = await self._tags(request)
        await self._services.registry.tag_users(app_id, tags, ext_ids)
        return Response()

    async def untag_users(self, request: Request) -> Response:
        """Users lose tags."""
        app_id, tags, ext_ids = await self._tags(request)
        await self._services.registry.untag_users(app_id, tags, ext_ids)
        return Response()

    async def _tags(self, request: Request) -> tuple[AppId, list[str], list[str]]:
        app_id, _, fields = await self._object(request)
        fields.require("tag")
        tags = fields.texts("tag") or []
        if not tags or not all(tags):
            raise missing("tag")
        return app_id, tags, users.ext_ids(fields)

    async def set_profile(self, request: Request) -> Response:
        """Profile attributes get values."""
        app_id, body = await self._list(request)
        await self._services.registry.set_profile(app_id, users.profiles(body))
        return Response()

    async def unset_profile(self, request: Request) -> Response:
        """Profile attributes lose their values."""
        app_id, body = await self._list(request)
        await self._services.registry.unset_profile(app_id, users.attribute_lists(body))
        return Response()

    async def push_profile(self, request: Request) -> Response:
        """Array attributes get more values."""
        app_id, body = await self._list(request)
        await self._services.registry.push_profile(app_id, users.profiles(body))
        return Response()

    async def pull_profile(self, request: Request) -> Response:
        """Array attributes lose values."""
        app_id, body = await self._list(request)
        await self._services.registry.pull_profile(app_id, users.profiles(body))
        return Response()

    async def delete_profile_attributes(self, request: Request) -> Response:
        """Attributes disappear from all users."""
        app_id, body = await self._list(request)
        for attributes in users.deletions(body):
            await self._services.registry.delete_profile_attributes(app_id, attributes)
        return Response()

    async def delete_profile_value(self, request: Request) -> Response:
        """A value disappears from an attribute of all users."""
        app_id, body = await self._list(request)
        for key, value in users.value_deletions(body):
            await self._services.registry.delete_profile_value(app_id, key, value)
        return Response()

    # Reading

    async def get_profile(self, request: Request) -> Response:
        """A user's attributes."""
        app_id = (await self._principal(request)).app.app_id
        ext_id = queries.required(request, "extId")
        profile = await self._services.registry.profile(app_id, ext_id)
        if profile is None:
            raise Rest3Error(UNKNOWN_USER)
        return JSONResponse({"extId": ext_id, "profile": dict(profile)})

    async def get_devices(self, request: Request) -> Response:
        """A user's devices."""
        app_id = (await self._principal(request)).app.app_id
        ext_id = queries.required(request, "extId")
        permitted = request.query_params.get("pushPermitted")
        if permitted not in (None, "true", "false"):
            raise invalid("Field 'pushPermitted' should be a boolean")
        wanted = None if permitted is None else permitted == "true"
        devices = await self._services.registry.devices(app_id, ext_id, wanted)
        if devices is None:
            raise Rest3Error(UNKNOWN_USER)
        shown = [
            {"platform": d.platform, "token": d.token, "deviceModel": d.model, "pushPermitted": d.push_permitted}
            for d in devices
        ]
        return JSONResponse({"extId": ext_id, "devices": shown})

    async def get_device_tokens(self, request: Request) -> Response:
        """All ordinary device tokens, page by page."""
        app_id = (await self._principal(request)).app.app_id
        maximum, offset = queries.page(request)
        page = await self._services.registry.device_tokens(app_id, maximum, offset)
        more = offset + len(page.items) < page.total
        following = self.following(request, maximum, offset) if more else None
        return JSONResponse({"nextPage": following, "total": page.total, "devices": list(page.items)})

    async def get_push_stats(self, request: Request) -> Response:
        """Counts of one notification key, or of all in a window."""
        app_id = (await self._principal(request)).app.app_id
        if "notificationKey" in request.query_params:
            stats = await self._services.receipts.stats(app_id, queries.notification_key(request))
            if stats is None:
                raise Rest3Error(UNKNOWN_MESSAGE)
            return JSONResponse(statistics.counted(stats))
        start, end = self._window(request)
        found = await self._services.receipts.stats_between(app_id, start, end)
        return JSONResponse({"messages": [statistics.counted(one) for one in found]})

    async def get_push_result(self, request: Request) -> Response:
        """What became of each start, page by page."""
        app_id = (await self._principal(request)).app.app_id
        maximum, offset = queries.page(request)
        start, end = self._window(request)
        token = queries.optional(request, "token")
        found = await self._services.receipts.results(
            app_id,
            notification_key=queries.notification_key(request) if "notificationKey" in request.query_params else None,
            ext_id=queries.optional(request, "extId"),
            token=(normal_token(token) or token) if token else None,
            start=start,
            end=end,
            maximum=maximum,
            offset=offset,
        )
        if found is None:
            raise Rest3Error(UNKNOWN_MESSAGE)
        following = self.following(request, maximum, offset) if found.more else None
        return JSONResponse({"nextPage": following, "list": [statistics.result(one) for one in found.items]})

    def following(self, request: Request, maximum: int, offset: int) -> str:
        """The address of the page after this one, as the caller would write it."""
        return queries.following(request, scheme(request, self._settings.trusted_proxies), maximum, offset)

    def _window(self, request: Request) -> tuple[Millis, Millis]:
        end = queries.moment(request, "end") or self._clock()
        start = queries.moment(request, "start")
        return (Millis(max(end - TWO_WEEKS, 0)) if start is None else start), end

    # Devices

    async def report_events(self, request: Request) -> Response:
        """What an installation reports."""
        trusted = self._settings.trusted_proxies
        principal = await authenticate(request, self._services.keys, trusted, sdk_allowed=True)
        request.state.app_id = principal.app.app_id
        report, user_token = read_report(await self._read(request), self._clock)
        address = bucket_of(client_address(request, trusted))
        count = max(len(report.events), 1)
        wait = self._by_installation.take(f"{principal.app.app_id}/{report.installation_id}", count)
        wait = wait or self._by_address.take(address, count)
        if wait:
            detail = "this installation or address reports more events than it may; keep them and send them later"
            raise ProblemError(429, "Too many events", detail, retry_after=wait)
        unproved = self._unproved(principal, report, user_token)
        try:
            result = await self._services.registry.report(
                principal.app.app_id, replace(report, user_proved=unproved is None)
            )
        except UnprovedUserError as error:
            fix = "send one that your backend has signed for this extId"
            field = FieldError("userToken", unproved or "is missing", fix)
            raise ProblemError(403, "User not proved", f"userToken {field.problem}: {fix}", [field]) from error
        except WrongSecretError as error:
            detail = "the installation is bound to another secret: send the installationSecret it came with first"
            raise ProblemError(403, "Wrong installation secret", detail) from error
        for outcome in result.outcomes:
            self._metrics.device_events.labels(outcome.partition(":")[0]).inc()
        return JSONResponse({"outcomes": list(result.outcomes)})

    def _unproved(self, principal: Principal, report: DeviceReport, user_token: str | None) -> str | None:
        secret = principal.app.user_token_secret
        if secret is None or not report.ext_id:
            return None
        return why_not(user_token, secret, report.ext_id, self._clock())

    # Health

    async def healthz(self, _: Request) -> Response:
        """The process is alive."""
        alive = self._services.health.live()
        return JSONResponse({"status": "ok" if alive else "stopping"}, 200 if alive else 503)

    async def readyz(self, _: Request) -> Response:
        """The service can do its work."""
        checks = dict(await self._services.health.ready())
        good = all(value == "ok" for value in checks.values())
        return JSONResponse({"status": "ok" if good else "unavailable", "checks": checks}, 200 if good else 503)

    # Requests

    async def app_of(self, request: Request) -> AppId:
        """Whose REST key this is."""
        return (await self._principal(request)).app.app_id

    async def app_and_body(self, request: Request) -> tuple[AppId, bytes]:
        """The same, and what was sent."""
        return await self._body(request)

    async def _principal(self, request: Request) -> Principal:
        return await self.intake.principal(request)

    async def _read(self, request: Request) -> bytes:
        return await self.intake.body(request)

    async def _body(self, request: Request) -> tuple[AppId, bytes]:
        app_id = (await self._principal(request)).app.app_id
        return app_id, await self._read(request)

    async def _list(self, request: Request) -> tuple[AppId, bytes]:
        app_id, body = await self._body(request)
        parse(body)
        return app_id, body

    async def _object(self, request: Request) -> tuple[AppId, bytes, Fields]:
        app_id, body = await self._body(request)
        return app_id, body, _object(body)


def _object(body: bytes) -> Fields:
    if not isinstance(parse(body), dict):
        raise invalid("Request should be an object")
    return Fields(body)


def _idempotency(request: Request, body: bytes, fields: Fields | None) -> Idempotency | None:
    """The header, or else `extRef`, the caller's own name for the request (netmera.md Q24)."""
    key = request.headers.get("idempotency-key", "").strip()
    if not key and fields is not None:
        reference = fields.text("extRef", most=256)
        key = EXT_REF + reference if reference else ""
    if not key:
        return None
    if len(key) > 300:  # noqa: PLR2004 - a key, not a document
        raise invalid("Header 'Idempotency-Key' should have at most 300 characters")
    return Idempotency(key, hashlib.sha256(request.url.path.encode() + b"\n" + body).digest())
