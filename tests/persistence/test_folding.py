"""An event's row is folded from what is new, in whatever order its entries are written."""

from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from engine.models import JournalEntry, Layout
from engine.plans import layout as layouts
from persistence.database import Pool
from persistence.event_record import LayoutIncomplete, read_event
from persistence.journal import folding
from persistence.journal.tables import Store
from tests.persistence.entries import event_entry, loaded
from tests.support.factories import GALA, layout

MANY = 3000
READ = """SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::bigint
    FROM pg_stat_xact_user_tables WHERE relname = 'journal'"""
SMALL, LARGER, LARGEST = layout(1), layout(2), layout(3, areas={"floor": 50})


def blocking(at: int, *numbers: int, blocked: bool = True) -> JournalEntry:
    """The entry that takes seats of row 1 off sale, or puts them back."""
    seats = " ".join(f"A-1-{number}" for number in numbers)
    kind = "seats_blocked" if blocked else "seats_unblocked"
    return replace(event_entry(at, {"seats": seats}), kind=kind)


def adding(at: int, layout: Layout, known: Layout) -> JournalEntry:
    """The entry of an addition, with only what is new."""
    versions = {"layout_version": layout.version, "known_version": known.version}
    return replace(event_entry(at, versions, layouts.difference(layout, known)), kind="seats_added")


async def _read_by_fold(pool: Pool, first: JournalEntry) -> int:
    """How many rows of the journal Postgres reads for a fold from this entry on."""
    async with pool.acquire() as connection, connection.transaction():
        before = await connection.fetchval(READ)
        await folding.fold_event(connection, first)
        read: int = await connection.fetchval(READ) - before
    return read


async def test_fold_reads_the_new_entries_and_not_those_before(store: Store, pool: Pool) -> None:
    entries = [blocking(100 + n, n % 5 + 1, blocked=n % 2 == 0) for n in range(MANY)]
    await store.write([loaded(10, SMALL), *entries])
    last = blocking(100 + MANY, 1, 2)
    await store.write([last])
    assert await _read_by_fold(pool, last) <= 5
    assert await _read_by_fold(pool, entries[0]) >= MANY, "the count counts"
    assert await _blocked(pool) == {"A-1-1", "A-1-2", "A-1-4"}


async def test_fold_of_a_block_does_not_rewrite_the_layout(store: Store, pool: Pool) -> None:
    """Of a large event it has megabytes."""
    await store.write([loaded(10, SMALL)])
    row = "SELECT xmin::text FROM events"
    before = await pool.fetchval(row)
    await store.write([blocking(11, 3)])
    assert await pool.fetchval(row) == before


async def _blocked(pool: Pool) -> set[str]:
    rows = await pool.fetch("SELECT seat_id FROM seats WHERE blocked")
    return {row["seat_id"].partition(":")[2] for row in rows}


async def _state(pool: Pool) -> Any:
    stored = await read_event(pool, GALA)
    assert stored
    capacity = await pool.fetchval("SELECT capacity FROM events")
    seats = [tuple(row) for row in await pool.fetch("SELECT * FROM seats ORDER BY seat_id")]
    return stored.terms, stored.layout, stored.gzipped, stored.blocked, capacity, seats


async def _forget(pool: Pool) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute("TRUNCATE journal, events, seats")


STORY = [
    loaded(10, SMALL),
    blocking(11, 1, 2),
    event_entry(12, {"sales": "paused"}),
    adding(13, LARGER, SMALL),
    blocking(14, 2, 3, blocked=False),
    blocking(15, 3),
    event_entry(16, {"sales": "closed", "closes_at_ms": "7"}),
    adding(17, LARGEST, LARGER),
    blocking(18, 4),
]
AGAIN = [*STORY, loaded(20, LARGER), blocking(21, 5), adding(22, LARGEST, LARGER)]
BEFORE = [*STORY[:3], replace(event_entry(13, {}, LARGER), kind="seats_added"), *STORY[4:]]
"""The first addition as an older release wrote it: with the whole layout."""


@pytest.mark.parametrize("story", [STORY, AGAIN, BEFORE], ids=["once", "again", "before"])
async def test_fold_in_any_order_and_any_batches_ends_the_same(
    store: Store, pool: Pool, story: list[JournalEntry]
) -> None:
    for entry in story:
        await store.write([entry])
    expected = await _state(pool)
    assert (expected[1], expected[2]) == (LARGEST, layouts.encode(LARGEST))
    assert expected[4] == 65
    for seed in range(25):
        random = Random(seed)
        await _forget(pool)
        queue = random.sample(story, len(story))
        while queue:
            size = random.randint(1, 4)
            batch, queue = queue[:size], queue[size:]
            assert await store.write(batch) == []
            if random.random() < 0.3:
                assert await store.write([random.choice(batch)]) == []  # committed, and redelivered
        assert await _state(pool) == expected, f"seed {seed}"


async def test_read_layout_without_the_entry_that_added_to_it_names_it(
    store: Store, pool: Pool
) -> None:
    await store.write([loaded(10, SMALL)])
    await pool.execute("UPDATE events SET layout_version = 'beyond'")
    with pytest.raises(LayoutIncomplete, match="gala lacks the entry that made layout beyond"):
        await read_event(pool, GALA)


async def test_an_addition_to_a_large_event_adds_its_seats_alone(store: Store, pool: Pool) -> None:
    hall = layout(40, 50)
    grown = layout(41, 50)
    await store.write([loaded(10, hall)])
    first = await pool.fetchval("SELECT min(ctid) FROM seats")
    await store.write([adding(11, grown, hall)])
    assert await pool.fetchval("SELECT min(ctid) FROM seats") == first, "not written again"
    assert await pool.fetchval("SELECT count(*) FROM seats") == 2050
    sizes = await pool.fetch("SELECT octet_length(layout) AS size FROM journal ORDER BY entry_ms")
    assert sizes[1]["size"] < sizes[0]["size"] / 10
    stored = await read_event(pool, GALA)
    assert stored is not None
    assert stored.layout == grown
