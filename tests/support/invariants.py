"""The promises G1 to G6 recomputed from everything there is: Redis raw, its journal, Postgres.

`engine.invariants` has what one snapshot of Redis can break (G1, G3, G4). Here it is joined by
what needs more: the journal replayed from the start (G2: what was answered is there, G4), the
requests that were answered (G5) and Postgres (G6, by the reconciler). For trials, and the
aftermath of wars: whatever was done to the system, afterwards this list is empty.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from engine import Engine, keys
from engine.event_state import EventState, read_state
from engine.ids import EventId
from engine.invariants import check
from engine.models import JournalEntry, SalesState
from persistence.database import Pool
from persistence.reconcile.reconciler import reconcile
from tests.model.views import expected, of_state
from tests.support.history import read_journal
from tests.support.raw_redis import raw
from tests.support.replay import replay


async def broken_promises(engine: Engine, event: EventId, pool: "Pool | None" = None) -> list[str]:
    """Every broken promise of an event at rest, each in a line. With `pool`, Postgres' too.

    At rest: nothing changes meanwhile; the lag of Postgres is not forgiven either.
    """
    state = await read_state(engine, event)
    entries = await read_journal(engine, event)
    broken = [f"{v.kind} {v.subject}: {v.detail}" for v in check(state)]
    broken += await _ended(engine, state)
    broken += await _requests(engine, event, entries)
    broken += _once(entries)
    if entries and entries[0].kind == "event_loaded":  # else trimmed, or restored from Postgres
        broken += _replayed(state, entries)
    if pool:
        report = await reconcile(engine, pool, [event], lag_ms=0)
        broken += [f"{found.kind} {found.subject}: {found.detail}" for found in report.differences]
    return broken


def _replayed(state: EventState, entries: Sequence[JournalEntry]) -> Iterator[str]:
    """G2, G4: the journal alone leads to the state of Redis."""
    if entries[-1].entry_id != state.event.position:
        yield f"position: {state.event.position}, the journal ends at {entries[-1].entry_id}"
    model = replay(entries)
    for ulid, at_ms in list(model.forget_at_ms.items()):
        if ulid not in state.bookings and at_ms <= state.now_ms:
            del model.bookings[ulid]  # forgotten in time
    found, replayed = of_state(state), expected(model)
    if state.event.sales is SalesState.RESTORING:
        replayed["sales"] = found["sales"]
    for name in found:
        yield from _differing(name, found[name], replayed[name])


def _differing(name: str, found: Any, replayed: Any) -> Iterator[str]:
    if isinstance(found, dict):
        for key in sorted(found.keys() | replayed.keys()):
            if found.get(key) != replayed.get(key):
                yield f"replay: {name} {key}: {found.get(key)}, by the journal {replayed.get(key)}"
    elif found != replayed:
        yield f"replay: {name}: {found}, by the journal {replayed}"


def _once(entries: Sequence[JournalEntry]) -> Iterator[str]:
    """G1, G5: a booking is held once, and owed once."""
    for kind in ("seats_held", "refund_due", "booking_cancelled"):
        counts = Counter(e.booking.id for e in entries if e.kind == kind and e.booking)
        yield from (f"{kind} {id_}: {n} times" for id_, n in counts.items() if n > 1)


async def _ended(engine: Engine, state: EventState) -> Iterator[str]:
    """Every ended booking leaves Redis some day, and no other does."""
    listed = await raw(engine).zrange(keys.of_event(state.event.id).ended, 0, -1)
    named = {ulid.decode() for ulid in listed}
    ended = {u for u, b in state.bookings.items() if b.status not in ("pending", "confirmed")}
    return iter([f"ended {ulid}: listed, or ended, not both" for ulid in named ^ ended])


async def _requests(
    engine: Engine, event: EventId, entries: Sequence[JournalEntry]
) -> Iterator[str]:
    """G5: what a request was answered with was held once."""
    held = {e.booking.id for e in entries if e.kind == "seats_held" and e.booking}
    trimmed = not entries or entries[0].kind != "event_loaded"
    broken = []
    async for name in raw(engine).scan_iter(f"{{{event}}}:request:*", count=1000):
        kept = await engine.client.get(name)
        ulid = kept.decode().split()[1] if kept else ""
        if kept and not trimmed and f"{event}:{ulid}" not in held:
            broken.append(f"request {name.decode()}: {ulid} was never held")
    return iter(broken)
