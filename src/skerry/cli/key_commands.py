"""`skerry key`: the API keys that backends and apps call with."""

import asyncio
import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from skerry.app import open_admin
from skerry.domain.app import ApiKey, KeyKind, Network
from skerry.domain.errors import RefusedError
from skerry.settings import load

commands = typer.Typer(help="The API keys that backends and apps call with.", no_args_is_help=True)

Data = Annotated[Path | None, typer.Option("--data", help="Directory of the database and the key ring.")]


@commands.command()
def create(
    app: Annotated[str, typer.Option(help="The app's name or number.")],
    kind: Annotated[KeyKind, typer.Option(help="rest: for your backend. sdk: may sit in the app.")],
    label: Annotated[str, typer.Option(help="Whom it is for, to tell keys apart.")] = "",
    allow: Annotated[
        list[str] | None,
        typer.Option(help="Network it may be used from, as 10.0.0.0/8; may be repeated. None: from anywhere."),
    ] = None,
    data: Data = None,
) -> None:
    """Create an API key; it is shown once and kept only as a hash."""
    networks = [_network(text) for text in allow or []]

    async def work() -> tuple[ApiKey, str]:
        async with open_admin(load(data_dir=data)) as admin:
            found = await admin.apps.named(app)
            return await admin.apps.create_key(found.app_id, kind, label, networks)

    key, text = asyncio.run(work())
    console = Console(soft_wrap=True)
    console.print(f"Key {key.key_id} ({kind.value}): [bold]{text}[/]")
    console.print("It is shown this once. Send it as X-netmera-api-key.")


@commands.command("list")
def list_keys(
    app: Annotated[str | None, typer.Option(help="Only this app's.")] = None, data: Data = None
) -> None:  # fmt: skip
    """List the keys; their texts are nowhere kept."""

    async def work() -> Sequence[ApiKey]:
        async with open_admin(load(data_dir=data)) as admin:
            found = None if app is None else await admin.apps.named(app)
            return await admin.apps.keys(None if found is None else found.app_id)

    table = Table("key", "app", "kind", "begins with", "label", "allowed from", "created", "state")
    for key in asyncio.run(work()):
        created = datetime.fromtimestamp(key.created_at / 1000, UTC).strftime("%Y-%m-%d")
        allowed = ", ".join(map(str, key.networks)) or "anywhere"
        state = "revoked" if key.revoked_at else "in use"
        table.add_row(
            str(key.key_id), str(key.app_id), key.kind.value, key.prefix, escape(key.label), allowed, created, state
        )
    Console().print(table)


@commands.command()
def revoke(
    key: Annotated[int, typer.Argument(help="The key's number, from skerry key list.")], data: Data = None
) -> None:
    """Close a key; a running service follows within five seconds."""

    async def work() -> bool:
        async with open_admin(load(data_dir=data)) as admin:
            return await admin.apps.revoke_key(key)

    if not asyncio.run(work()):
        raise RefusedError(f"there is no open key {key}: skerry key list shows all keys")
    Console().print(f"Key {key} is revoked.")


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise RefusedError(f"{text!r} is not a network: write it as 10.0.0.0/8 or 192.0.2.7") from error
