"""Whose event it is, for what Postgres has of it: the scripts check for themselves."""

from typing import Any

from api.http.calls import Call
from engine.errors import NotOwner
from engine.ids import EventId


async def check_owner(call: Call[Any, Any], event: EventId) -> None:
    """The caller may act for the event. Raises EventNotFound, NotOwner."""
    owner_id = (await call.engine.events.read_event(event)).owner_id
    if call.owner_id not in ("", owner_id):
        raise NotOwner
