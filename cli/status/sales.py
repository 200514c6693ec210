"""Whether an event sells at a time: by its sales setting, its opening and its closing."""

import time

from engine.models import Event, SalesState


def sales_at(event: Event, now_ms: int) -> str:
    """The sales setting, or `opens <local time>` before the opening, `ended` after the closing.

    The same rule as in `lua/lib/event.lua`.
    """
    if event.sales == SalesState.OPEN:
        if now_ms < event.opens_at_ms:
            opens = time.localtime(event.opens_at_ms / 1000)
            return time.strftime("opens %Y-%m-%d %H:%M", opens)
        if 0 < event.closes_at_ms <= now_ms:
            return "ended"
    return event.sales
