"""`skerry activity`: what became of activities, revision by revision and phone by phone."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from skerry.app import Admin, open_admin
from skerry.domain.app import App
from skerry.domain.card import CardStatus
from skerry.domain.errors import RefusedError
from skerry.domain.event import EventId, EventKind
from skerry.domain.ids import CardNumber
from skerry.domain.receipt import ActivityReceipt, CardReceipt, RevisionReceipt, Slice
from skerry.domain.schedule import Action, ScheduledChange
from skerry.domain.script import Script
from skerry.domain.timeline import OnPhone, Phone, Timeline
from skerry.domain.verdict import Verdict
from skerry.settings import load

Named = TypeVar("Named", bound=IntEnum)

commands = typer.Typer(help="What became of activities, phone by phone.", no_args_is_help=True)

Data = Annotated[Path | None, typer.Option("--data", help="Directory of the database and the key ring.")]
OfApp = Annotated[str | None, typer.Option("--app", help="The app's name or number; needed where there are several.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


@dataclass(frozen=True, slots=True)
class Coming:
    """What an activity is to be later."""

    script: Script | None
    changes: list[ScheduledChange]


MEANINGS = {
    Verdict.PENDING: "on its way",
    Verdict.IN_FLIGHT: "on its way",
    Verdict.RETRY: "will be tried again",
    Verdict.ACCEPTED: "accepted by APNs",
    Verdict.REJECTED: "refused by APNs",
    Verdict.NOT_PROCESSED: "given up: APNs never took it",
    Verdict.UNKNOWN: "sent, no answer",
    Verdict.HELD: "waits for the phone's token",
    Verdict.SUPERSEDED: "overtaken by a newer state",
    Verdict.OVER: "the card was over before its turn",
    Verdict.ON_CHANNEL: "carried by the broadcast channel",
    Verdict.DEFERRED: "will be tried again",
    Verdict.NO_CARD: "no card",
}
"""What a verdict says to people."""


@commands.command("list")
def list_activities(
    app: OfApp = None,
    ended: Annotated[bool, typer.Option("--ended", help="Show ended ones too.")] = False,
    limit: Annotated[int, typer.Option(help="How many, the newest first.", min=1, max=1000)] = 50,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """List activities, the newest first, with their cards counted."""

    async def work() -> Slice[ActivityReceipt]:
        async with open_admin(load(data_dir=data)) as admin:
            return await admin.receipts.activities((await app_of(admin, app)).app_id, ended=ended, maximum=limit)

    found = asyncio.run(work())
    if as_json:
        _print_json([_activity(one) for one in found.items])
        return
    console = Console()
    if not found.items:
        console.print("No activity is running." if not ended else "There is no activity yet.")
        return
    table = Table("activity", "group id", "type", "state", "started", "cards")
    for one in found.items:
        state = one.activity.phase.name.lower()
        table.add_row(
            f"#{one.activity.activity_id}",
            escape(", ".join(one.names)) or "–",
            escape(one.activity.attributes_type or "–"),
            state,
            _moment(one.activity.created_at),
            _counts(one.cards),
        )
    console.print(table)
    if found.more:
        console.print(f"There are more than {limit}: --limit shows more.")


@commands.command()
def show(
    activity: Annotated[str, typer.Argument(help="Its group id, or its number from the list, as '#12'.")],
    app: OfApp = None,
    revisions: Annotated[int, typer.Option(help="How many of its newest revisions.", min=0, max=1000)] = 10,
    cards: Annotated[int, typer.Option(help="How many of its cards.", min=0, max=10_000)] = 20,
    after: Annotated[int, typer.Option(help="Only cards numbered above this, to page on.", min=0)] = 0,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Show one activity: what became of its revisions, and for each phone whether it is there and if not, why."""

    async def work() -> tuple[ActivityReceipt, Coming, list[RevisionReceipt], Slice[CardReceipt]]:
        async with open_admin(load(data_dir=data)) as admin:
            found = await _existing(admin, await app_of(admin, app), activity)
            return (
                found,
                Coming(await admin.receipts.script(found.activity), await admin.receipts.waiting(found)),
                await admin.receipts.revisions(found.activity, revisions),
                await admin.receipts.cards(found.activity, after=CardNumber(after), maximum=cards),
            )

    found, coming, newest, shown = asyncio.run(work())
    if as_json:
        _print_json(
            _activity(found)
            | _coming(coming)
            | {"revisions": [_revision(one) for one in newest], "cards": [_card(one) for one in shown.items]}
        )
        return
    console = Console()
    console.print(_head(found, coming.script))
    if coming.changes:
        console.print(_change_table(coming.changes))
    if newest:
        console.print(_revision_table(newest))
    if shown.items:
        console.print(_card_table(shown.items))
    if shown.more:
        console.print(f"More cards follow: --after {shown.items[-1].number if shown.items else after}")


@commands.command()
def timeline(
    activity: Annotated[str, typer.Argument(help="Its group id, or its number from the list, as '#12'.")],
    app: OfApp = None,
    installation: Annotated[
        str | None, typer.Option(help="Only what happened to this installation, and to the activity as a whole.")
    ] = None,
    kinds: Annotated[str | None, typer.Option(help="Kinds of events, separated by commas, as 'card.*'.")] = None,
    after: Annotated[int, typer.Option(help="Only events numbered above this, to page on.", min=0)] = 0,
    limit: Annotated[int, typer.Option(help="How many, the oldest first.", min=1, max=1000)] = 100,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Show what happened to an activity, in order; and for one phone whether it is there and if not, why."""
    wanted = kinds_named(kinds)

    async def work() -> Timeline:
        async with open_admin(load(data_dir=data)) as admin:
            owner = await app_of(admin, app)
            found = (await _existing(admin, owner, activity)).activity
            shown = await admin.receipts.timeline(
                found, after=EventId(after), maximum=limit, kinds=wanted, installation_id=installation
            )
            if shown is None:
                raise RefusedError(f"app {owner.name} has no installation {installation!r}")
            return shown

    found = asyncio.run(work())
    if as_json:
        _print_json(_timeline(found))
        return
    console = Console()
    if found.phone is not None:
        console.print(escape(_whereabouts(found.phone)))
    table = Table("event", "at", "what", "card", "installation", "more")
    for one in found.entries:
        event = one.event
        more = [f"{name} {_said(value)}" for name, value in event.body.items()]
        if one.on_phone is not None:
            more.append(f"here: {_here(one.on_phone)}")
        table.add_row(
            str(event.event_id),
            _moment(event.at),
            event.kind.value,
            "–" if event.card is None else str(event.card),
            escape(event.installation_id or "–"),
            escape(", ".join(more)) or "–",
        )
    console.print(table)
    if found.following is not None:
        console.print(f"More events follow: --after {found.following}")


async def app_of(admin: Admin, name: str | None) -> App:
    """The app that was named, or the only one there is."""
    if name is not None:
        return await admin.apps.named(name)
    apps = await admin.apps.list()
    if not apps:
        raise RefusedError("there is no app yet: skerry app add --help says how to add one")
    if len(apps) > 1:
        raise RefusedError(f"say which app: --app {' or --app '.join(app.name for app in apps[:5])}")
    return apps[0]


def kinds_named(text: str | None) -> list[EventKind]:
    """Kinds, separated by commas; `card.*` stands for all that begin so.

    Raises:
        RefusedError: if one is none.
    """
    found: list[EventKind] = []
    for name in (text or "").split(",") if text else ():
        matching = [one for one in EventKind if fnmatchcase(one.value, name.strip())]
        if not matching:
            raise RefusedError(f"--kinds has {name!r}, which is not a kind of event: the page Events lists them")
        found += matching
    return found


async def _existing(admin: Admin, owner: App, activity: str) -> ActivityReceipt:
    found = await admin.receipts.activity(owner.app_id, activity)
    if found is None:
        raise RefusedError(f"app {owner.name} has no activity {activity!r}: skerry activity list --ended shows them")
    return found


def _whereabouts(phone: Phone) -> str:
    card = phone.card
    if card is None:
        return f"{phone.installation_id} has no card: {phone.reason}"
    said = "nothing is due" if card.verdict is None else MEANINGS[card.verdict]
    reason = f" ({card.reason})" if card.reason else ""
    return f"{phone.installation_id}: card {card.number} is {card.status.name.lower()}, {said}{reason}"


def _here(found: OnPhone) -> str:
    if found.verdict is None:
        return found.reason or "not for it"
    return MEANINGS[found.verdict] + (f" ({found.reason})" if found.reason else "")


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{count} × {name}" for name, count in value.items())
    return str(value)


def _timeline(found: Timeline) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "events": [
            one.event.described() | ({} if one.on_phone is None else {"onPhone": _on_phone(one.on_phone)})
            for one in found.entries
        ],
        "nextAfter": found.following,
    }
    if found.phone is not None:
        card = None if found.phone.card is None else _card(found.phone.card)
        shown["phone"] = {"installationId": found.phone.installation_id, "card": card, "reason": found.phone.reason}
    return shown


def _on_phone(found: OnPhone) -> dict[str, Any]:
    verdict = None if found.verdict is None else found.verdict.name.lower()
    return {"card": found.card, "verdict": verdict, "reason": found.reason}


def _head(found: ActivityReceipt, script: Script | None) -> Table:
    activity = found.activity
    table = Table(show_header=False)
    table.add_row("activity", f"#{activity.activity_id}")
    table.add_row("group id", escape(", ".join(found.names)) or "– (none reported yet)")
    table.add_row("type", escape(activity.attributes_type or "–"))
    table.add_row("state", activity.phase.name.lower())
    table.add_row("started", _moment(activity.created_at))
    if activity.ended_at is not None:
        table.add_row("ended", _moment(activity.ended_at))
    elif activity.ends_at is not None:
        table.add_row("will end", _moment(activity.ends_at * 1000))
    if script is not None:
        table.add_row("phase", _phase(script))
    table.add_row("cards", _counts(found.cards))
    if activity.state is not None:
        table.add_row("newest content state", escape(activity.state.decode()))
    return table


def _phase(script: Script) -> str:
    said = f"{script.place} of {len(script.phases)}"
    if script.place == len(script.phases):
        return said
    return f"{said}, the next one {_moment(script.times[script.place])}"


def _change_table(changes: list[ScheduledChange]) -> Table:
    table = Table("change", "at", "does", "made", title="Scheduled, the next one first")
    for one in changes:
        does = "ends it" if one.action is Action.END else "starts or updates it"
        table.add_row(str(one.schedule_id), _moment(one.at), does, _moment(one.made_at))
    return table


def _revision_table(revisions: list[RevisionReceipt]) -> Table:
    table = Table("revision", "kind", "at", "priority", "what became of it", title="Revisions, the newest first")
    for one in revisions:
        lines = [f"{count:,} {MEANINGS[verdict]}" for verdict, count in one.verdicts.items()]
        lines += [f"  {count:,} × {escape(reason)}" for reason, count in one.refusals.items()]
        lines += [f"{count:,} not started: {escape(reason)}" for reason, count in one.misses.items()]
        lines += ["its audience is still being gone through"] if one.unplanned else []
        table.add_row(
            str(one.number),
            one.kind.event,
            _moment(one.created_at),
            str(one.priority),
            "\n".join(lines) or "no card was there",
        )
    return table


def _card_table(cards: tuple[CardReceipt, ...]) -> Table:
    table = Table("card", "user", "installation", "state", "must show", "and", title="Cards")
    for one in cards:
        said = "–" if one.verdict is None else MEANINGS[one.verdict]
        reason = f" ({escape(one.reason)})" if one.reason else ""
        table.add_row(
            str(one.number),
            escape(one.ext_id or "–"),
            escape(one.installation_id or "erased"),
            one.status.name.lower(),
            f"revision {one.target}" if one.target else "as started",
            said + reason,
        )
    return table


def _activity(found: ActivityReceipt) -> dict[str, Any]:
    activity = found.activity
    return {
        "activity": activity.activity_id,
        "groupIds": list(found.names),
        "attributesType": activity.attributes_type,
        "phase": activity.phase.name.lower(),
        "createdAt": activity.created_at,
        "endedAt": activity.ended_at,
        "contentState": None if activity.state is None else json.loads(activity.state),
        "cards": _named(found.cards),
    }


def _coming(coming: Coming) -> dict[str, Any]:
    script = coming.script
    following = script.times[script.place : script.place + 1] if script is not None else ()
    return {
        "script": script and {"phase": script.place, "of": len(script.phases), "nextAt": next(iter(following), None)},
        "scheduled": [
            {"id": one.schedule_id, "at": one.at, "action": one.action.name.lower()} for one in coming.changes
        ],
    }


def _revision(one: RevisionReceipt) -> dict[str, Any]:
    return {
        "number": one.number,
        "kind": one.kind.event,
        "timestamp": one.timestamp,
        "createdAt": one.created_at,
        "priority": one.priority,
        "verdicts": _named(one.verdicts),
        "refusals": dict(one.refusals),
        "misses": dict(one.misses),
        "planning": one.unplanned,
    }


def _card(one: CardReceipt) -> dict[str, Any]:
    return {
        "number": one.number,
        "extId": one.ext_id,
        "installationId": one.installation_id,
        "status": one.status.name.lower(),
        "target": one.target,
        "verdict": None if one.verdict is None else one.verdict.name.lower(),
        "reason": one.reason,
    }


def _named(counts: Mapping[Named, int]) -> dict[str, int]:
    return {key.name.lower(): count for key, count in counts.items()}


def _counts(cards: Mapping[CardStatus, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in _named(cards).items()) or "none"


def _moment(millis: int) -> str:
    return datetime.fromtimestamp(millis / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))  # noqa: T201 - what was asked for
