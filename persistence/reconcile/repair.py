"""Mends what is safe to mend: what one side can be told from the other without taking anything.

Redis first (it decides), with what it can recompute and what only Postgres remembers; then
Postgres, by the same forward-only code as the writer. A seat with two owners, and an owner or an
amount that differs, is never touched: a person has to decide. What was tried is told by finding;
`reconciler` looks again to see what helped.
"""

from collections.abc import Iterable, Sequence

import msgspec

from engine import Booking, BookingStatus, Engine, Refused
from engine.event_state import EventState
from persistence.journal.rejections import Rejected
from persistence.journal.tables import Store, event_row
from persistence.reconcile.comparison import Finding

_RECOMPUTED = {
    *("orphan_hold", "counts_differ", "map_differs", "area_differs"),
    *("deadline_differs", "customer_differs"),
}

Key = tuple[str, str]
Tried = dict[Key, str]
"""What was done about which finding."""


def key_of(finding: Finding) -> Key:
    """What makes it the same finding when it is looked for again."""
    return finding.kind, finding.subject


async def repair_event(
    engine: Engine, store: Store, state: EventState, findings: Sequence[Finding]
) -> Tried:
    """Mend what is safe, in an order in which one step may help the next."""
    return (
        await _recompute(engine, state, findings)
        | await _expire(engine, state, findings)
        | await _reinstate(engine, state, findings)
        | await _write_event(engine, store, state, findings)
        | await _write_bookings(store, state, findings)
        | await _write_dead_letters(engine, store, findings)
    )


async def _recompute(engine: Engine, state: EventState, findings: Iterable[Finding]) -> Tried:
    derived = [finding for finding in findings if finding.kind in _RECOMPUTED]
    if not derived:
        return {}
    mended = await engine.events.repair_event(state.event.id)
    counted = ", ".join(f"{count} {name}" for name, count in sorted(mended.items()) if count)
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
            tried[key_of(finding)] = "wait for the writer: the journal says more of it"
            continue
        try:
            await engine.bookings.reinstate_booking(finding.reinstate)
            tried[key_of(finding)] = "given back to Redis"
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
            row = event_row(event.id, settings, event.epoch, loaded.gzipped)
            try:
                await store.put_event(row)
                tried[key_of(finding)] = "written from Redis"
            except Rejected as error:
                tried[key_of(finding)] = f"Postgres refused it: {error}"
    return tried


async def _write_dead_letters(engine: Engine, store: Store, findings: Iterable[Finding]) -> Tried:
    """Try each once more: what stood in its way may be gone."""
    tried = Tried()
    for finding in findings:
        if letter := finding.letter:
            refusals = await store.write([letter.entry])
            if refusals:
                tried[key_of(finding)] = f"Postgres refuses it still: {refusals[0].error}"
            else:
                await engine.journal.forget_dead_letter(letter.entry.event_id, letter)
                tried[key_of(finding)] = "written at last"
    return tried


async def _write_bookings(store: Store, state: EventState, findings: Iterable[Finding]) -> Tried:
    mends = {finding.write.id: finding.write for finding in findings if finding.write}
    # What has ended goes first: it may still own, in Postgres, a seat that was sold again.
    ordered = sorted(mends.values(), key=lambda booking: booking.status == BookingStatus.CONFIRMED)
    outcomes = await _put(store, state, ordered)
    return {key_of(finding): outcomes[finding.write.id] for finding in findings if finding.write}


async def _put(store: Store, state: EventState, bookings: Sequence[Booking]) -> dict[str, str]:
    """Write the bookings, halved until only those fail that must; what became of each."""
    if not bookings:
        return {}
    try:
        written = await store.put_bookings(bookings, state.event.epoch, state.event.position)
    except Rejected as error:
        if len(bookings) == 1:
            return {bookings[0].id: f"Postgres refused it: {error}"}
        middle = len(bookings) // 2
        return await _put(store, state, bookings[:middle]) | await _put(
            store, state, bookings[middle:]
        )
    return {
        booking.id: "written from Redis" if booking.id in written else "Postgres has a newer state"
        for booking in bookings
    }
