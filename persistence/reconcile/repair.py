"""Repairs what is safe to repair: what one side can copy from the other without taking any away.

Redis is repaired first, because it decides: counts are recomputed and bookings that only Postgres
has are reinstated. Postgres follows, by the same forward-only code as the writer. A seat with two
owners, and an owner or an amount that differs, is never changed: a person has to decide. Each
function returns what it tried, by finding; the `reconciler` checks again to see what worked.
"""

from collections.abc import Iterable, Sequence

import msgspec

from engine import Booking, BookingStatus, Engine, Refused
from engine.event_state import EventState
from persistence.journal.rejections import Rejected
from persistence.journal.tables import Store
from persistence.reconcile.comparison import Finding

_RECOMPUTED = {
    "orphan_hold",
    "counts_differ",
    "map_differs",
    "area_differs",
    "deadline_differs",
    "customer_differs",
}

Key = tuple[str, str]
Tried = dict[Key, str]
"""What was done about each finding."""


def key_of(finding: Finding) -> Key:
    """Identifies a finding across checks."""
    return finding.kind, finding.subject


async def repair_event(
    engine: Engine, store: Store, state: EventState, findings: Sequence[Finding]
) -> Tried:
    """Repair what is safe, in an order in which one step may help the next.

    Redis is left as it is while a value of the event is malformed: the scripts cannot read it.
    """
    tried = Tried()
    if not state.malformed:
        tried |= await _recompute(engine, state, findings)
        tried |= await _expire(engine, state, findings)
        tried |= await _reinstate(engine, state, findings)
    return (
        tried
        | await _write_event(engine, store, state, findings)
        | await _write_bookings(store, state, findings)
        | await _write_dead_letters(engine, store, findings)
    )


async def _recompute(engine: Engine, state: EventState, findings: Iterable[Finding]) -> Tried:
    derived = [finding for finding in findings if finding.kind in _RECOMPUTED]
    if not derived:
        return {}
    repaired = await engine.events.repair_event(state.event.id)
    counted = ", ".join(f"{count} {name}" for name, count in sorted(repaired.items()) if count)
    return {key_of(finding): f"recomputed from the seats: {counted}" for finding in derived}


async def _expire(engine: Engine, state: EventState, findings: Iterable[Finding]) -> Tried:
    overdue = [finding for finding in findings if finding.kind == "overdue_hold"]
    if overdue:
        while (await engine.bookings.expire_bookings(state.event.id, path="reconcile")).late_ms:
            pass  # a call releases a bounded number
    return {key_of(finding): "expired" for finding in overdue}


async def _reinstate(engine: Engine, state: EventState, findings: Iterable[Finding]) -> Tried:
    tried = Tried()
    missing = [finding for finding in findings if finding.reinstate]
    unwritten = await engine.journal.open_entries(state.event.id) if missing else []
    ahead = {entry.booking.id for entry in unwritten if entry.booking}
    for finding in missing:
        if finding.reinstate is None or finding.reinstate.id in ahead:
            tried[key_of(finding)] = "wait for the writer: the journal has a newer entry"
            continue
        try:
            await engine.bookings.reinstate_booking(finding.reinstate)
            tried[key_of(finding)] = "reinstated in Redis"
        except Refused as refusal:
            tried[key_of(finding)] = f"Redis refused it: {refusal}"
    return tried


async def _write_event(
    engine: Engine, store: Store, state: EventState, findings: Iterable[Finding]
) -> Tried:
    tried = Tried()
    for finding in findings:
        if finding.kind == "event_missing_in_postgres":
            event = state.event
            loaded = await engine.availability.read_layout(event.id, event.layout_version)
            settings = msgspec.to_builtins(event)
            blocked = {seat: value.letter == "b" for seat, value in state.seats.items()}
            try:
                await store.put_event(event.id, settings, loaded.gzipped, blocked)
                tried[key_of(finding)] = "written from Redis"
            except Rejected as error:
                tried[key_of(finding)] = f"Postgres rejected it: {error}"
    return tried


async def _write_dead_letters(engine: Engine, store: Store, findings: Iterable[Finding]) -> Tried:
    """Write each once more: what Postgres rejected may be acceptable now."""
    tried = Tried()
    for finding in findings:
        if letter := finding.letter:
            rejections = await store.write([letter.entry])
            if rejections:
                tried[key_of(finding)] = f"Postgres still rejects it: {rejections[0].error}"
            else:
                await engine.journal.forget_dead_letter(letter.entry.event_id, letter)
                tried[key_of(finding)] = "written"
    return tried


async def _write_bookings(store: Store, state: EventState, findings: Iterable[Finding]) -> Tried:
    repairs = {finding.write.id: finding.write for finding in findings if finding.write}
    # Ended bookings go first: in Postgres they may still own a seat that was sold again.
    ordered = sorted(
        repairs.values(), key=lambda booking: booking.status == BookingStatus.CONFIRMED
    )
    outcomes = await _put(store, state, ordered)
    return {key_of(finding): outcomes[finding.write.id] for finding in findings if finding.write}


async def _put(store: Store, state: EventState, bookings: Sequence[Booking]) -> dict[str, str]:
    """Write the bookings, halving the list until only rejected ones fail; the result of each."""
    if not bookings:
        return {}
    try:
        written = await store.put_bookings(bookings, state.event.epoch, state.event.position)
    except Rejected as error:
        if len(bookings) == 1:
            return {bookings[0].id: f"Postgres rejected it: {error}"}
        middle = len(bookings) // 2
        return await _put(store, state, bookings[:middle]) | await _put(
            store, state, bookings[middle:]
        )
    return {
        booking.id: "written from Redis" if booking.id in written else "Postgres has a newer state"
        for booking in bookings
    }
