"""For those who operate it: is the process alive, is the system ready, how much of everything."""

import asyncio

from msgspec import field

from api.http.calls import Call
from api.http.drain_state import DRAINING
from api.http.payloads import NoQuery, View, encode
from api.http.responses import Response
from engine.engine import HEARTBEAT_S
from engine.errors import EngineError

POSTGRES_S = 1.0
"""How long readiness waits for the part it does not need."""


class PartView(View, frozen=True):
    """A part's `state`: `up`, `down`, or `unknown` while Redis is down; `why`, unless it is up.

    A part that is not `required` is reported, but does not affect the status.
    """

    state: str
    heartbeat_age_s: float | None = None
    why: str = ""
    required: bool = True


class HealthView(View, frozen=True):
    """`status`: `alive`; or `ready`, `unready`, `draining`."""

    status: str
    parts: dict[str, PartView] = field(default_factory=dict)


async def read_health(call: Call[NoQuery, None]) -> Response:
    """Say that the process is alive. Asks nobody else."""
    return Response(encode(HealthView(status="alive")))


async def read_readiness(call: Call[NoQuery, None]) -> Response:
    """200 while Redis answers and every part that is waited for runs, else 503; always which.

    503 too from the moment this process was told to end. Postgres is told of and not waited for:
    a sale goes on without it.
    """
    needed, postgres = await asyncio.gather(_redis_and_parts(call), _postgres(call))
    status = "ready" if all(part.state == "up" for part in needed.values()) else "unready"
    if DRAINING.begun:
        status = "draining"
    shown = HealthView(status=status, parts=needed | postgres)
    return Response(encode(shown), status=200 if status == "ready" else 503)


async def _redis_and_parts(call: Call[NoQuery, None]) -> dict[str, PartView]:
    parts = call.services.ready_parts
    try:
        await call.engine.ping()
        ages = await call.engine.heartbeats(parts)
    except EngineError as error:
        unknown = PartView(state="unknown", why="Redis cannot say")
        return {"redis": PartView(state="down", why=str(error))} | dict.fromkeys(parts, unknown)
    return {"redis": PartView(state="up")} | {part: _part(ages[part]) for part in parts}


def _part(age_s: float | None) -> PartView:
    if age_s is None:
        return PartView(state="down", why="no heartbeat within the hour")
    if age_s >= HEARTBEAT_S:
        why = f"no heartbeat for {age_s:.0f} s"
        return PartView(state="down", heartbeat_age_s=round(age_s, 1), why=why)
    return PartView(state="up", heartbeat_age_s=round(age_s, 1))


async def _postgres(call: Call[NoQuery, None]) -> dict[str, PartView]:
    if not call.services.settings.database_url:
        return {}
    try:
        await asyncio.wait_for(call.services.stores.ping(), POSTGRES_S)
    except (EngineError, TimeoutError) as error:
        why = str(error) or f"no answer within {POSTGRES_S:g} s"
        return {"postgres": PartView(state="down", why=why, required=False)}
    return {"postgres": PartView(state="up", required=False)}
