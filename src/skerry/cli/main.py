"""The `skerry` command."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from skerry import __version__
from skerry.cli import activity_commands, app_commands, key_commands
from skerry.cli.demo import demo
from skerry.cli.dev import dev
from skerry.cli.doctor import doctor
from skerry.cli.send_test import send_test
from skerry.cli.sender import sender
from skerry.cli.serve import serve
from skerry.domain.errors import RefusedError
from skerry.settings import CONFIG_VARIABLE, WrongSettingsError
from skerry.store.errors import StoreError
from skerry.store.sealing import SealError

cli = typer.Typer(
    name="skerry",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
cli.command()(serve)
cli.command("sender", hidden=True)(sender)
cli.command()(dev)
cli.command()(demo)
cli.command()(doctor)
cli.command()(send_test)
cli.add_typer(app_commands.commands, name="app")
cli.add_typer(key_commands.commands, name="key")
cli.add_typer(activity_commands.commands, name="activity")


@cli.callback()
def configured(
    config: Annotated[
        Path | None, typer.Option(help="The configuration file, instead of skerry.toml in this directory.")
    ] = None,
) -> None:
    """Runs your Live Activities: say what an activity should show, and Skerry gets it onto every phone."""
    if config is not None:
        os.environ[CONFIG_VARIABLE] = str(config)


@cli.command()
def version() -> None:
    """Print the version."""
    print(__version__)  # noqa: T201 - what the command is for


def run() -> None:
    """Run the command; what a person can mend is said in a sentence, without a traceback."""
    try:
        cli()
    except (WrongSettingsError, StoreError, SealError, RefusedError, RuntimeError, OSError) as error:
        _fail(str(error))


def _fail(text: str) -> None:
    Console(stderr=True, soft_wrap=True).print(f"[red]skerry:[/] {escape(text)}")
    raise SystemExit(1)
