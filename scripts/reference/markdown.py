"""Markdown as all of these pages use it."""

from collections.abc import Iterable, Sequence

MADE = "<!-- Made from the code by `make reference`: change it there. -->"


def page(title: str, *parts: str) -> str:
    """A page that says how it came about; parts are paragraphs, tables or blocks."""
    return "\n\n".join([f"# {title}", MADE, *(part.strip("\n") for part in parts if part)]) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; bars within cells are escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def block(text: str, language: str) -> str:
    """A block of code."""
    return f"```{language}\n{text.strip(chr(10))}\n```"
