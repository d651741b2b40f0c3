"""`skerry send-test`: pushes to a few tokens, or to a file of them, and what APNs says of each."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from skerry.apns import ApnsClient
from skerry.apns.advice import advice
from skerry.app import open_admin, pool_settings
from skerry.cli.activity_commands import app_of
from skerry.delivery.directory import Directory
from skerry.domain import payload
from skerry.domain.device import normal_token
from skerry.domain.errors import RefusedError
from skerry.domain.ids import ActivityId, Millis, RevisionNumber, Seconds
from skerry.domain.push import Environment, Outcome, Outcomes, PushBatch, Route
from skerry.domain.revision import Revision, RevisionKind
from skerry.settings import Settings, load

ASKS_ABOVE = 100
"""Tokens for which nobody need be asked again."""
BATCH = 500
BATCHES_AT_ONCE = 20
_LEAST_TIME = 1e-3
_SAID = {
    Outcome.REJECTED: "refused by APNs",
    Outcome.NOT_PROCESSED: "never taken",
    Outcome.UNKNOWN: "sent, no answer",
}


class Event(StrEnum):
    """Apple's `event` values."""

    START = "start"
    UPDATE = "update"
    END = "end"


@dataclass(slots=True)
class Tally:
    """What became of the pushes so far."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    words: Counter[tuple[Outcome, str]] = field(default_factory=Counter)
    """Reasons of Apple's and causes of ours, of pushes that were not accepted."""

    @property
    def sent(self) -> int:
        """Pushes that have their outcome."""
        return self.outcomes.total()

    def take(self, outcomes: Outcomes) -> None:
        """Add a batch."""
        for place, code in enumerate(outcomes.codes):
            outcome = Outcome(code)
            self.outcomes[outcome] += 1
            if outcome is not Outcome.ACCEPTED:
                rejected = outcomes.rejections.get(place)
                word = rejected.reason if rejected is not None else outcomes.causes.get(place, "no cause")
                self.words[outcome, word] += 1


def send_test(
    tokens: Annotated[str, typer.Argument(help="A token, or a file with one token a line.")],
    app: Annotated[
        str | None, typer.Option("--app", help="The app's name or number; needed where there are several.")
    ] = None,
    event: Annotated[Event, typer.Option(help="What the push does.")] = Event.UPDATE,
    state: Annotated[str | None, typer.Option(help="The content state, a JSON object.")] = None,
    attributes: Annotated[str | None, typer.Option(help="Of a start: its attributes, a JSON object.")] = None,
    attributes_type: Annotated[str | None, typer.Option(help="Of a start: the Swift name of their type.")] = None,
    alert_title: Annotated[str | None, typer.Option(help="Title of an alert; a start needs one.")] = None,
    alert_body: Annotated[str | None, typer.Option(help="Its text.")] = None,
    input_push_token: Annotated[
        bool, typer.Option("--input-push-token", help="Of a start: ask for an update token (iOS 18 and later).")
    ] = False,
    stale_date: Annotated[int | None, typer.Option(help="When the card becomes stale, in UNIX seconds.", min=0)] = None,
    dismissal_date: Annotated[
        int | None, typer.Option(help="Of an end: when the card goes away, in UNIX seconds.", min=0)
    ] = None,
    environment: Annotated[Environment | None, typer.Option(help="Apple's world; else the app's own.")] = None,
    priority: Annotated[int, typer.Option(help="10 at once, 5 when it suits the phone.", min=1, max=10)] = 10,
    expiration: Annotated[
        int | None, typer.Option(help="UNIX seconds until which APNs keeps trying; 0: it tries once.", min=0)
    ] = None,
    deadline: Annotated[float, typer.Option(help="Seconds that a push may take.", min=0.1)] = 30.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the request, and send nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help=f"Do not ask before more than {ASKS_ABOVE} pushes.")] = False,
    data: Annotated[Path | None, typer.Option("--data", help="Directory of the database and the key ring.")] = None,
) -> None:
    """Push to one token or a file of tokens, and say what APNs makes of it; exit with 1 unless it accepts all.

    It goes past activities and outbox, straight to APNs, with the app's key; a service may be running.

        skerry send-test 80f1…  --event update --state '{"homeScore": 1}' --dry-run
    """
    settings = load(data_dir=data)
    found = read_tokens(tokens)
    body = _body(
        Revision(
            ActivityId(0),
            RevisionNumber(1),
            RevisionKind[event.name],
            Seconds(int(time.time())),
            Millis(time.time_ns() // 1_000_000),
            state=_object("--state", state),
            attributes=_object("--attributes", attributes),
            attributes_type=attributes_type,
            alert=_alert(alert_title, alert_body),
            stale_date=None if stale_date is None else Seconds(stale_date),
            dismissal_date=None if dismissal_date is None else Seconds(dismissal_date),
        ),
        input_push_token=input_push_token,
    )
    route, batch = asyncio.run(_target(settings, app, environment, body, priority, expiration, deadline))
    console = Console()
    if dry_run:
        console.print(*_request(route, batch, found), sep="\n", soft_wrap=True, highlight=False, markup=False)
        return
    if len(found) > ASKS_ABOVE and not yes:
        typer.confirm(f"Push to {len(found):,} tokens of {batch.topic} at {route.endpoint}?", abort=True)
    tally, seconds = asyncio.run(_send(settings, route, batch, found))
    _report(console, tally, seconds)
    if tally.outcomes[Outcome.ACCEPTED] < len(found):
        raise typer.Exit(1)


def read_tokens(named: str) -> list[str]:
    """The tokens of a file, or the one that was given; each once, in their order.

    Raises:
        RefusedError: if there is none, or one cannot be a token; says which line.
    """
    path = Path(named)
    lines = path.read_text().splitlines() if len(named) < BATCH and path.is_file() else [named]
    tokens: dict[str, None] = {}
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        token = normal_token(text)
        if token is None:
            where = f"line {number} of {named}" if path.is_file() else f"{text!r}, which is no file either,"
            raise RefusedError(f"{where} should be a token of 16 to 512 hexadecimal digits")
        tokens[token] = None
    if not tokens:
        raise RefusedError(f"{named} has no tokens: write one a line")
    return list(tokens)


def _object(option: str, text: str | None) -> bytes | None:
    """The JSON object as it was written: it reaches the phone byte for byte."""
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise RefusedError(f"{option} should be JSON: {error}") from error
    if not isinstance(value, dict):
        raise RefusedError(f'{option} should be a JSON object, such as {{"score": 1}}')
    return text.strip().encode()


def _alert(title: str | None, body: str | None) -> bytes | None:
    if title is None and body is None:
        return None
    return payload.alert_of(title or "", body or "")


def _body(revision: Revision, *, input_push_token: bool) -> bytes:
    """The body; refused where APNs would say 200 and the phone would show nothing."""
    starting = revision.kind is RevisionKind.START
    if starting and revision.attributes_type is None:
        raise RefusedError("--event start needs --attributes-type, the Swift name of the attributes' type")
    if starting and revision.alert is None:
        raise RefusedError("--event start needs --alert-title: without an alert iOS starts nothing")
    if not starting and (revision.attributes is not None or revision.attributes_type is not None or input_push_token):
        raise RefusedError("--attributes, --attributes-type and --input-push-token are for --event start only")
    if revision.kind is not RevisionKind.END and revision.state is None:
        raise RefusedError(f"--event {revision.kind.event} needs --state, a JSON object with all of ContentState")
    if revision.kind is not RevisionKind.END and revision.dismissal_date is not None:
        raise RefusedError("--dismissal-date is for --event end only")
    body = payload.body(revision, revision.timestamp, input_push_token=input_push_token)
    if len(body) > payload.MAX_BODY:
        raise RefusedError(f"the body has {len(body):,} bytes, and APNs takes {payload.MAX_BODY:,}: shorten it")
    return body


async def _target(
    settings: Settings,
    name: str | None,
    environment: Environment | None,
    body: bytes,
    priority: int,
    expiration: int | None,
    deadline: float,
) -> tuple[Route, PushBatch]:
    """Where it goes, and what all its pushes share."""
    async with open_admin(settings) as admin:
        app = await app_of(admin, name)
        target = await Directory(admin.apps.app).target(app.app_id, environment or app.environment)
    if target is None:
        raise RefusedError(
            f"app {app.name} has no APNs key: skerry app set {app.name} --p8 FILE --team-id … --key-id …"
        )
    batch = PushBatch(target.topic, body, (), priority=priority, expiration=expiration, deadline=deadline)
    return target.route, batch


def _request(route: Route, batch: PushBatch, tokens: Sequence[str]) -> Iterator[str]:
    """The request as it would go out; the provider token is signed when it does."""
    credential, endpoint = route.credential, route.endpoint
    yield f":method: POST\n:scheme: https\n:authority: {endpoint}"
    yield f":path: /3/device/{tokens[0]}"
    yield f"authorization: bearer (a token of team {credential.team_id}, signed with key {credential.key_id})"
    yield f"apns-topic: {batch.topic}\napns-push-type: {batch.push_type}\napns-priority: {batch.priority}"
    if batch.expiration is not None:
        yield f"apns-expiration: {batch.expiration}"
    yield f"\n{batch.body.decode()}\n"
    more = len(tokens) - 1
    yield f"{len(batch.body):,} bytes of body" + (f"; the same to {more:,} more tokens" if more else "")


async def _send(settings: Settings, route: Route, shared: PushBatch, tokens: Sequence[str]) -> tuple[Tally, float]:
    """Send all, with a bar where there is a terminal; what became of them, and the seconds that it took."""
    tally, room = Tally(), asyncio.Semaphore(BATCHES_AT_ONCE)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    began = time.perf_counter()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        shown = progress.add_task("", total=len(tokens))

        async def send(some: Sequence[str]) -> None:
            async with room:
                tally.take(await client.send(route, replace(shared, tokens=some)))
            rate = tally.sent / max(time.perf_counter() - began, _LEAST_TIME)
            progress.update(shown, completed=tally.sent, description=f"{rate:,.0f} a second")

        async with ApnsClient(pool_settings(settings)) as client:
            # The smaller the batch, the sooner the bar moves; a bigger one is no faster.
            size = min(BATCH, max(1, len(tokens) // BATCHES_AT_ONCE))
            await asyncio.gather(*(send(tokens[low : low + size]) for low in range(0, len(tokens), size)))
    return tally, time.perf_counter() - began


def _report(console: Console, tally: Tally, seconds: float) -> None:
    accepted = tally.outcomes[Outcome.ACCEPTED]
    console.print(
        f"{accepted:,} of {tally.sent:,} accepted, in {seconds:,.1f} s: "
        f"{tally.sent / max(seconds, _LEAST_TIME):,.0f} a second, connecting included."
    )
    if not tally.words:
        console.print("APNs has taken them; what the phone shows, only the phone knows.")
        return
    table = Table("pushes", "what became of them", "says", "which means", "what to do")
    for (outcome, word), count in tally.words.most_common():
        about = advice(word)
        table.add_row(f"{count:,}", _SAID[outcome], escape(word), about.means, about.mend)
    console.print(table)
