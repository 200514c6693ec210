"""What is read off a finished layout: the map, the values of seats and areas, the capacity.

A row's `index` decides where its seats stand in the map, never the order of the sections: seats
added later stand at the end of the map, in whichever section they are. Between two rows there is
one `/`. A category's number is its position in `layout.categories`, from 0.
"""

import gzip
import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from engine.models import Layout, LayoutRow


def rows_of(layout: Layout) -> Iterator[LayoutRow]:
    """Every row of every section."""
    for section in layout.sections:
        yield from section.rows


def map_length(layout: Layout) -> int:
    """How many bytes the map has."""
    return max((row.index + len(row.seats) for row in rows_of(layout)), default=0)


class LayoutValues(NamedTuple):
    """A layout as Redis has it before any sale: a value a seat and an area, and the map.

    `seats` has `<index>,<category number>,<letter>` by seat id (without the event), row by row;
    `areas` has `<capacity>,<category number>,<held>,<sold>` by area id; `map` has `a` or `b` a
    seat, by index, and `/` between rows.
    """

    seats: dict[str, str]
    map: str
    areas: dict[str, str]


def values_of(layout: Layout) -> LayoutValues:
    """What a load puts into Redis, all of it read in one pass."""
    numbers = {category.id: number for number, category in enumerate(layout.categories)}
    seats: dict[str, str] = {}
    letters: list[str] = []
    for row in rows_of(layout):
        letters += "/" * (row.index + len(row.seats) - len(letters))
        for index, seat in enumerate(row.seats, row.index):
            letter = letters[index] = "b" if seat.blocked else "a"
            seats[seat.id] = f"{index},{numbers[seat.category]},{letter}"
    areas = {area.id: f"{area.capacity},{numbers[area.category]},0,0" for area in layout.areas}
    return LayoutValues(seats, "".join(letters), areas)


def prices(layout: Layout) -> str:
    """The price of each category, by its number."""
    return ",".join(str(category.price_minor) for category in layout.categories)


def capacity(layout: Layout) -> int:
    """All places: seats, blocked ones too, and the capacity of the standing areas."""
    seats = sum(len(row.seats) for row in rows_of(layout))
    return seats + sum(area.capacity for area in layout.areas)


def with_version(layout: Layout) -> Layout:
    """The same layout under the version its content gives: 16 hex digits."""
    content = msgspec.json.encode(msgspec.structs.replace(layout, version=""))
    version = hashlib.blake2b(content, digest_size=8).hexdigest()
    return msgspec.structs.replace(layout, version=version)


def encode(layout: Layout) -> bytes:
    """Gzipped JSON, as Redis keeps it and the API serves it; the same layout, the same bytes."""
    return gzip.compress(msgspec.json.encode(layout), mtime=0)


def decode(gzipped: bytes) -> Layout:
    """The layout `encode` was given."""
    return msgspec.json.decode(gzip.decompress(gzipped), type=Layout)
