"""For those who operate it: is the process alive, is the system ready, how much of everything."""

import asyncio
import os

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from api.answers import Answer
from api.calls import Call
from api.payloads import HealthShown, NoQuery, encode
from engine.errors import EngineError


async def read_health(call: Call[NoQuery, None]) -> Answer:
    """Say that the process is alive. Asks nobody else."""
    return Answer(encode(HealthShown(status="alive")))


async def read_readiness(call: Call[NoQuery, None]) -> Answer:
    """200 while Redis answers and every part that is waited for runs, else 503; always which."""
    parts = dict.fromkeys(call.services.ready_parts, "unknown")
    try:
        running = await call.engine.parts_running(call.services.ready_parts)
        await call.engine.ping()
    except EngineError:
        states = {"redis": "down"} | parts
    else:
        states = {"redis": "up"} | {part: "up" if up else "down" for part, up in running.items()}
    ready = all(state == "up" for state in states.values())
    shown = HealthShown(status="ready" if ready else "unready", parts=states)
    return Answer(encode(shown), status=200 if ready else 503)


async def read_metrics(call: Call[NoQuery, None]) -> Answer:
    """Every metric, in the Prometheus text format; of all processes if they share a folder."""
    body = await asyncio.to_thread(_collect)
    return Answer(body, content_type=CONTENT_TYPE_LATEST.encode())


def _collect() -> bytes:
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
