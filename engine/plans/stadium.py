"""A stadium: 50,000 seats in two tiers around a pitch, and standing room on it. Coordinates in cm.

Each tier has straight stands along the pitch and half circles behind the goals. Neighbouring seats
are 50 cm apart on the straights, and the rows of the curves get longer outwards, as in a real
stadium. One straight and one curve are computed; half a turn (x, y -> -x, -y) gives the other two.
The top row of the lower tier, level with the concourse, has wheelchair places.
"""

from collections.abc import Iterator
from math import cos, pi, sin
from typing import NamedTuple

from engine.models import LayoutArea, LayoutCategory, LayoutSeat
from engine.plans.builder import LayoutBuilder
from engine.plans.derived_ids import seat_id

STRAIGHT_CM = 8500
ROW_PITCH_CM = 80
SEAT_PITCH_CM = 50
WHEELCHAIR_PITCH_CM = 110
STAIRS_CM = 120
CENTRE_X_CM, CENTRE_Y_CM = 13_000.0, 8_500.0


class _Tier(NamedTuple):
    letter: str
    name: str
    radius_cm: int
    row_count: int
    straight_sectors: int
    curve_sectors: int
    wheelchair_row: int | None


class _Sector(NamedTuple):
    """A wedge of a tier. Sector 1 is the left one of the far straight; numbers go clockwise."""

    tier: _Tier
    number: int
    position: int
    curved: bool
    mirrored: bool


TIERS = (
    _Tier("L", "Lower tier", 3800, 26, 8, 12, 26),
    _Tier("U", "Upper tier", 3800 + 26 * ROW_PITCH_CM + 400, 26, 8, 14, None),
)

CATEGORIES = (
    LayoutCategory(id="lower-side", name="Lower tier, side", price_minor=8900, color="#c0392b"),
    LayoutCategory(id="lower-end", name="Lower tier, end", price_minor=5900, color="#e67e22"),
    LayoutCategory(id="upper-side", name="Upper tier, side", price_minor=6900, color="#2980b9"),
    LayoutCategory(id="upper-end", name="Upper tier, end", price_minor=3900, color="#7fb3d5"),
    LayoutCategory(id="wheelchair", name="Wheelchair place", price_minor=3900, color="#27ae60"),
    LayoutCategory(id="front", name="Standing, front of stage", price_minor=9900, color="#8e44ad"),
    LayoutCategory(id="floor", name="Standing, floor", price_minor=6500, color="#bb8fce"),
)

AREAS = (
    LayoutArea(id="front-left", name="Front of stage, left", category="front", capacity=1500),
    LayoutArea(id="front-right", name="Front of stage, right", category="front", capacity=1500),
    LayoutArea(id="floor", name="Floor", category="floor", capacity=9000),
)


def fill_stadium(builder: LayoutBuilder) -> None:
    """Add the stadium to a builder."""
    builder.set_focus("the middle of the pitch", CENTRE_X_CM, CENTRE_Y_CM)
    for category in CATEGORIES:
        builder.add_category(category.id, category)
    for tier in TIERS:
        for sector in _sectors(tier):
            section_id = f"{tier.letter}{sector.number:02}"
            builder.add_section(section_id, section_id, f"{tier.name} {sector.number}")
            for row in range(1, tier.row_count + 1):
                seats = [(seat.id, seat) for seat in _row_seats(sector, section_id, row)]
                builder.add_row(section_id, section_id, str(row), seats)
    for area in AREAS:
        builder.add_area(area.id, area)


def _sectors(tier: _Tier) -> Iterator[_Sector]:
    number = 0
    for mirrored in (False, True):
        for curved, count in ((False, tier.straight_sectors), (True, tier.curve_sectors)):
            for position in range(count):
                number += 1
                yield _Sector(tier, number, position, curved, mirrored)


def _row_seats(sector: _Sector, section_id: str, row: int) -> Iterator[LayoutSeat]:
    tier = sector.tier
    radius = tier.radius_cm + (row - 1) * ROW_PITCH_CM
    wheelchair = row == tier.wheelchair_row
    pitch = WHEELCHAIR_PITCH_CM if wheelchair else SEAT_PITCH_CM
    track = radius * pi if sector.curved else float(STRAIGHT_CM)
    width = track / (tier.curve_sectors if sector.curved else tier.straight_sectors)
    count = int((width - STAIRS_CM) / pitch)
    side = f"{'lower' if tier.letter == 'L' else 'upper'}-{'end' if sector.curved else 'side'}"
    for seat in range(count):
        along = (sector.position + 0.5) * width + (seat - (count - 1) / 2) * pitch
        x, y = _point(sector, radius, along)
        yield LayoutSeat(
            id=seat_id(section_id, str(row), str(seat + 1)),
            number=str(seat + 1),
            category="wheelchair" if wheelchair else side,
            x=x,
            y=y,
            accessible=wheelchair,
        )


def _point(sector: _Sector, radius: float, along: float) -> tuple[float, float]:
    """The point `along` cm clockwise from the start of a straight or a curve."""
    if sector.curved:
        angle = along / radius - pi / 2
        x, y = STRAIGHT_CM / 2 + radius * cos(angle), radius * sin(angle)
    else:
        x, y = along - STRAIGHT_CM / 2, -radius
    half_turn = -1 if sector.mirrored else 1
    return float(round(CENTRE_X_CM + half_turn * x)), float(round(CENTRE_Y_CM + half_turn * y))
