"""Every error the engine raises instead of a result, as one tree.

EngineError
    Refused            a business "no", nothing was written: one subclass a script code
    OutcomeUnknown     the answer was lost: repeat with the same request id to learn the outcome
    Unavailable        Redis cannot be reached, nothing was tried
        OtherFormat    the event belongs to another release, nothing was tried
    Overloaded         rejected before anything was tried
    RequestInProgress  the first call with this request id is still running
    Restoring          the event is fenced until it is restored, nothing was tried
    Malformed          a key of an event has a type or a value that no release has written
    ScriptDefect       a bug: a script and its caller disagree; ErrorReply: Redis returned an error
    Misconfigured      a setting or a server is wrong, raised at start

The `code` of a Refused is the script's code in lower case; `api/http/problems.py` maps it to HTTP.
"""

from typing import ClassVar

_TRANSIENT = frozenset(
    ("BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "NOREPLICAS", "OOM", "READONLY")
)
"""Prefixes of error replies for a command that did nothing and may succeed later."""


class EngineError(Exception):
    """The root of all errors the engine raises."""

    code: ClassVar[str] = "engine_error"


class OutcomeUnknown(EngineError):
    """The answer was lost: the call may have had its effect. It is safe to repeat."""

    code = "outcome_unknown"


class Unavailable(EngineError):
    """Redis cannot be reached or cannot run the command now; nothing was tried."""

    code = "unavailable"


class OtherFormat(Unavailable):
    """The event has keys in the form of another release, which serves it; nothing was tried."""


class Overloaded(EngineError):
    """The limit of waiting calls is reached; nothing was tried."""

    code = "overloaded"


class RequestInProgress(EngineError):
    """Another call with the same request id is still running; nothing was tried."""

    code = "request_in_progress"


class Restoring(EngineError):
    """Redis lost data of the event, which is fenced until it is restored; nothing was tried."""

    code = "restoring"


class ErrorReply(EngineError):
    """Redis answered a command with an error. The batcher returns it as a value."""

    @property
    def prefix(self) -> str:
        """The first word, which names the kind of error: `NOSCRIPT`, `LOADING`, `OOM`."""
        return str(self).partition(" ")[0]

    @property
    def is_wrong_type(self) -> bool:
        """Whether the key has another type than the command reads."""
        return self.prefix == "WRONGTYPE"

    @property
    def is_transient(self) -> bool:
        """Whether the server could not run the command now: it did nothing."""
        return self.prefix in _TRANSIENT


class Malformed(EngineError):
    """What an event has in Redis cannot be read; the message names the key and what it has."""

    code = "malformed"


class ScriptDefect(EngineError):
    """A script failed, or returned a code its header does not name."""

    code = "script_defect"


class Misconfigured(EngineError):
    """A setting, a file or a server is wrong; the message names it."""

    code = "misconfigured"


class Refused(EngineError):
    """A business "no". `found` holds what the script names: seats, a limit, a time."""

    says: ClassVar[str] = "refused"

    def __init__(self, *found: str) -> None:
        self.found = found
        named = ", ".join(found)
        super().__init__(f"{self.says}: {named}" if named else self.says)


class EventNotFound(Refused):
    code, says = "event_not_found", "there is no such event"


class EventExists(Refused):
    code, says = "event_exists", "the event is loaded already"


class EventInUse(Refused):
    """`found`: places held, places sold."""

    code, says = "event_in_use", "the event has places held or sold"


class LoadIncomplete(Refused):
    code, says = "load_incomplete", "the staged seats are not all there"


class RestoreSuperseded(Refused):
    code, says = "restore_superseded", "another restore of the event took over"


class LayoutChanged(Refused):
    code, says = "layout_changed", "the layout was changed by someone else"


class SeatExists(Refused):
    """`found`: the seats."""

    code, says = "seat_exists", "the event has these seats already"


class NotOwner(Refused):
    code, says = "not_owner", "the event belongs to another organiser"


class PreconditionFailed(Refused):
    code, says = "precondition_failed", "the event is at another version"


class TermsContradict(Refused):
    """`found`: the term that contradicts another, and the other, as the event hash names them."""

    code, says = "terms_contradict", "these terms contradict each other"


class LeavesSingle(Refused):
    """`found`: three lists of map indexes, spaces between them: of the seats that would be alone,
    of those picked, and of the first seats of up to two other runs of as many."""

    code, says = "leaves_single", "these seats would leave one alone, and others beside do not"


class SeatNotFound(Refused):
    """`found`: the seats."""

    code, says = "seat_not_found", "the event has no such seats"


class AreaNotFound(Refused):
    """`found`: the areas."""

    code, says = "area_not_found", "the event has no such areas"


class SeatTaken(Refused):
    """`found`: the seats."""

    code, says = "seat_taken", "these seats are not available"


class AreaFull(Refused):
    """`found`: the areas."""

    code, says = "area_full", "not enough places are left"


class NoSeatsTogether(Refused):
    """`found`: the largest party that fits side by side, by the same filters; 0 with wheelchair
    places and beside a booking."""

    code, says = "no_seats_together", "no seats side by side are left; the most that fit"


class CategoryNotFound(Refused):
    """`found`: the categories."""

    code, says = "category_not_found", "the event has no such categories"


class SectionNotFound(Refused):
    """`found`: the sections."""

    code, says = "section_not_found", "the event has no such sections"


class SalesClosed(Refused):
    """`found`: `paused`, `closed`, `not_yet` or `ended`."""

    code, says = "sales_closed", "the event is not on sale"


class TooManySeats(Refused):
    """`found`: the most places one booking may hold."""

    code, says = "too_many_seats", "more places than one booking may hold"


class LimitReached(Refused):
    """`found`: the most places a customer may have, and how many this one has."""

    code, says = "limit_reached", "the purchase limit of the event is reached"


class RateLimited(Refused):
    """`found`: ms until the call may be tried again."""

    code, says = "rate_limited", "too many calls"


class RequestReused(Refused):
    code, says = "request_reused", "the request id was used with another body"


class BookingNotFound(Refused):
    code, says = "booking_not_found", "there is no such booking"


class BookingKnown(Refused):
    """`found`: the status it has."""

    code, says = "booking_known", "Redis has this booking with another status"


class BookingExpired(Refused):
    code, says = "booking_expired", "the booking has expired"


class BookingReleased(Refused):
    code, says = "booking_released", "the booking was released"


class BookingCancelled(Refused):
    code, says = "booking_cancelled", "the booking was cancelled"


class AlreadyConfirmed(Refused):
    code, says = "already_confirmed", "the booking is confirmed"


class NotConfirmed(Refused):
    code, says = "not_confirmed", "the booking is not confirmed"


class ExtendLimit(Refused):
    """`found`: the deadline that stands, in ms since the epoch."""

    code, says = "extend_limit", "the deadline cannot move any further"


class AmountDiffers(Refused):
    """`found`: the amount of the booking in minor units, and its currency."""

    code, says = "amount_differs", "what was paid is not what the booking costs"


class PaidTwice(Refused):
    """`found`: what is owed of this payment in minor units, and its currency."""

    code, says = "paid_twice", "another payment has bought the booking, this one is owed"


class PaymentRefunded(Refused):
    code, says = "payment_refunded", "the payment has been paid back already"


class TooManyPayments(Refused):
    """`found`: the most payments that a booking keeps, the amount of this one, its currency."""

    code, says = "too_many_payments", "the booking keeps no more payments"


class PaymentByProvider(Refused):
    code, says = "payment_by_provider", "the payment provider confirms bookings here"


class CancelClosed(Refused):
    """`found`: until when customers could cancel, in ms since the epoch; none: never."""

    code, says = "cancel_closed", "only the organiser can cancel the booking"


class RefundDue(Refused):
    """`found`: the amount in minor units, and why the seats could not be given."""

    code, says = "refund_due", "the payment came too late and a refund is recorded"


REFUSALS: dict[str, type[Refused]] = {kind.code.upper(): kind for kind in Refused.__subclasses__()}
"""Script code -> exception. `tests/test_tidy.py` holds it against the headers in lua/."""
