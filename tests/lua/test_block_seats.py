"""block_seats.lua: off sale and back, never over a customer's head."""

import asyncpg
import pytest

from engine import Engine, Settings
from engine.errors import EventNotFound, NotOwner, SeatNotFound, SeatTaken
from engine.events import BLOCK_SEATS_MAX
from engine.ids import SeatId
from engine.models import Counts, Event
from persistence import database
from persistence.journal.tables import Store
from tests.support.box_office import BoxOffice
from tests.support.factories import GALA


async def _block(office: BoxOffice, *seats: str, blocked: bool = True, owner: str = "") -> Event:
    ids = [SeatId(f"gala:{seat}") for seat in seats]
    return await office.engine.events.block_seats(GALA, ids, blocked=blocked, owner_id=owner)


async def test_block_seats_takes_them_off_sale_and_back(office: BoxOffice) -> None:
    await office.open()
    event = await _block(office, "A-1-1", "A-2-5")
    assert event.counts == Counts(available=8, held=0, sold=0, blocked=2)
    assert await office.map() == "baaaa/aaaab"
    await office.refused(SeatTaken, office.hold("ann", "A-1-1"))
    await _block(office, "A-1-1", blocked=False)
    await office.hold("ann", "A-1-1")
    assert await office.map() == "haaaa/aaaab"


async def test_block_seats_named_twice_count_once(office: BoxOffice) -> None:
    await office.open()
    event = await _block(office, "A-1-1", "A-1-1")
    assert event.counts == Counts(available=9, held=0, sold=0, blocked=1)
    event = await _block(office, "A-1-1", "A-1-1", blocked=False)
    assert event.counts == Counts(available=10, held=0, sold=0, blocked=0)
    await office.state()


async def test_block_seats_again_changes_nothing(office: BoxOffice) -> None:
    await office.open()
    await _block(office, "A-1-1")
    before = await office.everything()
    await _block(office, "A-1-1")
    await _block(office, "A-1-2", blocked=False)
    assert await office.everything() == before


async def test_block_seats_with_one_held_or_sold_blocks_none(office: BoxOffice) -> None:
    await office.open()
    await office.hold("ann", "A-1-1")
    await office.confirm(await office.hold("ann", "A-1-2"))
    refusal = await office.refused(SeatTaken, _block(office, "A-1-1", "A-1-2", "A-1-3"))
    assert refusal.found == ("gala:A-1-1", "gala:A-1-2")
    before = await office.everything()
    await _block(office, "A-1-1", blocked=False)  # it is not blocked: nothing to put back
    assert await office.everything() == before


async def test_block_seats_refusals_change_nothing(office: BoxOffice) -> None:
    await office.refused(EventNotFound, _block(office, "A-1-1"))
    await office.open(owner_id="org")
    await office.refused(NotOwner, _block(office, "A-1-1", owner="other"))
    await office.refused(SeatNotFound, _block(office, "A-1-1", "Z-1-1", owner="org"))


async def test_block_seats_reaches_postgres(
    office: BoxOffice, engine: Engine, database_url: str, settings: Settings
) -> None:
    await office.open(blocked="A-1-5")
    await _block(office, "A-1-1", "A-1-2")
    await _block(office, "A-1-1", "A-1-5", blocked=False)
    await engine.journal.create_group(GALA)
    async with await database.connect(database_url) as pool:
        await Store(pool).write(await engine.journal.read([GALA], "t", count=99, block_ms=0))
        rows: list[asyncpg.Record] = await pool.fetch("SELECT seat_id FROM seats WHERE blocked")
    assert [row["seat_id"] for row in rows] == ["gala:A-1-2"]


@pytest.mark.parametrize("count", [BLOCK_SEATS_MAX])
async def test_block_seats_takes_many_at_once(office: BoxOffice, count: int) -> None:
    await office.open(seats=count)
    event = await _block(office, *(f"A-1-{n}" for n in range(1, count + 1)))
    assert event.counts.blocked == count
    await office.state()
    with pytest.raises(ValueError, match=f"at most {count} "):
        await _block(office, *["A-1-1"] * (count + 1))
