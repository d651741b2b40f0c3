"""`skerry app`: the iOS apps that this server pushes for."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from skerry.app import open_admin
from skerry.domain.app import MANAGEMENT_PORTS, App
from skerry.domain.errors import RefusedError
from skerry.domain.push import Endpoint, Environment
from skerry.settings import load

commands = typer.Typer(help="The iOS apps that this server pushes for.", no_args_is_help=True)

Data = Annotated[Path | None, typer.Option("--data", help="Directory of the database and the key ring.")]
EndpointProduction = Annotated[str | None, typer.Option(help="Another APNs than Apple's, as host:port.")]
EndpointSandbox = Annotated[str | None, typer.Option(help="Another sandbox APNs, as host:port.")]
ManagementProduction = Annotated[str | None, typer.Option(help="Another host of channel management, as host:port.")]
ManagementSandbox = Annotated[str | None, typer.Option(help="The same for the sandbox.")]
CaBundle = Annotated[Path | None, typer.Option(help="PEM file of roots for these endpoints.", exists=True)]
HTTPS_PORTS = dict.fromkeys(Environment, 443)


@commands.command()
def add(
    name: Annotated[str, typer.Option(help="How the app is called here.")],
    bundle_id: Annotated[str, typer.Option(help="Its bundle id, such as com.example.app.")],
    team_id: Annotated[str | None, typer.Option(help="Ten characters, from Apple's developer pages.")] = None,
    key_id: Annotated[str | None, typer.Option(help="Ten characters: the id of the APNs key.")] = None,
    p8: Annotated[Path | None, typer.Option(help="The .p8 file of the APNs key.", exists=True, dir_okay=False)] = None,
    environment: Annotated[
        Environment, typer.Option(help="Apple's environment for devices that have not reported theirs.")
    ] = Environment.PRODUCTION,
    endpoint_production: EndpointProduction = None,
    endpoint_sandbox: EndpointSandbox = None,
    management_production: ManagementProduction = None,
    management_sandbox: ManagementSandbox = None,
    ca_bundle: CaBundle = None,
    data: Data = None,
) -> None:
    """Add an app.

    For example:

        skerry app add --name shop --bundle-id com.example.shop --team-id TEAM123456 --key-id KEY1234567 --p8 K.p8

    The ids stand on Apple's pages of your membership and of the key.
    """
    endpoints = _endpoints(endpoint_production, endpoint_sandbox, HTTPS_PORTS, ca_bundle)
    management = _endpoints(management_production, management_sandbox, MANAGEMENT_PORTS, ca_bundle)
    _check_roots(ca_bundle, endpoints, management)
    private_key = p8.read_bytes() if p8 is not None else None
    if private_key is not None and not (team_id and key_id):
        raise RefusedError("a .p8 file needs --team-id and --key-id: both stand on Apple's page of the key")

    async def work() -> App:
        async with open_admin(load(data_dir=data)) as admin:
            return await admin.apps.create(
                name,
                bundle_id,
                team_id=team_id,
                key_id=key_id,
                private_key=private_key,
                environment=environment,
                endpoints=endpoints,
                management_endpoints=management,
            )

    app = asyncio.run(work())
    Console(soft_wrap=True).print(
        f"App {escape(app.name)} has number {app.app_id}. Next: skerry key create --app {quote(app.name)} --kind rest",
        highlight=False,
    )


@commands.command("set")
def change(
    app: Annotated[str, typer.Argument(help="Its name or number.")],
    p8: Annotated[Path | None, typer.Option(help="A new .p8 file.", exists=True, dir_okay=False)] = None,
    team_id: Annotated[str | None, typer.Option(help="A new team id.")] = None,
    key_id: Annotated[str | None, typer.Option(help="The new key's id.")] = None,
    environment: Annotated[
        Environment | None, typer.Option(help="Where devices are tried that have not said theirs.")
    ] = None,
    strict_groups: Annotated[
        bool | None, typer.Option(help="Answer updates of unknown groups with an error instead of 200.")
    ] = None,
    endpoint_production: EndpointProduction = None,
    endpoint_sandbox: EndpointSandbox = None,
    management_production: ManagementProduction = None,
    management_sandbox: ManagementSandbox = None,
    ca_bundle: CaBundle = None,
    data: Data = None,
) -> None:
    """Change an app's APNs key, endpoints or rules; a running service follows within seconds."""
    endpoints = _endpoints(endpoint_production, endpoint_sandbox, HTTPS_PORTS, ca_bundle)
    management = _endpoints(management_production, management_sandbox, MANAGEMENT_PORTS, ca_bundle)
    _check_roots(ca_bundle, endpoints, management)

    async def work() -> App:
        async with open_admin(load(data_dir=data)) as admin:
            found = await admin.apps.named(app)
            changed = replace(
                found,
                private_key=p8.read_bytes() if p8 is not None else found.private_key,
                team_id=team_id or found.team_id,
                key_id=key_id or found.key_id,
                environment=environment or found.environment,
                strict_groups=found.strict_groups if strict_groups is None else strict_groups,
                endpoints={**found.endpoints, **endpoints},
                management_endpoints={**found.management_endpoints, **management},
            )
            await admin.apps.save(changed)
            return changed

    Console().print(f"App {escape(asyncio.run(work()).name)} is changed.")


@commands.command("user-tokens")
def user_tokens(
    app: Annotated[str, typer.Argument(help="Its name or number.")],
    required: Annotated[
        bool, typer.Option("--required/--not-required", help="Whether devices must prove the user they claim.")
    ] = True,
    data: Data = None,
) -> None:
    """Make devices prove the user they claim, with a token that your backend signs; or no longer.

    Requiring it again makes a new secret: tokens signed with the old one prove nothing any more.
    """

    async def work() -> tuple[App, str | None]:
        async with open_admin(load(data_dir=data)) as admin:
            found = await admin.apps.named(app)
            return found, await admin.apps.require_user_tokens(found, required=required)

    found, secret = asyncio.run(work())
    console = Console(soft_wrap=True)
    if secret is None:
        console.print(f"Devices of {escape(found.name)} need no user token any more.")
        return
    console.print(f"Secret of {escape(found.name)}'s user tokens: [bold]{secret}[/]")
    console.print("It is shown this once. Your backend signs JWTs with it: HS256, sub = extId, exp within 24 hours;")
    console.print("the app sends one as userToken with POST /v1/events when somebody signs in.")


@commands.command("list")
def list_apps(data: Data = None) -> None:
    """List the apps."""

    async def work() -> Sequence[App]:
        async with open_admin(load(data_dir=data)) as admin:
            return await admin.apps.list()

    apps = asyncio.run(work())
    table = Table("number", "name", "bundle id", "team", "APNs key", "environment")
    for app in apps:
        table.add_row(
            str(app.app_id),
            escape(app.name),
            escape(app.bundle_id),
            escape(app.team_id or "–"),
            escape(app.key_id or "–"),
            app.environment.value,
        )
    Console().print(table if apps else "There is no app yet: skerry app add --help says how to add one.")


@commands.command()
def show(app: Annotated[str, typer.Argument(help="Its name or number.")], data: Data = None) -> None:
    """Show one app."""

    async def work() -> App:
        async with open_admin(load(data_dir=data)) as admin:
            return await admin.apps.named(app)

    found = asyncio.run(work())
    table = Table(show_header=False)
    table.add_row("number", str(found.app_id))
    table.add_row("name", escape(found.name))
    table.add_row("bundle id", escape(found.bundle_id))
    table.add_row("topic", escape(found.topic))
    table.add_row("team, key", f"{found.team_id or '–'}, {found.key_id or '–'}")
    table.add_row("private key", "sealed at rest" if found.private_key else "missing: skerry app set --p8 FILE")
    table.add_row("user tokens", "required" if found.user_token_secret else "not required")
    table.add_row("unknown groups", "are an error" if found.strict_groups else "are answered with 200")
    table.add_row("environment", found.environment.value)
    for environment, endpoint in found.endpoints.items():
        table.add_row(f"APNs, {environment.value}", f"{endpoint}  {endpoint.ca_file or ''}")
    for environment, endpoint in found.management_endpoints.items():
        table.add_row(f"channels, {environment.value}", f"{endpoint}  {endpoint.ca_file or ''}")
    Console().print(table)


def _endpoints(
    production: str | None, sandbox: str | None, ports: Mapping[Environment, int], ca_bundle: Path | None
) -> dict[Environment, Endpoint]:
    """Those that were given; `ports` are for who leaves the port out."""
    given = ((Environment.PRODUCTION, production), (Environment.SANDBOX, sandbox))
    return {kind: _endpoint(text, ports[kind], ca_bundle) for kind, text in given if text is not None}


def _check_roots(ca_bundle: Path | None, *given: Mapping[Environment, Endpoint]) -> None:
    if ca_bundle is not None and not any(given):
        raise RefusedError("--ca-bundle belongs to an endpoint: say which, as --endpoint-sandbox host:port")


def _endpoint(text: str, usual_port: int, ca_bundle: Path | None) -> Endpoint:
    host, _, port = text.rpartition(":") if ":" in text else (text, "", str(usual_port))
    if not host or not port.isdigit() or not 0 < int(port) < 65_536:  # noqa: PLR2004 - ports
        raise RefusedError(f"{text!r} is not an endpoint: write it as host:port")
    return Endpoint(host, int(port), str(ca_bundle.resolve()) if ca_bundle is not None else None)
