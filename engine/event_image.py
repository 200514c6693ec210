"""An event as Redis has it, computed whole: what a load and a restore put in place.

Both write the large parts to staging keys in plain pipelines; then one script puts the event in
place. So an event of any size blocks no other, and a load or restore that fails leaves nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from engine.booking_json import json_of
from engine.ids import EventId, local_id
from engine.models import Booking, BookingStatus, JournalEntry, Layout, Terms
from engine.plans import layout as layouts
from engine.plans.quality import search_keys
from engine.transport.client import Pipeline, RedisClient
from engine.transport.wire import Argument

FORMAT = 1
"""The form of an event's keys, `event.FORMAT` of the scripts: they do not touch another."""
STAGED = ("seats", "rows", "order", "bookings", "customers", "ended", "journal")
"""The keys that are staged; a load has the first three."""
STAGE_VALUES = 1000
STAGE_TTL_S = 600

Progress = Callable[[int], None]
"""Called with the number of values staged since the last call."""
T = TypeVar("T")


class EventImage(Struct, frozen=True, kw_only=True):
    """One event, with seats, areas and bookings by local id. A load has no bookings.

    `entries` start the new journal of a restore; the script of a load writes its entry itself.
    """

    event_id: EventId
    gzipped: bytes
    fields: dict[str, Argument]
    seats: dict[str, str]
    rows: dict[str, bytes]
    order: dict[str, str]
    map: str
    areas: dict[str, str]
    bookings: dict[str, Booking] = {}
    ended: dict[str, int] = {}
    entries: tuple[JournalEntry, ...] = ()

    @property
    def customers(self) -> list[str]:
        """The members of the list that purchase limits are counted from."""
        return [
            f"{booking.customer_id} {ulid}"
            for ulid, booking in self.bookings.items()
            if booking.status == BookingStatus.CONFIRMED
        ]

    @property
    def staged_counts(self) -> list[int]:
        """The number of values in each staging key."""
        parts = (
            *(self.seats, self.rows, self.order),
            *(self.bookings, self.customers, self.ended, self.entries),
        )
        return [len(part) for part in parts]

    @property
    def arguments(self) -> list[Argument]:
        """The last arguments of `load_event` and `restore_event`: all that is not staged."""
        return [self.map, self.gzipped, len(self.fields), *flat(self.fields), *flat(self.areas)]


def image_of(event: EventId, layout: Layout, terms: Terms, gzipped: bytes = b"") -> EventImage:
    """The event before any sale. The script adds epoch, position and the time of the load."""
    values, search = layouts.values_of(layout), search_keys(layout)
    capacity, blocked = layouts.capacity(layout), values.map.count("b")
    fields: dict[str, Argument] = {
        "format": FORMAT,
        **msgspec.structs.asdict(terms),
        "currency": layout.currency,
        "hold_max_ms": terms.hold_max_ms or 2 * terms.hold_ttl_ms,
        "capacity": capacity,
        "layout_version": layout.version,
        "prices": layouts.prices(layout),
        "available": capacity - blocked,
        "held": 0,
        "sold": 0,
        "blocked": blocked,
    }
    return EventImage(
        event_id=event,
        gzipped=gzipped or layouts.encode(layout),
        fields=fields,
        seats=values.seats,
        rows=search.rows,
        order=search.order,
        map=values.map,
        areas=values.areas,
    )


async def stage(
    client: RedisClient, image: EventImage, staging_keys: Sequence[str], progress: Progress
) -> None:
    """Write each part to the key of its place in STAGED.

    A load has no bookings, so it passes the first three keys. Raises what the client raises.
    """
    parts: tuple[tuple[_Write, Iterable[tuple[str, Any]]], ...] = (
        (_add_to_hash, image.seats.items()),
        (_add_to_hash, image.rows.items()),
        (_add_to_hash, image.order.items()),
        (_add_to_hash, ((ulid, json_of(booking)) for ulid, booking in image.bookings.items())),
        (_add_to_sorted_set, ((member, 0) for member in image.customers)),
        (_add_to_sorted_set, image.ended.items()),
        (_add_to_stream, ((entry.entry_id, _entry_fields(entry)) for entry in image.entries)),
    )
    for key, (write, values) in zip(staging_keys, parts, strict=False):
        for chunk in _chunks(values):
            pipeline = client.pipeline(transaction=False)
            write(pipeline, key, chunk)
            for each in staging_keys:
                pipeline.expire(each, STAGE_TTL_S)
            await pipeline.execute()
            progress(len(chunk))


def flat(
    pairs: Mapping[str, Argument] | Mapping[str, str] | Mapping[str, bytes],
) -> Iterator[Argument]:
    """Name, value, name, value: the form in which scripts read pairs."""
    return chain.from_iterable(pairs.items())


_Write = Callable[[Pipeline, str, Sequence[tuple[str, Any]]], None]


def _add_to_hash(pipeline: Pipeline, key: str, chunk: Sequence[tuple[str, Any]]) -> None:
    pipeline.hset(key, mapping=dict(chunk))


def _add_to_sorted_set(pipeline: Pipeline, key: str, chunk: Sequence[tuple[str, Any]]) -> None:
    pipeline.zadd(key, dict(chunk))


def _add_to_stream(pipeline: Pipeline, key: str, chunk: Sequence[tuple[str, Any]]) -> None:
    for entry_id, fields in chunk:
        pipeline.xadd(key, fields, id=entry_id)


def _entry_fields(entry: JournalEntry) -> dict[str, Argument]:
    """The fields that `lua/lib/journal.lua` writes."""
    fields: dict[str, Argument] = {"kind": entry.kind, "at_ms": entry.at_ms, "epoch": entry.epoch}
    if entry.booking is None:
        return fields | {"event": msgspec.json.encode(entry.event)}
    return fields | {"booking_id": local_id(entry.booking.id), "booking": json_of(entry.booking)}


def _chunks(values: Iterable[T]) -> Iterator[list[T]]:
    source = iter(values)
    while chunk := list(islice(source, STAGE_VALUES)):
        yield chunk
