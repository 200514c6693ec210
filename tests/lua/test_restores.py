"""fence_event, restore_event and reopen_event; and that no script serves a fenced event."""

from typing import Any

import msgspec
import pytest

from engine import keys
from engine.errors import LoadIncomplete, RestoreSuperseded, Restoring
from engine.event_image import EventImage
from engine.models import Sales, SalesState
from engine.plans import layout as layouts
from engine.positions import Position
from engine.restore.rebuild import StoredEvent, rebuild
from engine.restore.staging import EventHead, Stub
from tests.support.box_office import BoxOffice
from tests.support.factories import GALA, layout, selection, terms
from tests.support.raw_redis import raw

FIRST, SECOND = "0" * 26, "1" * 26
NOTHING = Stub({}, b"")


def _image(**over: Any) -> EventImage:
    """The gala as a restore computes it if Postgres has no booking of it."""
    found = layout(areas={"pit": 4})
    values: dict[str, Any] = {
        "event_id": GALA,
        "terms": terms(),
        "layout": found,
        "gzipped": b"gz",
        "loaded_at_ms": 5,
        "epoch": 1,
        "newest": Position(9, 0),
        "blocked": frozenset({"A-1-2"}),
        "bookings": (),
    }
    return rebuild(StoredEvent(**(values | over)), (), epoch=2, now_ms=10, first_ms=11)


async def _staged(office: BoxOffice, restore: str) -> EventImage:
    image = _image()
    await office.engine.restores.stage(image, restore, lambda _: None)
    return image


async def test_fence_event_fences_it_once_and_says_so_in_the_journal(office: BoxOffice) -> None:
    await office.open()
    fence = office.engine.restores.fence_event
    assert await fence(GALA, "lost", NOTHING, epoch=1)
    assert await fence(GALA, "lost", NOTHING, epoch=1)
    assert await office.kinds() == ["event_loaded", "event_fenced"]
    event = (await office.state()).event
    [(entry_id, said)] = await raw(office.engine).xrevrange("{gala}:journal", count=1)
    assert (event.sales, event.position) == (SalesState.RESTORING, entry_id.decode())
    assert said[b"event"] == b'{"why":"lost"}'


@pytest.mark.parametrize("epoch", [None, 2])
async def test_fence_event_of_another_epoch_than_expected_changes_nothing(
    office: BoxOffice, epoch: int | None
) -> None:
    await office.open()
    before = await office.everything()
    assert not await office.engine.restores.fence_event(GALA, "lost", NOTHING, epoch=epoch)
    assert await office.everything() == before


async def test_fence_event_that_is_gone_leaves_a_stub_that_says_why(office: BoxOffice) -> None:
    stub = Stub(_image().fields, layouts.encode(layout()))
    assert await office.engine.restores.fence_event(GALA, "gone", stub, epoch=None)
    event = await office.engine.events.read_event(GALA)
    assert (event.sales, event.name, event.epoch) == (SalesState.RESTORING, "Gala", 2)
    with pytest.raises(Restoring):
        await office.hold("ann", "A-1-1")
    assert (await office.engine.availability.read_map(GALA)).sales == SalesState.RESTORING
    shown = await office.engine.availability.read_layout(GALA)
    assert msgspec.structs.replace(shown.layout, version="") == msgspec.structs.replace(
        layout(), version=""
    )


async def test_restore_event_puts_everything_in_place_and_keeps_it_fenced(
    office: BoxOffice,
) -> None:
    await office.open()
    await office.hold("ann", "A-1-1")
    restores = office.engine.restores
    await restores.fence_event(GALA, "lost", NOTHING, restore=FIRST, epoch="*")
    await restores.fence_event(GALA, "lost", NOTHING, epoch="*")  # takes nothing over
    await restores.restore_event(await _staged(office, FIRST), FIRST)
    state = await office.state()
    assert (state.map, state.event.epoch, state.event.position) == ("abaaa/aaaaa", 2, "11-0")
    assert (state.event.sales, state.bookings, state.deadlines) == ("restoring", {}, {})
    assert await office.kinds() == ["event_restored"]
    assert await raw(office.engine).keys("{gala}:restoring:*") == []
    with pytest.raises(Restoring):
        await office.hold("ann", "A-1-1")
    await restores.reopen_event(GALA, FIRST, Sales.OPEN)
    await office.hold("ann", "A-1-1", pit=4)
    assert (await office.kinds())[1:] == ["terms_set", "seats_held"]
    again = await _staged(office, FIRST)
    await office.refused(RestoreSuperseded, restores.restore_event(again, FIRST))


async def test_restore_event_leaves_nothing_of_what_was_there(office: BoxOffice) -> None:
    """The control is restored where there was nothing at all."""
    redis, restores = raw(office.engine), office.engine.restores
    found = []
    for damaged in (True, False):
        if damaged:
            await office.open(areas={"pit": 9, "balcony": 1})
            await office.hold("ann", "A-1-1", pit=1)
            await redis.hset("{gala}:event", "stray", 1)
            await redis.hset("{gala}:seats", "Z-9-9", "99,0,a")
        stub = Stub(_image().fields, b"gz")
        await restores.fence_event(GALA, "lost", stub, restore=FIRST, epoch="*")
        await restores.restore_event(await _staged(office, FIRST), FIRST)
        state = await office.state()
        whole = await redis.hgetall("{gala}:event"), await redis.get(keys.layout(GALA))
        found.append((whole, state.seats, state.areas, state.map))
        await redis.flushdb()
    assert found[0] == found[1]


async def test_restore_event_that_was_overtaken_is_refused(office: BoxOffice) -> None:
    await office.open()
    restores = office.engine.restores
    image = await _staged(office, FIRST)
    await office.refused(RestoreSuperseded, restores.restore_event(image, FIRST))
    for restore in (FIRST, SECOND):
        await restores.fence_event(GALA, "lost", NOTHING, restore=restore, epoch="*")
    await office.refused(RestoreSuperseded, restores.restore_event(image, FIRST))


@pytest.mark.parametrize("name", ["seats", "journal"])
async def test_restore_event_whose_staged_values_are_gone_is_refused(
    office: BoxOffice, name: str
) -> None:
    await office.open()
    restores = office.engine.restores
    await restores.fence_event(GALA, "lost", NOTHING, restore=FIRST, epoch="*")
    image = await _staged(office, FIRST)
    await office.engine.client.delete(keys.restored(GALA, FIRST, name))
    refusal = await office.refused(LoadIncomplete, restores.restore_event(image, FIRST))
    assert refusal.found == ("0",)


async def test_reopen_event_by_another_restore_is_refused(office: BoxOffice) -> None:
    restores = office.engine.restores
    await office.refused(RestoreSuperseded, restores.reopen_event(GALA, FIRST, Sales.OPEN))
    await office.open()
    await restores.fence_event(GALA, "lost", NOTHING, restore=SECOND, epoch="*")
    await office.refused(RestoreSuperseded, restores.reopen_event(GALA, FIRST, Sales.OPEN))
    await restores.reopen_event(GALA, SECOND, Sales.PAUSED)
    assert (await office.state()).event.sales == SalesState.PAUSED


@pytest.mark.parametrize(
    ("deleted", "missing"),
    [
        ((), ()),
        (("seats",), ("seats",)),
        (("areas",), ("areas",)),
        (("seats", "map"), ("seats", "map")),
        (("seats", "map", "areas"), ("seats", "areas", "map")),
        (("bookings",), ("bookings",)),
        (("customers", "deadlines"), ("customers", "deadlines")),
        (("journal", "layout"), ("journal", "layout")),
        (("rows",), ("rows",)),
        (("rows", "order"), ("order",)),
        (("ended",), ()),
    ],
)
async def test_read_head_names_the_keys_that_are_missing(
    office: BoxOffice, deleted: tuple[str, ...], missing: tuple[str, ...]
) -> None:
    await office.open(areas={"pit": 4})
    await office.engine.bookings.hold_seats(selection("ann", "A-1-1", areas={"pit": 1}))
    if deleted:
        await raw(office.engine).delete(*(f"{{gala}}:{name}" for name in deleted))
    head = await _head(office)
    assert (head.epoch, head.sales, head.missing_keys) == (1, SalesState.OPEN, missing)


@pytest.mark.parametrize("areas", [{}, {"pit": 4}])
async def test_read_head_of_an_event_with_no_bookings_misses_nothing(
    office: BoxOffice, areas: dict[str, int]
) -> None:
    await office.open(areas=areas)
    head = await _head(office)
    assert head.missing_keys == ()


async def test_read_head_after_a_sale_needs_no_deadlines(office: BoxOffice) -> None:
    await office.open()
    held = await office.engine.bookings.hold_seats(selection("ann", "A-1-1"))
    await office.engine.bookings.confirm_booking(held.id, None)
    assert (await _head(office)).missing_keys == ()
    await raw(office.engine).delete("{gala}:customers", "{gala}:bookings")
    head = await _head(office)
    assert head.missing_keys == ("bookings", "customers")


async def _head(office: BoxOffice) -> EventHead:
    head = await office.engine.restores.read_head(GALA)
    assert head is not None
    return head
