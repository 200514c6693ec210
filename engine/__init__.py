"""A Redis-first ticket reservation engine: one Python method for each Lua script.

A booking has five states. `hold_seats` creates it as pending.
- pending -> confirmed: it is paid (`confirm_booking`).
- pending -> released: the customer gives it up (`release_booking`).
- pending -> expired: its deadline passes (`expire_bookings`).
- expired -> confirmed: a late payment arrives and the places are still free. If they are not, the
  booking stays expired, with one refund obligation.
- confirmed -> cancelled: the sale is undone (`cancel_booking`), with a refund obligation.

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
    Selection,
    Terms,
    TermsChange,
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
    "ScriptDefect",
    "Selection",
    "Settings",
    "Terms",
    "TermsChange",
    "Unavailable",
]
