"""Places by section, counted from the map: one string, without reading the seats."""

from collections.abc import Sequence
from typing import NamedTuple

from engine.engine import Engine
from engine.ids import EventId
from engine.models import AreaCounts, Availability, Counts, Layout


class SectionCounts(NamedTuple):
    """A section or a standing area, and its places by status."""

    name: str
    counts: Counts


class SectionReader:
    """Counts the map again only if it has changed."""

    def __init__(self, engine: Engine, event: EventId) -> None:
        self._engine = engine
        self._event = event
        self._counted: Availability | None = None
        self._sections: list[SectionCounts] = []

    async def read(self) -> list[SectionCounts]:
        """Every section and area now. Raises: EventNotFound, Unavailable, OutcomeUnknown."""
        found = await self._engine.availability.read_map(self._event)
        if found is not self._counted:
            version = found.layout_version
            loaded = await self._engine.availability.read_layout(self._event, version)
            self._sections = sections_of(loaded.layout, found.map, found.areas)
            self._counted = found
        return self._sections


def sections_of(layout: Layout, letters: str, areas: Sequence[AreaCounts]) -> list[SectionCounts]:
    """Places by status of every section, in the plan's sequence, then of every standing area."""
    found = []
    for section in layout.sections:
        runs = [letters[row.index : row.index + len(row.seats)] for row in section.rows]
        counted = [sum(run.count(letter) for run in runs) for letter in "ahsb"]
        found.append(SectionCounts(section.name or section.id, Counts(*counted)))
    names = {area.id: area.name for area in layout.areas}
    for area in areas:
        counts = Counts(area.available, area.held, area.sold, 0)
        found.append(SectionCounts(names.get(area.area_id) or area.area_id, counts))
    return found
