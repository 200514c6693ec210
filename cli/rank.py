"""`engine rank`: the rows of an event in the order in which best available looks at them."""

import asyncio
from pathlib import Path

import click
from msgspec import Struct

from cli import output
from cli.seat_drawing import draw_seats
from cli.sources import data_option, event_id_of, json_option, settings_for
from engine.availability import LoadedLayout
from engine.engine import Engine
from engine.errors import Misconfigured
from engine.ids import EventId
from engine.models import Availability, Layout, Quality, QualityBy
from engine.plans.quality import best_rows, quality_by
from engine.settings.settings import Settings

ROWS_SHOWN = 20


class RowView(Struct, frozen=True):
    """A run of neighbouring seats. `best` and `worst` are the qualities of its seats: 0 is best."""

    section_id: str
    section: str
    row: str
    category_ids: list[str]
    index: int
    seats: int
    best: int
    worst: int


class RankView(Struct, frozen=True):
    """How seats are judged, and all rows in the order of the search."""

    event_id: EventId
    layout_version: str
    quality: Quality
    rows: list[RowView]


@click.command()
@click.argument("event")
@click.option(
    "--svg",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Draw the house into this file, its seats coloured by quality.",
)
@data_option
@json_option
def rank(event: str, svg: Path | None, data: Path, as_json: bool) -> None:
    """Show the rows of EVENT in the order of best available: by category, then the best first.

    \b
    engine rank gala                     the first 20 rows
    engine rank gala --svg gala.svg      the house, from green (best) to red
    engine rank gala --json              all rows
    """
    found = asyncio.run(_read(settings_for(data), event_id_of(event)))
    availability, loaded = found
    if not loaded.rows:
        raise Misconfigured(f"{event} has no seats: standing places are all the same")
    if svg:
        _write(svg, draw_seats(loaded.layout, availability.map, f"{event}: quality of seats"))
    with output.report():
        if as_json:
            output.show_json(_view(availability.event_id, loaded.layout))
        elif svg:
            output.say(f"{event} is drawn in {svg}")
        else:
            show_rows(loaded.layout, ROWS_SHOWN)


def show_rows(layout: Layout, count: int) -> None:
    """Print the first rows of the order as a table; nothing for a layout without seats."""
    rows = rows_of(layout, count)
    if not rows:
        return
    names = {category.id: category.name for category in layout.categories}
    cells = [
        (
            each.section,
            each.row,
            ", ".join(names[category] for category in each.category_ids),
            f"{each.seats:,}",
            f"{each.best:,}",
            f"{each.worst:,}",
        )
        for each in rows
    ]
    heading = f"Best rows first, {_judged(quality_by(layout))}: 0 is the best quality"
    output.show_table(heading, ("section", "row", "category", "seats", "best", "worst"), cells)


def rows_of(layout: Layout, count: int | None = None) -> list[RowView]:
    """The first rows of the order, or all."""
    return [
        RowView(
            section_id=each.section.id,
            section=each.section.name,
            row=each.row.id,
            category_ids=[category.id for category in each.categories],
            index=each.row.index,
            seats=len(each.row.seats),
            best=each.best,
            worst=max(each.qualities),
        )
        for each in best_rows(layout)[:count]
    ]


def _judged(quality: Quality) -> str:
    if quality.by is QualityBy.FOCUS:
        return f"by their distance to {quality.x:g},{quality.y:g}"
    return "by rank" if quality.by is QualityBy.RANK else "in the order of the plan"


def _view(event: EventId, layout: Layout) -> RankView:
    return RankView(event, layout.version, quality_by(layout), rows_of(layout))


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Misconfigured(f"--svg: cannot write {file}: {error.strerror}") from error


async def _read(settings: Settings, event: EventId) -> tuple[Availability, LoadedLayout]:
    async with await Engine.connect(settings) as engine:
        return await engine.availability.read_both(event)
