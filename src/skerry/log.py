"""What is written to standard error: for people on a console, or JSON for machines."""

import logging
import sys

import structlog


def configure(level: str, style: str) -> None:
    """Configure logging for this process: least level written, and `console` or `json`."""
    least = logging.getLevelNamesMapping()[level.upper()]
    renderer = structlog.processors.JSONRenderer() if style == "json" else structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
