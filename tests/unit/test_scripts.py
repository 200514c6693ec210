"""Scripts: assembled, found by their hash, healed, and honest about what came back."""

import pytest
from redis.asyncio import Redis

from engine import Engine, Settings, scripts
from engine.errors import EventNotFound, ScriptDefect, Unavailable
from engine.keys import of_event
from tests.mutants.lua_source import scripts_with
from tests.support.factories import GALA, layout, selection, terms
from tests.support.raw_redis import raw


def test_load_puts_each_include_once_before_its_user() -> None:
    text = scripts.load("hold_seats").text
    assert "@include" not in text
    assert text.count("local seats = {}") == 1
    assert text.index("local seats = {}") < text.index("local bookings = {}")


def test_names_has_every_script() -> None:
    assert {"load_event", "hold_seats", "read_map"} <= set(scripts.names())


async def test_run_after_script_flush_heals(engine: Engine, redis: Redis) -> None:
    await engine.events.load_event(GALA, layout(), terms())
    await engine.bookings.hold_seats(selection("ann", "A-1-1"))
    await redis.script_flush()
    await engine.bookings.hold_seats(selection("ann", "A-1-2"))
    assert len(await raw(engine).hgetall("{gala}:bookings")) == 2


async def test_run_with_a_code_raises_its_refusal(engine: Engine) -> None:
    with pytest.raises(EventNotFound):
        await engine.availability.read_map(GALA)


async def test_run_with_a_defect_says_which_script(engine: Engine, redis: Redis) -> None:
    await redis.set(of_event(GALA).event, "not a hash")
    with pytest.raises(ScriptDefect, match="hold_seats"):
        await engine.bookings.hold_seats(selection("ann", "A-1-1"))


async def test_run_with_no_memory_left_is_unavailable_and_writes_nothing(
    engine: Engine, redis: Redis
) -> None:
    await engine.events.load_event(GALA, layout(), terms())
    before = await redis.dump(of_event(GALA).seats)
    await redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(Unavailable, match="hold_seats"):
            await engine.bookings.hold_seats(selection("ann", "A-1-1"))
    finally:
        await redis.config_set("maxmemory", 0)
    assert await redis.dump(of_event(GALA).seats) == before


async def test_an_upgrade_on_disk_does_not_change_what_a_process_runs(settings: Settings) -> None:
    """`pip install` beside a running engine replaces the files; the process keeps its own texts."""
    with scripts_with({}) as folder:
        async with await Engine.connect(settings) as engine:
            for path in folder.rglob("*.lua"):
                path.write_text('return { "NEW_RELEASE" }')
            (folder / "lib" / "event.lua").unlink()
            await engine.events.load_event(GALA, layout(), terms())
            held = await engine.bookings.hold_seats(selection("ann", "A-1-1"))
            await engine.bookings.release_booking(held.id, None)
            assert (await engine.events.read_event(GALA)).counts.held == 0
