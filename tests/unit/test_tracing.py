"""Spans of a request, its script, the writer's batch and its SQL; and nothing at all when off."""

import asyncio
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from httpx2 import ASGITransport, AsyncClient
from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from api.app import create_app
from cli import tracing
from engine import Settings, logs
from engine.errors import Unavailable
from engine.transport.batcher import Batcher
from persistence import database
from persistence.journal.tables import Store
from tests.api.client import BOOKING, bearer
from tests.persistence.entries import booking, entry
from tests.support.box_office import BoxOffice

_ROOT = Path(__file__).parents[2]
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collected:
    """Where the spans go."""

    def __init__(self) -> None:
        self._kept = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._kept))
        self.tracer = self.provider.get_tracer("test")

    def spans(self) -> dict[str, ReadableSpan]:
        """The spans by name."""
        return {span.name: span for span in self._kept.get_finished_spans()}


@pytest.fixture
def collected() -> Iterator[Collected]:
    """The engine traced, as long as the test runs."""
    found = Collected()
    untrace = tracing.trace_engine(found.tracer)
    yield found
    untrace()


async def test_a_request_is_a_span_of_its_callers_trace_with_its_script_below(
    collected: Collected, settings: Settings, office: BoxOffice
) -> None:
    await office.open()
    assert collected.spans() == {}, "spans without a request"
    app = create_app(settings)
    traced = ASGITransport(tracing.TracedApp(app, collected.tracer))
    async with (
        app.router.lifespan_context(app),
        AsyncClient(transport=traced, base_url="http://api") as http,
    ):
        headers = {**bearer("ann"), "traceparent": f"00-{TRACE}-{PARENT}-01"}
        held = await http.post(BOOKING, headers=headers, json={"seatId": "gala:A-1-1"})
        await http.get("/api/v1/event/gala?token=marked")
    assert held.status_code == 201
    spans = collected.spans()
    request, script = spans[f"POST {BOOKING}"], spans["script hold_seats"]
    assert request.parent
    assert request.context
    assert script.parent
    assert f"{request.context.trace_id:032x}" == TRACE
    assert f"{request.parent.span_id:016x}" == PARENT
    assert script.parent.span_id == request.context.span_id
    assert script.kind is SpanKind.CLIENT
    assert script.attributes == {
        "db.system.name": "redis",
        "db.operation.name": "EVALSHA",
        "db.stored_procedure.name": "hold_seats",
        "script.code": "ok",
    }
    assert request.attributes == {
        "http.request.method": "POST",
        "url.path": BOOKING,
        "url.scheme": "http",
        "http.route": BOOKING,
        "http.response.status_code": 201,
    }
    looked = spans["GET /api/v1/event/{event_id}"]
    assert looked.attributes
    assert looked.attributes["event_id"] == "gala"
    assert "marked" not in "".join(span.to_json() for span in spans.values())


async def test_failures_have_their_error_type(
    collected: Collected, settings: Settings, office: BoxOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    await office.open()

    def cut(*_: object) -> asyncio.Future[object]:
        answer = asyncio.get_running_loop().create_future()
        answer.set_exception(Unavailable("the connection is cut"))
        return answer

    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    app = create_app(settings)
    async with app.router.lifespan_context(app):
        traced = ASGITransport(tracing.TracedApp(app, collected.tracer))
        async with AsyncClient(transport=traced, base_url="http://api") as http:
            monkeypatch.setattr(Batcher, "call", cut)
            held = await http.post(BOOKING, headers=bearer("ann"), json={"seatId": "gala:A-1-1"})
        monkeypatch.undo()
    with pytest.raises(ZeroDivisionError):
        await tracing.TracedApp(broken, collected.tracer)(
            {"type": "http", "method": "GET", "path": "/x", "scheme": "https", "headers": []},
            broken,  # type: ignore[arg-type]
            broken,
        )
    assert held.status_code == 503
    spans = collected.spans()
    assert spans["script hold_seats"].attributes
    assert spans["script hold_seats"].attributes["error.type"] == "unavailable"
    found = {span.name: (span.attributes or {}).get("error.type") for span in spans.values()}
    assert found[f"POST {BOOKING}"] == "503"
    assert found["GET"] == "ZeroDivisionError"
    assert {span.status.status_code for span in spans.values()} == {StatusCode.ERROR}


@pytest.mark.parametrize("form", ["json", "plain"])
def test_log_lines_have_the_ids_of_the_active_span(
    collected: Collected,
    form: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("LOG_FORMAT", form)
    logs.configure("info")
    try:
        with collected.tracer.start_as_current_span("outer") as span:
            logs.get("test").info("within")
            logging.getLogger("library").warning("of a library")
        logs.get("test").info("outside")
    finally:
        monkeypatch.undo()
        logs.configure("info")
    within, library, outside = capsys.readouterr().err.splitlines()
    of_span = span.get_span_context()
    trace_id, span_id = f"{of_span.trace_id:032x}", f"{of_span.span_id:016x}"
    for line in (within, library):
        if form == "json":
            told = msgspec.json.decode(line)
            assert (told["trace_id"], told["span_id"]) == (trace_id, span_id)
        else:
            assert f", trace_id={trace_id}, span_id={span_id}" in line
    assert "trace_id" not in outside


async def test_a_batch_is_a_span_with_its_statements_below(
    collected: Collected, database_url: str
) -> None:
    tracing.trace_sql(collected.provider)
    try:
        async with await database.connect(database_url) as pool:
            refusals = await Store(pool).write([entry(10, booking(1, "pending", 1))])
            assert refusals == [], "what it answers comes through"
    finally:
        AsyncPGInstrumentor().uninstrument()  # type: ignore[no-untyped-call]
    spans = collected.spans()
    batch = spans.pop("write batch")
    assert batch.context
    assert batch.attributes
    assert batch.attributes["batch.entries"] == 1
    below = [span for span in spans.values() if span.parent]
    assert below
    assert {span.parent.span_id for span in below if span.parent} == {batch.context.span_id}
    systems = [(span.attributes or {}).get("db.system.name") for span in below]
    assert set(systems) == {"postgresql"}


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "tickets"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_traces_are_asked_for_by_the_usual_variables(environ: dict[str, str], wanted: bool) -> None:
    assert tracing.asked_for(environ) is wanted


# Not the API or the SDK: redis-py imports them wherever they are installed.
_PROGRAM = """
import sys
from cli import app, tracing
from engine.scripts import Scripts
before = Scripts.call
app.app_factory()
print(*("opentelemetry.exporter" in sys.modules, Scripts.call is before))
"""


@pytest.mark.parametrize(
    ("endpoint", "said"), [("", "False True"), ("http://127.0.0.1:9", "True False")]
)
def test_off_imports_and_wraps_nothing(endpoint: str, said: str) -> None:
    environ = {"JWT_SECRET": "s" * 48, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
    ran = subprocess.run(
        [sys.executable, "-c", _PROGRAM], cwd=_ROOT, env=environ, capture_output=True, text=True
    )
    assert (ran.stdout.strip(), ran.returncode) == (said, 0), ran.stderr
