"""The whole state of an event, as Redis has it and as the model says it must be.

A view is plain data, so that a difference is shown field by field. What the real clock decides
(when it was loaded, under which stream id something was noted) is left out; that keys have the
TTL they were given is looked at with a margin.
"""

from collections.abc import Collection
from itertools import groupby
from typing import Any, NamedTuple

import msgspec

from engine import Engine, keys
from engine.booking_json import booking_of
from engine.event_state import EventState, read_state
from engine.ids import EventId
from engine.invariants import check
from engine.journal import Fields
from engine.models import BookingStatus
from engine.plans import layout as layouts
from tests.model.box_office_model import CONFIRMED, PENDING, BoxOfficeModel
from tests.support.raw_redis import raw

BRIEF_MS = 5_000
"""A timer no longer than this may be gone by the real clock before it is looked at."""
MARGIN_MS = 30_000
"""How long a step may take by the real clock before a TTL is thought to be wrong."""

View = dict[str, Any]


class Seen(NamedTuple):
    """What Redis has, what was noted since the last look, and how long the hold keys last."""

    view: View
    last: str
    noted: list[Any]
    left_ms: dict[str, int]


async def see(engine: Engine, event: EventId, last: str, timers: Collection[str]) -> Seen:
    """Look at Redis, at the journal behind `last`, at the hold keys of these bookings.

    Redis' own promises are checked on the way, but that holds end by its clock.
    """
    state = await read_state(engine, event)
    broken = [v for v in check(state) if v.kind != "overdue_hold"]
    assert broken == [], broken
    named = keys.of_event(event)
    pipeline = raw(engine).pipeline(transaction=False)
    pipeline.zrange(named.ended, 0, -1, withscores=True)
    pipeline.get(keys.layout(event))
    pipeline.hget(named.event, "prices")
    pipeline.xrange(named.journal, min=f"({last}")
    pipeline.keys(f"{{{event}}}:*")
    for ulid in timers:
        pipeline.pttl(keys.hold(event, ulid))
    ended, layout, prices, entries, names, *left_ms = await pipeline.execute()
    newest = entries[-1][0].decode() if entries else last
    assert state.event.position == newest, "the position is not the newest entry's"
    view = {
        **of_state(state),
        "layout": layouts.decode(layout).version,
        "prices": prices.decode(),
        "forget_at_ms": {ulid.decode(): int(at_ms) for ulid, at_ms in ended},
        "timers": sorted(name.decode()[-26:] for name in names if b"}:hold:" in name),
        "requests": len([name for name in names if b"}:request:" in name]),
        "others": sorted(name for name in names if b"}:loading:" in name),
    }
    noted = _settled([_entry(event, fields) for _, fields in entries])
    return Seen(view, newest, noted, dict(zip(timers, left_ms, strict=True)))


def of_state(state: EventState) -> View:
    """What the snapshot of `engine verify` says."""
    event = state.event
    return {
        "seats": {seat: msgspec.structs.astuple(value) for seat, value in state.seats.items()},
        "map": state.map,
        "areas": {area: msgspec.structs.astuple(value) for area, value in state.areas.items()},
        "bookings": state.bookings,
        "deadlines": state.deadlines,
        "customers": state.customers,
        "counts": msgspec.structs.astuple(event.counts),
        "sales": (str(event.sales), event.opens_at_ms, event.closes_at_ms),
        "terms": (event.name, event.owner_id, event.seats_max, event.customer_max),
        "times": (event.hold_ttl_ms, event.hold_max_ms, event.ended_ttl_ms),
        "start": (event.starts_at_ms, event.time_zone, event.cancel_until_ms),
        "payment": (event.late_payment, event.payment_max_ms),
        "version": (event.layout_version, event.currency, event.capacity, event.epoch),
    }


def expected(model: BoxOfficeModel) -> View:
    """What Redis must have."""
    event, terms = model.event, model.event.terms
    seats = _seats(model)
    letters = ["/"] * layouts.map_length(event.layout)
    for index, _, letter, _, _ in seats.values():
        letters[index] = letter
    held, sold, blocked = model.count(PENDING), model.count(CONFIRMED), len(event.blocked)
    active, owed = model.active(), event.capacity() - held - sold - blocked
    return {
        "seats": seats,
        "map": "".join(letters),
        "areas": {
            area: (
                *(value.capacity, value.category),
                *(model.area_places(area, PENDING), model.area_places(area, CONFIRMED)),
            )
            for area, value in event.areas.items()
        },
        "bookings": model.bookings,
        "deadlines": {u: b.expires_at_ms for u, b in active if b.status is PENDING},
        "customers": frozenset(f"{booking.customer_id} {ulid}" for ulid, booking in active),
        "counts": (owed, held, sold, blocked),
        "sales": (str(terms.sales), terms.opens_at_ms, terms.closes_at_ms),
        "terms": (terms.name, terms.owner_id, terms.seats_max, terms.customer_max),
        "times": (terms.hold_ttl_ms, event.hold_max_ms, terms.ended_ttl_ms),
        "start": (terms.starts_at_ms, terms.time_zone, terms.cancel_until_ms),
        "payment": (terms.late_payment, terms.payment_max_ms),
        "version": (event.layout.version, event.layout.currency, event.capacity(), event.epoch),
        "layout": event.layout.version,
        "prices": ",".join(map(str, event.prices)),
        "forget_at_ms": model.forget_at_ms,
        "timers": sorted(model.timers),
        "requests": len(model.requests),
        "others": [],
    }


def _seats(model: BoxOfficeModel) -> dict[str, tuple[int, int, str, str, int]]:
    """Every seat as the hash has it: a hold carries its deadline, a sale its booking alone."""
    letters = {BookingStatus.PENDING: "h", BookingStatus.CONFIRMED: "s"}
    owned = {
        seat: (
            letters[booking.status],
            ulid,
            booking.expires_at_ms if booking.status is PENDING else 0,
        )
        for ulid, booking in model.active()
        for seat in model.local_seats(booking)
    }
    free = {
        seat: ("b" if seat in model.event.blocked else "a", "", 0) for seat in model.event.seats
    }
    return {seat: (*model.event.seats[seat], *owned.get(seat, free[seat])) for seat in free}


def to_be_noted(model: BoxOfficeModel) -> list[Any]:
    """The entries that must have come since this was asked last."""
    noted: list[Any] = [(kind, "1", said) for kind, said in model.event.noted]
    noted += [(kind, "1", str(at_ms), booking) for kind, at_ms, booking in model.noted]
    model.noted.clear()
    model.event.noted.clear()
    return _settled(noted)


def _entry(event: EventId, fields: Fields) -> tuple[Any, ...]:
    kind, epoch = fields[b"kind"].decode(), fields[b"epoch"].decode()
    if b"booking" in fields:
        booking = booking_of(event, fields[b"booking_id"].decode(), fields[b"booking"])
        return kind, epoch, fields[b"at_ms"].decode(), booking
    said = msgspec.json.decode(fields[b"event"], type=dict[str, str])
    if kind == "event_loaded":
        assert said.pop("loaded_at_ms") == fields[b"at_ms"].decode()
    assert (b"layout" in fields) == (kind in ("event_loaded", "seats_added"))
    return kind, epoch, said


def _settled(entries: list[Any]) -> list[Any]:
    """Holds that one request expires may be in any order; they come before what it holds."""
    settled = list[Any]()
    for is_expired, run in groupby(entries, lambda entry: entry[0] == "booking_expired"):
        entries_of_run = list(run)
        if is_expired:
            entries_of_run.sort(key=lambda entry: str(entry[3].id))
        settled += entries_of_run
    return settled
