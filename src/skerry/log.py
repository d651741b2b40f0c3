"""What is written to standard error: for people on a console, or JSON for machines. Secrets are cut short."""

import logging
import re
import sys
from typing import Any, Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_SECRETS = re.compile(
    r"(?P<token>\b[0-9a-fA-F]{8})[0-9a-fA-F]{24,}\b"  # a token as APNs gives it to apps
    r"|(?P<jwt>\beyJ[\w-]{5})[\w-]*\.[\w-]+\.[\w-]+"  # a provider token
    r"|(?P<key>\bsk_(?:rest|sdk)_[\w-]{4})[\w-]+"  # an API key
    r"|(?P<pem>-----BEGIN [A-Z ]*PRIVATE KEY-----)[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?"
)


def configure(level: str, style: Literal["console", "json"]) -> None:
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
