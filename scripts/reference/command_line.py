"""The command line, from what its commands know of themselves."""

import textwrap
from collections.abc import Iterator
from enum import Enum
from typing import Any

import typer

from reference import markdown
from skerry.cli.main import cli


def page() -> str:
    """The page."""
    root = typer.main.get_command(cli)
    introduction = "`skerry --help` and `skerry COMMAND --help` say the same in the terminal."
    return markdown.page("Command line", introduction, *_command(root, ["skerry"]))


def _command(command: Any, path: list[str]) -> Iterator[str]:
    """A command's help and parameters, then those of its commands. Typer has no public type for either."""
    if len(path) > 1:
        yield f"{'#' * len(path)} `{' '.join(path)}`"
    yield from _paragraphs(command.help or "")
    rows = [_parameter(one) for one in command.params]
    if rows:
        yield markdown.table(["parameter", "default", "meaning"], rows)
    for name, inner in getattr(command, "commands", {}).items():
        yield from _command(inner, [*path, name])


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in text.split("\n\n"):
        indented = all(line.startswith("    ") for line in paragraph.splitlines())
        yield markdown.block(textwrap.dedent(paragraph), "sh") if paragraph and indented else paragraph


def _parameter(parameter: Any) -> list[str]:
    flags = ", ".join(f"`{one}`" for one in (*parameter.opts, *parameter.secondary_opts))
    return [flags, _default(parameter), parameter.help or ""]


def _default(parameter: Any) -> str:
    default = parameter.default
    if parameter.required:
        return "required"
    if default is None or default is False:
        return "–"
    if default is True:  # a switch: it shows the side that it stands on
        return f"`{parameter.opts[0]}`"
    return f"`{default.value if isinstance(default, Enum) else default}`"
