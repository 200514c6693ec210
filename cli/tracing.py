"""OpenTelemetry traces of requests, scripts, batches and SQL: needs the extra `[otel]` and OTEL_*.

The traced functions are wrapped when a process starts, as by OpenTelemetry's own instrumentations:
without OTEL_* nothing is imported, and no call takes longer. The ASGI instrumentation is not used:
it puts the query into its spans, where links in mails have their token, and makes three spans per
request. A span never contains a header, a body or a query. Its attributes have the names of the
semantic conventions: of HTTP and databases the stable ones.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.router import Resource
from engine import logs
from engine.errors import EngineError
from engine.scripts import Script, Scripts
from engine.shared_calls import SharedCalls

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer

FLUSH_MS = 2000
"""How long a process waits at its end for the collector to accept the last spans."""
_WITH_SQL = ("api", "writer")
"""Parts that query Postgres only if there is work: a deliverer would trace its polls."""

_log = logs.get("tracing")
_Call = Callable[..., Awaitable[Any]]


def asked_for(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether OTEL_* names a collector and does not switch traces off."""
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    if environ.get("OTEL_TRACES_EXPORTER", "otlp") != "otlp":
        return False
    names = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    return any(environ.get(name) for name in names)


def begin(part: str) -> "TracerProvider | None":
    """Trace this process if OTEL_* asks for it and the extra is installed. Call it once."""
    if not asked_for():
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource as Described
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        _log.warning("not_traced", why=str(error), fix="pip install ticket-wars[otel]")
        return None
    named = {"service.name": os.environ.get("OTEL_SERVICE_NAME", f"ticket-wars-{part}")}
    provider = TracerProvider(resource=Described.create(named), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace_engine(provider.get_tracer("ticket-wars"))
    if part in _WITH_SQL:
        trace_sql(provider)
    return provider


async def flush(provider: "TracerProvider | None") -> None:
    """Send the last spans; to be called when the process ends."""
    if provider:
        await asyncio.to_thread(provider.force_flush, FLUSH_MS)


def trace_engine(tracer: "Tracer") -> Callable[[], None]:
    """Wrap the script call and the writer's batch, and put the ids of the span into log lines.

    Returns a function that undoes it.
    """
    from persistence.journal.tables import Store

    call, shared, write = Scripts.call, SharedCalls.outcome, Store.write
    Scripts.call = _traced_call(call, tracer)  # type: ignore[method-assign]
    SharedCalls.outcome = _traced_shared(shared, tracer)  # type: ignore[method-assign]
    Store.write = _traced_write(write, tracer)  # type: ignore[method-assign]
    logs.trace_ids = _active_ids

    def untrace() -> None:
        Scripts.call, SharedCalls.outcome = call, shared  # type: ignore[method-assign]
        Store.write = write  # type: ignore[method-assign]
        logs.trace_ids = None

    return untrace


def _active_ids() -> dict[str, str]:
    from opentelemetry import trace

    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return {}
    return {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"}


def error_type(error: BaseException) -> str:
    """The `error.type` of a span: the code of an engine error, the class of any other."""
    return error.code if isinstance(error, EngineError) else type(error).__qualname__


def trace_sql(provider: "TracerProvider") -> None:
    """Statements as spans, without their values, with the stable names unless OTEL_* says else."""
    os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "database")
    from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor

    AsyncPGInstrumentor().instrument(tracer_provider=provider)  # type: ignore[no-untyped-call]


def _traced_call(call: _Call, tracer: "Tracer") -> Any:
    async def traced(scripts: Scripts, script: Script, *arguments: Any) -> Any:
        return await _with_span(tracer, script.name, call(scripts, script, *arguments))

    return traced


def _traced_shared(outcome: _Call, tracer: "Tracer") -> Any:
    """A span for each request: their call is shared with others."""

    async def traced(calls: SharedCalls, script: str, *arguments: Any) -> Any:
        return await _with_span(tracer, script, outcome(calls, script, *arguments))

    return traced


async def _with_span(tracer: "Tracer", script: str, call: Awaitable[Any]) -> Any:
    from opentelemetry import trace
    from opentelemetry.trace import SpanKind

    if not trace.get_current_span().get_span_context().is_valid:
        return await call  # no request: a sweep
    named = {
        "db.system.name": "redis",
        "db.operation.name": "EVALSHA",
        "db.stored_procedure.name": script,
    }
    with (
        tracer.start_as_current_span(
            f"script {script}", kind=SpanKind.CLIENT, attributes=named
        ) as span,
        _errors_typed(span),
    ):
        answer = await call
        span.set_attribute("script.code", answer[0])
        return answer


def _traced_write(write: _Call, tracer: "Tracer") -> Any:
    async def traced(store: object, entries: Sequence[Any]) -> Any:
        with tracer.start_as_current_span("write batch") as span, _errors_typed(span):
            span.set_attribute("batch.entries", len(entries))
            if entries:
                span.set_attribute("batch.first_entry", entries[0].entry_id)
            return await write(store, entries)

    return traced


@contextmanager
def _errors_typed(span: "Span") -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        span.set_attribute("error.type", error_type(error))
        raise


class TracedApp:
    """An app whose requests are spans, children of the trace their `traceparent` names."""

    def __init__(self, app: ASGIApp, tracer: "Tracer") -> None:
        from opentelemetry.propagate import extract
        from opentelemetry.trace import SpanKind, Status, StatusCode

        self._app = app
        self._tracer = tracer
        self._extract = extract
        self._kind = SpanKind.SERVER
        self._failed = Status(StatusCode.ERROR)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on within its span."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        parent = self._extract({name: headers[name] for name in _PROPAGATED if name in headers})
        told = {
            "http.request.method": scope["method"],
            "url.path": scope["path"],
            "url.scheme": scope["scheme"],
        }
        with (
            self._tracer.start_as_current_span(scope["method"], parent, self._kind, told) as span,
            _errors_typed(span),
        ):

            async def recorded(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= 500:
                        span.set_status(self._failed)
                        span.set_attribute("error.type", str(message["status"]))
                await send(message)

            await self._app(scope, receive, recorded)
            resource = scope.get("endpoint")
            if isinstance(resource, Resource):
                span.update_name(f"{scope['method']} {resource.path}")
                span.set_attribute("http.route", resource.path)
                for name, text in scope.get("path_params", {}).items():
                    span.set_attribute(name, text)


_PROPAGATED = ("traceparent", "tracestate")
