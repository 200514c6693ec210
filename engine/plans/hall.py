"""A concert hall of about 2,000 seats: stalls, two balconies, boxes. Coordinates in cm.

All rows are arcs around one point behind the stage, so every seat faces it. A block is a wedge
between two angles; each row has as many seats as fit, so rows have more seats towards the back. The
last row of the stalls, level with the doors, has wheelchair places; boxes line the side walls.
"""

from collections.abc import Iterable, Iterator
from math import cos, radians, sin
from typing import NamedTuple

from engine.models import LayoutCategory, LayoutSeat
from engine.plans.builder import LayoutBuilder
from engine.plans.derived_ids import seat_id

ROW_PITCH_CM = 95
SEAT_PITCH_CM = 56
WHEELCHAIR_PITCH_CM = 120
CENTRE_X_CM, CENTRE_Y_CM = 3000.0, -1100.0
STAGE_X_CM, STAGE_Y_CM = CENTRE_X_CM, 200.0
"""The focal point: the middle of the stage, 3 m before the first row."""
BOX_COUNT = 8
BOX_FIRST_CM, BOX_PITCH_CM, BOX_CHAIR_PITCH_CM = 1650, 260, 70
BOX_ANGLE_DEG = 31.5
ROW_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class _Block(NamedTuple):
    """A wedge of rows. The first `front_rows` are of the category `front`, the others of `rear`."""

    section_id: str
    name: str
    first_cm: int
    row_count: int
    from_deg: float
    to_deg: float
    front_rows: int
    front: str
    rear: str
    wheelchair: bool = False


class _Place(NamedTuple):
    category: str
    x: float
    y: float


CATEGORIES = (
    LayoutCategory(id="premium", name="Premium", price_minor=9800, color="#922b21"),
    LayoutCategory(id="stalls", name="Stalls", price_minor=7600, color="#cb4335"),
    LayoutCategory(id="box", name="Box", price_minor=8800, color="#b7950b"),
    LayoutCategory(id="balcony", name="First balcony", price_minor=6200, color="#1f618d"),
    LayoutCategory(id="upper", name="Second balcony", price_minor=3900, color="#5499c7"),
    LayoutCategory(id="rear", name="Rear", price_minor=2400, color="#a9cce3"),
    LayoutCategory(id="wheelchair", name="Wheelchair place", price_minor=2400, color="#1e8449"),
)

BLOCKS = (
    _Block("SL", "Stalls left", 1600, 20, -29.0, -10.7, 14, "stalls", "balcony", True),
    _Block("SC", "Stalls centre", 1600, 20, -9.3, 9.3, 12, "premium", "stalls", True),
    _Block("SR", "Stalls right", 1600, 20, 10.7, 29.0, 14, "stalls", "balcony", True),
    _Block("1L", "First balcony left", 3900, 7, -33.0, -11.6, 3, "balcony", "upper"),
    _Block("1C", "First balcony centre", 3900, 7, -10.4, 10.4, 3, "stalls", "balcony"),
    _Block("1R", "First balcony right", 3900, 7, 11.6, 33.0, 3, "balcony", "upper"),
    _Block("2L", "Second balcony left", 4800, 6, -33.0, -11.5, 3, "upper", "rear"),
    _Block("2C", "Second balcony centre", 4800, 6, -10.5, 10.5, 3, "upper", "rear"),
    _Block("2R", "Second balcony right", 4800, 6, 11.5, 33.0, 3, "upper", "rear"),
)


def fill_hall(builder: LayoutBuilder) -> None:
    """Add the concert hall to a builder."""
    builder.set_focus("the stage", STAGE_X_CM, STAGE_Y_CM)
    for category in CATEGORIES:
        builder.add_category(category.id, category)
    for block in BLOCKS:
        builder.add_section(block.section_id, block.section_id, block.name)
        for row in range(block.row_count):
            _add_row(builder, block.section_id, ROW_LETTERS[row], _block_row(block, row))
    for section_id, name, side in (("BL", "Boxes left", -1), ("BR", "Boxes right", 1)):
        builder.add_section(section_id, section_id, name)
        for box in range(BOX_COUNT):
            _add_row(builder, section_id, str(box + 1), _box(box, side))


def _add_row(builder: LayoutBuilder, section_id: str, row: str, places: Iterable[_Place]) -> None:
    seats = [
        LayoutSeat(
            id=seat_id(section_id, row, str(number)),
            number=str(number),
            category=place.category,
            x=place.x,
            y=place.y,
            accessible=place.category == "wheelchair",
        )
        for number, place in enumerate(places, 1)
    ]
    builder.add_row(section_id, section_id, row, [(seat.id, seat) for seat in seats])


def _block_row(block: _Block, row: int) -> Iterator[_Place]:
    wheelchair = block.wheelchair and row == block.row_count - 1
    category = "wheelchair" if wheelchair else block.front if row < block.front_rows else block.rear
    pitch = WHEELCHAIR_PITCH_CM if wheelchair else SEAT_PITCH_CM
    radius = block.first_cm + row * ROW_PITCH_CM
    count = int(radians(block.to_deg - block.from_deg) * radius / pitch)
    middle = radians((block.from_deg + block.to_deg) / 2)
    for seat in range(count):
        yield _place(category, radius, middle + (seat - (count - 1) / 2) * pitch / radius)


def _box(box: int, side: int) -> Iterator[_Place]:
    """Six chairs along the side wall: three at the rail, three behind."""
    for behind in (0, BOX_CHAIR_PITCH_CM):
        for chair in range(3):
            radius = BOX_FIRST_CM + box * BOX_PITCH_CM + chair * BOX_CHAIR_PITCH_CM
            yield _place("box", radius, side * radians(BOX_ANGLE_DEG), side * behind)


def _place(category: str, radius: float, angle: float, sideways: float = 0) -> _Place:
    """A place at an angle from the hall's axis (to the right > 0), and cm off that line."""
    x = CENTRE_X_CM + radius * sin(angle) + sideways * cos(angle)
    y = CENTRE_Y_CM + radius * cos(angle) - sideways * sin(angle)
    return _Place(category, float(round(x)), float(round(y)))
