"""What reconcile tells: every difference by kind, what was done about it, what was in flight."""

from collections.abc import Iterator

from msgspec import Struct

from engine.ids import EventId


class Difference(Struct, frozen=True):
    """One thing that is not on both sides as it should be.

    `subject` is a seat, a booking (its ULID) or what else it is about, within the event;
    `repaired` says what mended it, and is None while it stands. `is_violation`: Redis breaks a
    promise by itself, whatever Postgres has.
    """

    kind: str
    event_id: EventId
    subject: str
    detail: str
    repaired: str | None = None
    is_violation: bool = False


class EventReport(Struct, frozen=True, kw_only=True):
    """One event: `in_flight_count` bookings changed so lately that Postgres may still be behind."""

    event_id: EventId
    bookings_count: int = 0
    in_flight_count: int = 0
    differences: tuple[Difference, ...] = ()


class ReconcileReport(Struct, frozen=True):
    """All the events that were looked at."""

    events: tuple[EventReport, ...]

    @property
    def differences(self) -> Iterator[Difference]:
        """Every difference of every event, the repaired ones too."""
        return (difference for event in self.events for difference in event.differences)

    @property
    def in_flight_count(self) -> int:
        """Bookings whose newest change may still be on its way."""
        return sum(event.in_flight_count for event in self.events)

    @property
    def clean(self) -> bool:
        """No difference stands: there was none, or all are repaired."""
        return all(difference.repaired is not None for difference in self.differences)
