"""Runs a ticket war: locust in its own process, and a watch on the engine meanwhile.

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
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import NamedTuple

import msgspec
from msgspec import Struct

from bench.load import client
from bench.rig.polling import until_written
from bench.war import provider, receipts
from bench.war.scenarios.scenario import Scenario
from bench.war.tally import Charge, Party, Receipt, Spread, Summary, spread_of
from engine import Engine
from engine.errors import EngineError, Misconfigured
from engine.ids import EventId
from engine.models import Event
from engine.plans.venues import make_venue
from engine.settings.settings import Settings

STOP_TIMEOUT_S = 15
"""How long a buyer may take to finish what it has begun when the time is over."""

PAGE_STAYS_S = 10
"""How long locust's page can still be looked at afterwards."""

NOTICED_S_MAX = 10.0
"""How long the writer may take to notice a new event."""

WATCH_S = 0.25
LAG_S = 0.05
LAST_WORDS_LINES = 15

Watch = Callable[[Event], None]


class War(Struct, frozen=True, kw_only=True):
    """A scenario, and where it is fought. `web_port` is for locust's own page; 0: without.

    `notices`: signed notices of a payment provider confirm the bookings, not the customers.
    """

    scenario: Scenario
    event_id: EventId
    url: str
    web_port: int = 0
    notices: bool = False


class WarResult(Struct, frozen=True, kw_only=True):
    """What a war left behind. `began_ms` is by Redis' clock.

    `lag` is how far the writer was behind, looked at every LAG_S while the war went on.
    """

    began_ms: int
    lag: Spread
    summary: Summary
    receipts: list[Receipt]
    charges: list[Charge]
    parties: list[Party]


class _Told(NamedTuple):
    """What the buyers wrote down."""

    summary: Summary
    receipts: list[Receipt]
    charges: list[Charge]
    parties: list[Party]


async def open_sale(engine: Engine, scenario: Scenario) -> EventId:
    """Load the scenario's own event, under a name that is not taken, and put it on sale.

    Waits until the writer has it: how long it takes to notice a new event is no lag of a war.
    """
    event = EventId(f"{scenario.name}-{token_hex(4)}")
    plan = make_venue(scenario.venue)
    terms = msgspec.structs.replace(
        plan.terms,
        hold_ttl_ms=round(scenario.hold_ttl_s * 1000),
        customer_max=scenario.customer_max,
    )
    await engine.events.load_event(event, plan.layout, terms)
    await until_written(engine, event, NOTICED_S_MAX)
    return event


def check_ready(war: War, settings: Settings) -> None:
    """Raises Misconfigured or Unavailable when the war could not even begin."""
    if importlib.util.find_spec("locust") is None:
        raise Misconfigured("locust is not installed: pip install 'ticket-wars[war]'")
    if not settings.jwt_secret:
        raise Misconfigured("JWT_SECRET is not set: buyers need tokens that the API accepts")
    status, _ = client.get(war.url, f"/api/v1/event/{war.event_id}")
    if status != 200:
        raise Misconfigured(f"{war.url} answers {status} for the event {war.event_id!r}")
    if war.notices:
        _check_notices(war.url, settings.payment_webhook_secret)


def _check_notices(url: str, secret: str) -> None:
    """Send a notice that the API ignores. Raises Misconfigured if it is refused."""
    if not secret:
        raise Misconfigured(
            "PAYMENT_WEBHOOK_SECRET is not set: --pay notices signs with the secret of the API"
        )
    body = msgspec.json.encode({"id": "war", "type": provider.CHECK_TYPE})
    headers = {"Payment-Signature": provider.signature_of(secret, body)}
    status, _ = client.post(url, provider.PATH, body, headers)
    if status == 404:
        raise Misconfigured(
            f"{url} accepts no payment notices: start the API with PAYMENT_WEBHOOK_SECRET"
        )
    if status == 401:
        raise Misconfigured(
            f"{url} refuses the signature of a payment notice: PAYMENT_WEBHOOK_SECRET must be the "
            "same here and at the API"
        )
    if status != 200:
        raise Misconfigured(f"{url} answers {status} to a payment notice")


async def fight(engine: Engine, war: War, settings: Settings, watch: Watch) -> WarResult:
    """Let the buyers in and wait until they are gone. `watch` sees the event now and then.

    Raises: Misconfigured with locust's last words when it ended early.
    """
    began_ms = (await engine.journal.backlog(war.event_id)).now_ms
    lags_ms: list[float] = []
    over = asyncio.Event()
    with TemporaryDirectory(prefix="war-") as folder:
        fighting = asyncio.create_task(_run_locust(war, settings, Path(folder)))
        watching = (
            asyncio.create_task(_watch(engine, war.event_id, watch, over)),
            asyncio.create_task(_measure_lag(engine, war.event_id, lags_ms, over)),
        )
        try:
            await asyncio.wait({fighting, *watching}, return_when=asyncio.FIRST_COMPLETED)
            for watcher in watching:  # they end only by a defect, which is told
                if watcher.done():
                    watcher.result()
            told = await fighting
        finally:
            over.set()
            fighting.cancel()
            await asyncio.gather(fighting, *watching, return_exceptions=True)
    return WarResult(began_ms=began_ms, lag=spread_of(lags_ms), **told._asdict())


async def _watch(engine: Engine, event: EventId, watch: Watch, over: asyncio.Event) -> None:
    while not over.is_set():
        with suppress(EngineError):  # the war goes on while Redis is away
            watch(await engine.events.read_event(event))
        await _pause(over, WATCH_S)


async def _measure_lag(
    engine: Engine, event: EventId, lags_ms: list[float], over: asyncio.Event
) -> None:
    """Ends by `over`, not by a cancel: Python 3.11 may lose one that meets redis-py writing."""
    while not over.is_set():
        with suppress(EngineError):
            backlog = await engine.journal.backlog(event)
            lags_ms.append(backlog.now_ms - backlog.oldest_ms if backlog.oldest_ms else 0)
        await _pause(over, LAG_S)


async def _pause(over: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await over.wait()


async def _run_locust(war: War, settings: Settings, folder: Path) -> _Told:
    log, summary = folder / "log", folder / "summary.json"
    environ = {
        **os.environ,
        "JWT_SECRET": settings.jwt_secret,
        "PAYMENT_WEBHOOK_SECRET": settings.payment_webhook_secret,
    }
    with log.open("wb") as out:
        locust = await asyncio.create_subprocess_exec(
            *_command(war, folder), stdin=DEVNULL, stdout=out, stderr=out, env=environ
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
    return _Told(
        summary=msgspec.json.decode(summary.read_bytes(), type=Summary),
        receipts=receipts.read(folder / "receipts.jsonl", Receipt),
        charges=receipts.read(folder / "charges.jsonl", Charge),
        parties=receipts.read(folder / "parties.jsonl", Party),
    )


def _command(war: War, folder: Path) -> list[str]:
    arguments = {
        "--locustfile": Path(__file__).with_name("locustfile.py"),
        "--host": war.url,
        "--stop-timeout": STOP_TIMEOUT_S,
        "--event": war.event_id,
        "--scenario": war.scenario.name,
        "--most-users": war.scenario.users,
        "--seconds": war.scenario.seconds,
        "--summary": folder / "summary.json",
        "--receipts": folder / "receipts.jsonl",
        "--charges": folder / "charges.jsonl",
        "--parties": folder / "parties.jsonl",
        "--pay": "notices" if war.notices else "customers",
    }
    if war.web_port:
        arguments |= {
            "--web-host": "127.0.0.1",
            "--web-port": war.web_port,
            "--autoquit": PAGE_STAYS_S,
        }
    shown = ["--autostart"] if war.web_port else ["--headless"]
    command = [sys.executable, "-m", "locust", "--only-summary", *shown]
    return command + [str(word) for pair in arguments.items() for word in pair]
