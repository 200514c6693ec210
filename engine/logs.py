"""Structured logs: one JSON object a line on stderr, lines of libraries included.

A line says `ts`, `level`, `part`, `event` (what happened, a name) and what belongs to it; within a
request also its `request_id` and the ids in its path. Never a token, a body or a password: no
caller passes one, libraries are heard from `warning` on (their debug lines have headers and
bodies), and `_masked` is the belt behind that. `engine.verbosity` changes the level while it runs.
"""

import logging
import re
import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from types import TracebackType
from typing import TextIO

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

LEVELS = ("debug", "info", "warning", "error")
MASK = "[masked]"

debugging = False
"""Whether `debug` lines are written: asked before a line is made on the way of a hold."""

within: ContextVar[Callable[[], Mapping[str, str]] | None] = ContextVar("within", default=None)
"""The ids a line made here belongs to. A call, so that they are only put together for a line."""

_SECRET_NAME = re.compile(
    r"(?i)(.*_)?(authorization|cookie|password|secret|token|body|idempotency[_-]key)"
)
_SECRET_TEXT = re.compile(
    r"(?i)(?<=bearer )[^\s'\"]+"  # a header that was said in an error
    r"|eyJ[\w-]{8,}\.[\w-]+(\.[\w-]*)?"  # a JWT
    r"|(?<=://)[^/\s@'\"]*:[^/\s@'\"]*(?=@)"  # user and password of a URL
)


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes where stderr is now, not where it was when it was made."""

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, _: TextIO) -> None: ...


def configure(level: str = "info") -> None:
    """Set up logging for one process; safe to call again with another level."""
    global debugging
    debugging = level == "debug"
    structlog.configure(
        processors=[*_ENRICH, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    if _LIBRARIES not in root.handlers:
        root.addHandler(_LIBRARIES)
        logging.captureWarnings(True)
    root.setLevel(max(logging.WARNING, getattr(logging, level.upper())))
    logging.getLogger("uvicorn.error").setLevel(logging.INFO if debugging else root.level)


def get(part: str) -> FilteringBoundLogger:
    """The logger of one part of the system."""
    logger: FilteringBoundLogger = structlog.get_logger(part=part)
    return logger


def say_crashes(part: str) -> None:
    """Let an exception that ends this process be a line like any other."""

    def say(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
        else:
            get(part).critical("crashed", error=repr(error), exc_info=error)

    sys.excepthook = say


def _with_ids(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    """The request, the event and the booking this line is about, if it does not say others."""
    if told := within.get():
        for name, text in told().items():
            line.setdefault(name, text)
    booking = line.get("booking_id")
    if isinstance(booking, str) and ":" in booking:
        line.setdefault("event_id", booking.partition(":")[0])
    return line


def _named_for_logger(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    """A library's logger is its part."""
    line["part"] = line["_record"].name
    line["event"] = str(line["event"]).strip()
    return line


def _masked(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    for name, value in line.items():
        if _SECRET_NAME.fullmatch(name):
            line[name] = MASK
        elif isinstance(value, str):
            line[name] = _SECRET_TEXT.sub(MASK, value)
    return line


_ENRICH: list[Processor] = [
    _with_ids,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
    structlog.processors.format_exc_info,
    _masked,
]
_LIBRARIES = _Stderr()
_LIBRARIES.setFormatter(
    structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[_named_for_logger, *_ENRICH],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(),
        ],
    )
)
