"""Derives from a layout what Redis needs: the map, the values of seats and areas, the capacity.

The `index` of a row decides where its seats are in the map, not the order of the sections: seats
added later are at the end of the map, whatever their section. Between two rows there is one `/`.
The number of a category is its index in `layout.categories`.
"""

import gzip
import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from engine.models import Layout, LayoutArea, LayoutCategory, LayoutRow, LayoutSection


def rows_of(layout: Layout) -> Iterator[LayoutRow]:
    """Every row of every section."""
    for section in layout.sections:
        yield from section.rows


def map_length(layout: Layout) -> int:
    """The length of the map in bytes."""
    return max((row.index + len(row.seats) for row in rows_of(layout)), default=0)


class LayoutValues(NamedTuple):
    """A layout as Redis has it before any sale.

    `seats` maps a local seat id to `<index>,<category number>,<letter>`, row by row. `areas` maps
    an area id to `<capacity>,<category number>,<held>,<sold>`. `map` has `a` or `b` for each seat,
    by index, and `/` between rows.
    """

    seats: dict[str, str]
    map: str
    areas: dict[str, str]


def values_of(layout: Layout) -> LayoutValues:
    """Seats, map and areas of a layout, computed in one pass."""
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
    """The prices by category number, separated by commas."""
    return ",".join(str(category.price_minor) for category in layout.categories)


def capacity(layout: Layout) -> int:
    """The number of places: seats, including blocked ones, and the capacity of the areas."""
    seats = sum(len(row.seats) for row in rows_of(layout))
    return seats + sum(area.capacity for area in layout.areas)


def with_version(layout: Layout) -> Layout:
    """The same layout with its version: a hash of its content, 16 hex digits."""
    content = msgspec.json.encode(replace(layout, version=""))
    version = hashlib.blake2b(content, digest_size=8).hexdigest()
    return replace(layout, version=version)


def difference(layout: Layout, known: Layout) -> Layout:
    """What `layout` has beyond `known`, of which it is an extension: a layout with only that.

    It has the version and all categories of `layout`, because the new places refer to them.
    """
    start, sections = map_length(known), {section.id for section in known.sections}
    areas = {area.id for area in known.areas}
    grown = (
        replace(section, rows=tuple(row for row in section.rows if row.index >= start))
        for section in layout.sections
    )
    return replace(
        layout,
        sections=tuple(each for each in grown if each.rows or each.id not in sections),
        areas=tuple(area for area in layout.areas if area.id not in areas),
    )


def extended(known: Layout, added: Layout) -> Layout:
    """The layout of which `added` is the difference from `known`."""
    more = {section.id: section for section in added.sections}
    sections = [
        replace(section, rows=section.rows + more.pop(section.id).rows)
        if section.id in more
        else section
        for section in known.sections
    ]
    return replace(added, sections=(*sections, *more.values()), areas=known.areas + added.areas)


def encode(layout: Layout) -> bytes:
    """Gzipped JSON, as Redis stores it and the API serves it. Equal layouts give equal bytes."""
    return gzip.compress(msgspec.json.encode(layout), mtime=0)


def decode(gzipped: bytes) -> Layout:
    """The layout that `encode` encoded.

    Row by row, so that in a thread no decoding holds the GIL for long: an event loop beside it goes
    on. Decoding 600,000 seats at once holds it for most of a second.
    """
    raw = msgspec.json.decode(gzip.decompress(gzipped), type=_RawLayout)
    sections = tuple(
        LayoutSection(
            id=section.id,
            name=section.name,
            rows=tuple([_decode_row(row) for row in section.rows]),  # map() would keep the GIL
        )
        for section in raw.sections
    )
    return Layout(
        version=raw.version,
        currency=raw.currency,
        categories=raw.categories,
        sections=sections,
        areas=raw.areas,
    )


class _RawSection(Struct, frozen=True):
    id: str
    name: str
    rows: tuple[msgspec.Raw, ...]


class _RawLayout(Struct, frozen=True):
    version: str
    currency: str
    categories: tuple[LayoutCategory, ...]
    sections: tuple[_RawSection, ...]
    areas: tuple[LayoutArea, ...]


_decode_row = msgspec.json.Decoder(LayoutRow).decode
