"""Structured logs, one JSON object a line on stderr; never a token, a body or a password."""

import logging
import sys

import structlog


def configure(level: str = "info") -> None:
    """Set up logging for one process; safe to call again with another level."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )


def get(part: str) -> structlog.typing.FilteringBoundLogger:
    """The logger of one part of the system."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(part=part)
    return logger
