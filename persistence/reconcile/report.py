"""The report of reconcile: every difference by kind, its repair, and the bookings in flight."""

from collections.abc import Iterator

from msgspec import Struct

from engine.ids import EventId


class Difference(Struct, frozen=True):
    """One difference between both sides.

    `subject` is a seat, a booking (its ULID) or another id within the event. `repaired` says how it
    was repaired, and is None while it stands. `is_violation`: Redis violates an invariant, whatever
    Postgres has.
    """

    kind: str
    event_id: EventId
    subject: str
    detail: str
    repaired: str | None = None
    is_violation: bool = False


class EventReport(Struct, frozen=True, kw_only=True):
    """One event. `in_flight_count` bookings changed so recently that Postgres may be behind."""

    event_id: EventId
    bookings_count: int = 0
    in_flight_count: int = 0
    differences: tuple[Difference, ...] = ()


class ReconcileReport(Struct, frozen=True):
    """All the events that were compared."""

    events: tuple[EventReport, ...]

    @property
    def differences(self) -> Iterator[Difference]:
        """Every difference of every event, also the repaired ones."""
        return (difference for event in self.events for difference in event.differences)

    @property
    def in_flight_count(self) -> int:
        """Bookings whose newest change may still be in flight."""
        return sum(event.in_flight_count for event in self.events)

    @property
    def clean(self) -> bool:
        """Whether no difference stands: there was none, or all are repaired."""
        return all(difference.repaired is not None for difference in self.differences)
