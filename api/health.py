"""Health and readiness: whether the process is alive, and whether the system can sell."""

import asyncio

from msgspec import field

from api.http.calls import Call
from api.http.drain_state import DRAINING
from api.http.payloads import NoQuery, View, encode
from api.http.responses import Response
from engine.engine import HEARTBEAT_S
from engine.errors import EngineError

POSTGRES_S = 1.0
"""How long readiness waits for Postgres, which it does not require."""


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
    """Report that the process is alive. Makes no call to Redis or Postgres."""
    return Response(encode(HealthView(status="alive")))


async def read_readiness(call: Call[NoQuery, None]) -> Response:
    """200 while Redis replies and every required part runs, else 503; lists each part's state.

    Also 503 while this process drains. Postgres is reported but not required: sales continue
    without it.
    """
    required, postgres = await asyncio.gather(_redis_and_parts(call), _postgres(call))
    status = "ready" if all(part.state == "up" for part in required.values()) else "unready"
    if DRAINING.begun:
        status = "draining"
    health = HealthView(status=status, parts=required | postgres)
    return Response(encode(health), status=200 if status == "ready" else 503)


async def _redis_and_parts(call: Call[NoQuery, None]) -> dict[str, PartView]:
    parts = call.services.ready_parts
    try:
        await call.engine.ping()
        ages = await call.engine.heartbeats(parts)
    except EngineError as error:
        unknown = PartView(state="unknown", why="Redis is down")
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
        why = str(error) or f"no reply within {POSTGRES_S:g} s"
        return {"postgres": PartView(state="down", why=why, required=False)}
    return {"postgres": PartView(state="up", required=False)}
