"""Settings: the page, and a file to copy that has every one of them."""

import json
import types
import typing
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from reference import markdown
from skerry.settings import Settings, described, variable

INTRODUCTION = """
Nothing has to be configured: a setting that you leave out has the default of this page, and the defaults are meant to
be run with.

Settings come from a TOML file, then from the environment, then from the flags of a command; the later one wins. The
file is `skerry.toml` in the working directory, or what `skerry --config FILE` or `SKERRY_CONFIG` names;
`deploy/skerry.toml` in the repository has every setting with its default, to copy. A key or a `SKERRY_…` variable that
is not a setting is an error: Skerry does not start with a typo.
"""


def page() -> str:
    """The page."""
    parts = []
    for section, fields in _sections():
        heading = f"## `[{section}]`" if section else "## At the top of the file"
        rows = [
            [
                f"`{path.rpartition('.')[2]}`",
                f"`{variable(path)}`",
                _type_name(field.annotation) + _bounds(field.metadata),
                "–" if field.default is None else f"`{_toml(field.default)}`",
                field.description or "",
            ]
            for path, field in fields
        ]
        head = ["setting", "variable", "type", "default", "meaning"]
        parts += [heading, _purpose(section), markdown.table(head, rows)]
    return markdown.page("Configuration", INTRODUCTION, *parts)


def example() -> str:
    """Every setting with its default, commented out, as TOML."""
    lines = [
        "# Every setting of Skerry with its default: uncomment what you change.",
        "# Made from the code by `make reference`: change it there.",
    ]
    for section, fields in _sections():
        lines += ["", f"[{section}]"] if section else [""]
        for path, field in fields:
            name = path.rpartition(".")[2]
            lines.append(f"# {field.description}")
            lines.append(f"# {name} is not set" if field.default is None else f"#{name} = {_toml(field.default)}")
    return "\n".join(lines) + "\n"


def _sections() -> Iterator[tuple[str, list[tuple[str, FieldInfo]]]]:
    for section, fields in groupby(described(), key=lambda one: one[0].rpartition(".")[0]):
        yield section, list(fields)


def _purpose(section: str) -> str:
    model = Settings.model_fields[section].annotation if section else None
    return (model.__doc__ or "") if isinstance(model, type) else ""


def _toml(value: Any) -> str:
    if isinstance(value, tuple):
        return json.dumps([str(one) for one in value])
    return json.dumps(str(value) if isinstance(value, Path) else value)


def _type_name(annotation: Any) -> str:
    origin = typing.get_origin(annotation)
    if origin is typing.Literal:
        return " or ".join(f"`{json.dumps(one)}`" for one in typing.get_args(annotation))
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type_name(one) for one in typing.get_args(annotation) if one is not type(None))
    if origin is tuple:
        return "list of networks"
    return {int: "whole number", float: "number", str: "text", bool: "true or false", Path: "path"}[annotation]


def _bounds(metadata: list[Any]) -> str:
    words = {"ge": "from", "gt": "above", "le": "to", "lt": "below"}
    found = [f"{words[name]} {getattr(one, name):g}" for one in metadata for name in words if hasattr(one, name)]
    return f", {' '.join(found)}" if found else ""
