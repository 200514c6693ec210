"""Structured logs: one JSON object a line on stderr, lines of libraries included.

LOG_FORMAT=plain, the default of `engine up`, writes the same lines as text.

A line has `ts`, `level`, `part`, `event` (the name of what happened) and the fields of that event;
within a request also its `request_id` and the ids in its path, within a span `trace_id` and
`span_id`. It never has a token, a body or a password: no caller passes one, libraries log from
`warning` on (their debug lines have headers and bodies), and `_masked` catches the rest.
`engine/log_level.py` changes the level at runtime.
"""

import logging
import os
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
"""Whether `debug` lines are written: checked before a line is made on the hot path of a hold."""

within: ContextVar[Callable[[], Mapping[str, str]] | None] = ContextVar("within", default=None)
"""Returns the ids of the current request. A callable, so the ids are built only for a line."""

trace_ids: Callable[[], Mapping[str, str]] | None = None
"""Returns `trace_id` and `span_id` of the active span, empty if there is none. Traces set it."""

_SECRET_NAME = re.compile(
    r"(?i)(.*_)?(authorization|cookie|password|secret|token|body|idempotency[_-]key)"
)
_SECRET_TEXT = re.compile(
    r"(?i)(?<=bearer )[^\s'\"]+"  # a header quoted in an error
    r"|eyJ[\w-]{8,}\.[\w-]+(\.[\w-]*)?"  # a JWT
    r"|(?<=://)[^/\s@'\"]*:[^/\s@'\"]*(?=@)"  # user and password of a URL
)


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to the current `sys.stderr`, not to the one at its creation."""

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, _: TextIO) -> None: ...


def configure(level: str = "info") -> None:
    """Set up logging for one process; safe to call again with another level."""
    global debugging
    debugging = level == "debug"
    plain = os.environ.get("LOG_FORMAT", "").strip() == "plain"
    renderer: Processor = _as_text if plain else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*_ENRICH, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
    _LIBRARIES.setFormatter(_formatter(renderer))
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
    """Log an exception that ends this process as a line like any other."""

    def say(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
        else:
            get(part).critical("crashed", error=repr(error), exc_info=error)

    sys.excepthook = say


def _formatter(renderer: Processor) -> logging.Formatter:
    """Formats the lines of libraries like all others."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[_named_for_logger, *_ENRICH],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )


def _as_text(_: WrappedLogger, __: str, line: EventDict) -> str:
    """`10:00:00 warning writer: not connected, why=...`, for people; the time is UTC."""
    clock, level = line.pop("ts", "")[11:19], line.pop("level", "")
    part, said = line.pop("part", "engine"), str(line.pop("event", "")).replace("_", " ")
    trace = line.pop("exception", None)
    fields = [f"{name}={value}" for name, value in line.items()]
    text = ", ".join([f"{clock} {level} {part}: {said}", *fields])
    return f"{text}\n{trace}" if trace else text


def _with_ids(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    """Add the ids of request, span, event and booking that the line does not name itself."""
    for told in (within.get(), trace_ids):
        if told:
            for name, text in told().items():
                line.setdefault(name, text)
    booking = line.get("booking_id")
    if isinstance(booking, str) and ":" in booking:
        line.setdefault("event_id", booking.partition(":")[0])
    return line


def _named_for_logger(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    """Use the name of a library's logger as its part."""
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
