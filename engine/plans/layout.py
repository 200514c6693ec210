"""What is read off a finished layout: the map, the values of seats and areas, the capacity.

A row's `index` decides where its seats stand in the map, never the order of the sections: seats
added later stand at the end of the map, in whichever section they are. Between two rows there is
one `/`. A category's number is its position in `layout.categories`, from 0.
"""

import gzip
import hashlib
from collections.abc import Iterator

import msgspec

from engine.models import Layout, LayoutRow


def rows_of(layout: Layout) -> Iterator[LayoutRow]:
    """Every row of every section."""
    for section in layout.sections:
        yield from section.rows


def map_of(layout: Layout) -> str:
    """The map before any sale: `a` or `b` a seat, `/` between rows."""
    letters = bytearray(b"/" * map_length(layout))
    for row in rows_of(layout):
        run = bytes(b"b"[0] if seat.blocked else b"a"[0] for seat in row.seats)
        letters[row.index : row.index + len(run)] = run
    return letters.decode()


def map_length(layout: Layout) -> int:
    """How many bytes the map has."""
    return max((row.index + len(row.seats) for row in rows_of(layout)), default=0)


def seat_values(layout: Layout) -> Iterator[tuple[str, str]]:
    """Seat id (without the event) and `<index>,<category number>,<letter>`, row by row."""
    numbers = _category_numbers(layout)
    for row in rows_of(layout):
        for index, seat in enumerate(row.seats, row.index):
            letter = "b" if seat.blocked else "a"
            yield seat.id, f"{index},{numbers[seat.category]},{letter}"


def area_values(layout: Layout) -> Iterator[tuple[str, str]]:
    """Area id and `<capacity>,<category number>,<held>,<sold>`, before any sale."""
    numbers = _category_numbers(layout)
    for area in layout.areas:
        yield area.id, f"{area.capacity},{numbers[area.category]},0,0"


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


def _category_numbers(layout: Layout) -> dict[str, int]:
    return {category.id: number for number, category in enumerate(layout.categories)}
