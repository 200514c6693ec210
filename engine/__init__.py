"""A Redis-first ticket reservation engine: the Python face of lua/.

>>> async with await Engine.connect(settings.load()) as engine:
...     booking = await engine.bookings.hold_seats(selection)
"""

from engine.engine import Engine
from engine.errors import (
    EngineError,
    Misconfigured,
    OutcomeUnknown,
    Overloaded,
    Refused,
    ScriptDefect,
    Unavailable,
)
from engine.models import (
    Booking,
    BookingStatus,
    Event,
    Layout,
    Sales,
    SalesChange,
    Selection,
    Terms,
)
from engine.settings.settings import Settings

__all__ = [
    "Booking",
    "BookingStatus",
    "Engine",
    "EngineError",
    "Event",
    "Layout",
    "Misconfigured",
    "OutcomeUnknown",
    "Overloaded",
    "Refused",
    "Sales",
    "SalesChange",
    "ScriptDefect",
    "Selection",
    "Settings",
    "Terms",
    "Unavailable",
]
