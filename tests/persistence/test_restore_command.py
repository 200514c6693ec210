"""`engine restore`: its defaults, its questions, its output and its exit codes."""

import asyncio
import json

import pytest
from click.testing import CliRunner, Result

from cli.commands import main
from engine import Settings
from tests.persistence.sale import Sale
from tests.support.factories import GALA


@pytest.fixture
def environ(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", settings.redis_url)
    monkeypatch.setenv("DATABASE_URL", settings.database_url)


async def _run(*words: str, says: str = "") -> Result:
    call = CliRunner().invoke
    return await asyncio.to_thread(call, main, ["restore", *words], input=says)


pytestmark = pytest.mark.usefixtures("environ")


async def test_restore_with_nothing_lost_does_nothing(sale: Sale) -> None:
    before = await sale.state()
    found = await _run()
    assert (found.exit_code, "nothing to restore" in found.output) == (0, True)
    assert (await sale.state()).event == before.event


async def test_restore_finds_what_is_lost_by_itself_and_shows_how_far_it_is(sale: Sale) -> None:
    await sale.redis.flushall()
    found = await _run()
    assert found.exit_code == 0, found.output
    assert "gala: 100% of" in found.output
    assert "4 places sold in 2 bookings, 1 holds ended" in found.output
    assert (await sale.state()).event.epoch == 2


async def test_restore_json_is_for_programs(sale: Sale) -> None:
    await sale.redis.flushall()
    found = await _run("--json")
    (outcome,) = json.loads(found.stdout)
    assert (found.exit_code, outcome["event_id"], outcome["why"]) == (0, GALA, "")
    assert outcome["restored"]["sold"] == 4


@pytest.mark.parametrize(("says", "epoch"), [("n\n", 1), ("y\n", 2)])
async def test_restore_of_a_sound_event_asks_first(sale: Sale, says: str, epoch: int) -> None:
    found = await _run("gala", says=says)
    assert "not behind Postgres (open, 1 held, 4 sold)" in found.output
    assert (found.exit_code, (await sale.state()).event.epoch) == (0, epoch)


@pytest.mark.parametrize("words", [["gala", "--json"], ["gala", "--all"], ["no event"]])
async def test_restore_of_what_was_not_meant_is_refused(sale: Sale, words: list[str]) -> None:
    assert (await _run(*words)).exit_code == 2
    assert (await sale.state()).event.epoch == 1


async def test_restore_of_an_unknown_event_ends_with_1(sale: Sale) -> None:
    found = await _run("gala", "derby", "--yes")
    assert found.exit_code == 1
    assert "derby: not restored" in found.output
    assert "gala: restored in" in found.output


async def test_restore_all_restores_what_is_sound_too(sale: Sale) -> None:
    found = await _run("--all", "--yes")
    assert (found.exit_code, (await sale.state()).event.epoch) == (0, 2)
