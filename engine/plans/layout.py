"""Derives from a layout what Redis needs: the map, the values of seats and areas, the capacity.

The `index` of a row decides where its seats are in the map, not the order of the sections: seats
added later are at the end of the map, whatever their section. Between two rows there is one `/`.
The number of a category is its index in `layout.categories`.
"""

import gzip
import hashlib
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from engine.models import (
    Layout,
    LayoutArea,
    LayoutCategory,
    LayoutRow,
    LayoutSection,
    Quality,
)


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


PIECE_BYTES = 64 * 1024


class SplitSection(Struct, frozen=True):
    """A section whose rows are still JSON: arrays of rows, each of about PIECE_BYTES."""

    id: str
    name: str
    pieces: tuple[bytes, ...]


class SplitLayout(Struct, frozen=True):
    """A layout whose rows are still JSON, as `child_process.split` returns it."""

    version: str
    currency: str
    categories: tuple[LayoutCategory, ...]
    sections: tuple[SplitSection, ...]
    areas: tuple[LayoutArea, ...]
    quality: Quality | None = None


def split(gzipped: bytes) -> SplitLayout:
    """Unpack an encoded layout and find its rows. Holds the GIL: 600,000 seats take 0.2 s."""
    raw = msgspec.json.decode(gzip.decompress(gzipped), type=_RawLayout)
    sections = tuple(
        SplitSection(section.id, section.name, tuple(_pieces(section.rows)))
        for section in raw.sections
    )
    return SplitLayout(raw.version, raw.currency, raw.categories, sections, raw.areas, raw.quality)


def _pieces(rows: Iterable[msgspec.Raw]) -> Iterator[bytes]:
    piece, size = list[bytes](), 0
    for row in map(bytes, rows):
        piece.append(row)
        size += len(row)
        if size >= PIECE_BYTES:
            yield b"[%b]" % b",".join(piece)
            piece, size = [], 0
    if piece:
        yield b"[%b]" % b",".join(piece)


def join(parts: SplitLayout, pause_s: float = 0.0) -> Layout:
    """Decode the rows of a layout, piece by piece: none holds the GIL for long.

    In a thread, a pause after each piece gives the GIL to the event loop. Without it, CPython lets
    the event loop wait 5 ms (`sys.getswitchinterval`), many times in one request.
    """
    sections = tuple(
        LayoutSection(
            id=section.id, name=section.name, rows=tuple(_join_rows(section.pieces, pause_s))
        )
        for section in parts.sections
    )
    return Layout(
        version=parts.version,
        currency=parts.currency,
        categories=parts.categories,
        sections=sections,
        areas=parts.areas,
        quality=parts.quality,
    )


def _join_rows(pieces: Iterable[bytes], pause_s: float) -> list[LayoutRow]:
    rows = list[LayoutRow]()
    for piece in pieces:
        rows += _decode_rows(piece)
        if pause_s:
            time.sleep(pause_s)
    return rows


def decode(gzipped: bytes) -> Layout:
    """The layout that `encode` encoded."""
    return join(split(gzipped))


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
    quality: Quality | None = None


_decode_rows = msgspec.json.Decoder(tuple[LayoutRow, ...]).decode
