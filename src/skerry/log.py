"""What is written to standard error: for people on a console, or JSON for machines. Secrets are cut short."""

import json
import logging
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_SECRETS = re.compile(
    r"(?P<token>\b[0-9a-fA-F]{8})[0-9a-fA-F]{24,}\b"  # a token as APNs gives it to apps
    r"|(?P<jwt>\beyJ[\w-]{5})[\w-]*\.[\w-]+\.[\w-]+"  # a provider token
    r"|(?P<key>\bsk_(?:rest|sdk)_[\w-]{4})[\w-]+"  # an API key
    r"|(?P<pem>-----BEGIN [A-Z ]*PRIVATE KEY-----)[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?"
)


Style = Literal["console", "json"]
_UNPLAIN = re.compile(r"""[ \t=\r\n"']""")
"""What the console's style puts a text in quotes for."""


def configure(level: str, style: Style) -> None:
    """Configure logging for this process, that of libraries included: the least level written, and the style."""
    least = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        cut_secrets,
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer() if style == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(least, logging.INFO), force=True)
    Lines.least, Lines.style, Lines.out = least, style, structlog.WriteLogger(sys.stderr).msg


class Lines:
    """Lines of one event at level info, as `structlog.get_logger().info(event, …)` writes them.

    For what is written thousands of times a second: 8 µs a line, while structlog's processors take 40.
    """

    least = logging.INFO
    style: Style = "console"
    out: Callable[[str], None] | None = None
    """What `configure` chose; before it has been called, structlog's own defaults hold."""

    def __init__(self, event: str) -> None:
        self._event = event

    def write(self, **fields: str | float | None) -> None:
        """Write a line."""
        if Lines.out is None:
            structlog.get_logger().info(self._event, **fields)
        elif Lines.least <= logging.INFO:
            for name, value in fields.items():
                if isinstance(value, str):
                    fields[name] = _cut(value)
            moment = f"{datetime.now(UTC).isoformat()[:-6]}Z"
            if Lines.style == "json":
                Lines.out(json.dumps(fields | {"event": self._event, "level": "info", "timestamp": moment}))
            else:
                shown = " ".join([f"{name}={_shown(fields[name])}" for name in sorted(fields)])
                Lines.out(f"{moment} [info     ] {self._event:<30} {shown}".rstrip(" "))


def _shown(value: str | float | None) -> str:
    return value if isinstance(value, str) and not _UNPLAIN.search(value) else repr(value)


def cut_secrets(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Tokens appear as their first 8 characters, keys as what they begin with (architecture, invariant 11)."""
    del logger, method
    return {name: _cut(value) for name, value in event.items()}


def _cut(value: Any) -> Any:
    if isinstance(value, str):
        return _SECRETS.sub(lambda found: f"{found[found.lastgroup or 0]}…", value)
    if isinstance(value, bytes):
        return _cut(value.decode("utf-8", "replace"))
    if isinstance(value, dict):
        return {_cut(name): _cut(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_cut(inner) for inner in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return _cut(str(value)) if _SECRETS.search(str(value)) else value
