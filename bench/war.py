"""Runs a ticket war: locust in a process of its own, and an eye on the engine meanwhile.

Locust patches the standard library for gevent, so it cannot live in a process that runs asyncio.
"""

import asyncio
import importlib.util
import os
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from msgspec import Struct

from bench import client, receipts
from bench.buyers import Habits
from bench.tally import Receipt, Summary
from engine import Engine
from engine.errors import EngineError, Misconfigured
from engine.ids import EventId
from engine.models import Event

STOP_TIMEOUT_S = 15
"""How long a buyer may take to finish what it has begun when the time is over."""

WATCH_S = 0.25
LAST_WORDS_LINES = 15

Watch = Callable[[Event], None]


class War(Struct, frozen=True, kw_only=True):
    """What is fought for, by how many, for how long. `spawn_rate` is buyers a second."""

    event_id: EventId
    url: str
    buyers: int
    seconds: int
    spawn_rate: float
    habits: Habits


class Fought(Struct, frozen=True, kw_only=True):
    """What a war left behind. `began_ms` is by Redis' clock."""

    began_ms: int
    lag_ms_max: int
    summary: Summary
    receipts: list[Receipt]


def check_ready(war: War, jwt_secret: str) -> None:
    """Raises Misconfigured or Unavailable when the war could not even begin."""
    if importlib.util.find_spec("locust") is None:
        raise Misconfigured("locust is not installed: pip install 'ticket-wars[war]'")
    if not jwt_secret:
        raise Misconfigured("JWT_SECRET is not set: buyers need tokens that the API accepts")
    status, _ = client.get(war.url, f"/api/v1/event/{war.event_id}")
    if status != 200:
        raise Misconfigured(f"{war.url} answers {status} for the event {war.event_id!r}")


async def fight(engine: Engine, war: War, jwt_secret: str, watch: Watch) -> Fought:
    """Let the buyers in and wait until they are gone. `watch` sees the event now and then.

    Raises: Misconfigured with locust's last words when it ended early.
    """
    began_ms = (await engine.journal.backlog(war.event_id)).now_ms
    lag_ms_max = 0
    with TemporaryDirectory(prefix="war-") as folder:
        fighting = asyncio.create_task(_run_locust(war, jwt_secret, Path(folder)))
        try:
            while not fighting.done():
                with suppress(EngineError):  # the war goes on while Redis is away
                    watch(await engine.events.read_event(war.event_id))
                    lag_ms_max = max(lag_ms_max, await _lag_ms(engine, war.event_id))
                await asyncio.wait({fighting}, timeout=WATCH_S)
        finally:
            fighting.cancel()
            with suppress(asyncio.CancelledError):
                await fighting
        summary, paid = fighting.result()
    return Fought(began_ms=began_ms, lag_ms_max=lag_ms_max, summary=summary, receipts=paid)


async def _run_locust(war: War, jwt_secret: str, folder: Path) -> tuple[Summary, list[Receipt]]:
    log, summary, paid = folder / "log", folder / "summary.json", folder / "receipts.jsonl"
    arguments = {
        "--locustfile": Path(__file__).with_name("locustfile.py"),
        "--host": war.url,
        "--users": war.buyers,
        "--spawn-rate": war.spawn_rate,
        "--run-time": f"{war.seconds}s",
        "--stop-timeout": STOP_TIMEOUT_S,
        "--event": war.event_id,
        "--pay-share": war.habits.pay_share,
        "--release-share": war.habits.release_share,
        "--summary": summary,
        "--receipts": paid,
    }
    command = [sys.executable, "-m", "locust", "--headless", "--only-summary"]
    command += [str(word) for pair in arguments.items() for word in pair]
    environ = {**os.environ, "JWT_SECRET": jwt_secret}
    with log.open("wb") as out:
        locust = await asyncio.create_subprocess_exec(
            *command, stdin=DEVNULL, stdout=out, stderr=out, env=environ
        )
        try:
            await locust.wait()
        finally:
            if locust.returncode is None:
                locust.terminate()
                await locust.wait()
    if not summary.exists():
        last_words = log.read_text(errors="replace").splitlines()[-LAST_WORDS_LINES:]
        raise Misconfigured("\n".join(["locust ended early:", *last_words]))
    told = msgspec.json.decode(summary.read_bytes(), type=Summary)
    return told, receipts.read(paid)


async def _lag_ms(engine: Engine, event: EventId) -> int:
    backlog = await engine.journal.backlog(event)
    return 0 if backlog.oldest_ms is None else backlog.now_ms - backlog.oldest_ms
