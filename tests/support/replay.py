"""An event rebuilt from its journal alone, from the load on.

Each booking's entry carries the booking as it is after the change, so the last one of each is
what must be in Redis; owners of seats, what is left, counts, map and lists follow.
What is rebuilt is the model of `tests/model`: the journal is held against the rules, not against
the scripts that wrote it.
"""

from collections.abc import Sequence

import msgspec

from engine.models import JournalEntry, Terms
from engine.plans import layout as layouts
from tests.model.box_office_model import BoxOfficeModel
from tests.model.event_model import EventModel

_ENDS = ("booking_released", "booking_expired", "booking_cancelled", "refund_due")


def replay(entries: Sequence[JournalEntry]) -> BoxOfficeModel:
    """The event as these entries leave it. The first must be its load: none may be trimmed."""
    first = entries[0]
    assert first.kind == "event_loaded", f"the journal begins with {first.kind}"
    model = BoxOfficeModel(first.event_id, _loaded(first), first.at_ms)
    for entry in entries[1:]:
        if entry.booking:
            ulid = entry.booking.id.partition(":")[2]
            model.bookings[ulid] = entry.booking
            model.forget_at_ms.pop(ulid, None)
            if entry.kind in _ENDS:
                model.forget_at_ms[ulid] = entry.at_ms + model.kept_ms(entry.booking)
        elif entry.kind == "event_loaded":
            model.event = _loaded(entry)
        else:
            _apply(model.event, entry)
        model.event.epoch = entry.epoch
    model.event.noted.clear()
    return model


def _apply(event: EventModel, entry: JournalEntry) -> None:
    said = entry.event or {}
    if entry.kind == "seats_added":
        assert entry.layout
        layout = layouts.decode(entry.layout)
        if said.get("known_version") == event.layout.version:
            layout = layouts.extended(event.layout, layout)
        event.add_seats(layout, event.layout, "")
    elif entry.kind == "terms_set":
        known = msgspec.structs.asdict(event.terms)
        event.terms = msgspec.convert(known | said, Terms, strict=False)
    elif entry.kind in ("seats_blocked", "seats_unblocked"):
        seats = set(said["seats"].split())
        event.blocked = (
            event.blocked | seats if entry.kind == "seats_blocked" else (event.blocked - seats)
        )
    else:
        assert entry.kind == "event_repaired", f"{entry.kind} cannot be replayed"


def _loaded(entry: JournalEntry) -> EventModel:
    said = entry.event
    assert said
    assert entry.layout
    terms = msgspec.convert(said, Terms, strict=False)
    event = EventModel(layouts.decode(entry.layout), terms)
    event.epoch = entry.epoch
    return event
