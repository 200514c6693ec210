"""T24: Redis forgets its scripts, or is restarted, in a sale; two releases side by side."""

import asyncio
from hashlib import sha1

import msgspec
import pytest

from engine import Engine, Settings
from engine.bookings import Bookings
from engine.limits import Limit, LimitCheck
from engine.scripts import Script, Scripts
from engine.shared_calls import SharedCalls
from engine.transport.batcher import Batcher
from tests.support.crowd import Answer, Crowd, EngineDesk, aftermath, seats_of
from tests.support.factories import GALA, layout, selection, terms
from tests.support.history import Call
from tests.support.own_valkey import OwnValkey
from tests.support.raw_redis import raw
from tests.support.trials import Trial

FINE = {"ok", "seat_taken"}
AWAY = {"unavailable", "outcome_unknown"}


async def _evals(engine: Engine) -> int:
    """How often a script's whole text was sent."""
    stats = await engine.client.info("commandstats")
    return int(stats.get("cmdstat_eval", {}).get("calls", 0))


@pytest.mark.trial("T24")
async def test_flushed_scripts_fail_no_call(engine: Engine, trial: Trial) -> None:
    flushes = trial.rounds(8, 400)
    rows = trial.rounds(20, 400)
    await engine.events.load_event(GALA, layout(rows, 50), terms())
    crowd = Crowd(EngineDesk(engine), seats_of(rows, 50), trial.random)
    before = await _evals(engine)
    crowd.begin(64)
    for _ in range(flushes):
        await asyncio.sleep(trial.random.uniform(0.02, 0.1))
        await raw(engine).script_flush()
    await crowd.end()
    texts = await _evals(engine) - before
    assert set(crowd.codes) <= FINE, crowd.codes
    assert await aftermath(engine, crowd) == []
    trial.tell(
        flushes, "SCRIPT FLUSH among 64 customers",
        f"{len(crowd.asked):,} calls, failed 0; a script's text was sent {texts / flushes:.1f} "
        "times a flush",
    )  # fmt: skip


async def test_flushed_script_is_sent_once_for_all_that_wait(engine: Engine) -> None:
    """In a rush thousands wait; its text is 10 kB."""
    await engine.events.load_event(GALA, layout(4, 50), terms())
    limit_check = LimitCheck((Limit("sale", "ann", 1, 1000),))
    seats = seats_of(4, 50)
    for some, limited in ((seats[:100], False), (seats[100:], True)):
        await raw(engine).script_flush()
        before = await _evals(engine)
        held = await asyncio.gather(
            *(
                (engine.bookings.under(limit_check) if limited else engine.bookings).hold_seats(
                    selection("ann", seat)
                )
                for seat in some
            )
        )
        assert len(held) == 100
        assert await _evals(engine) - before == 1


@pytest.mark.trial("T24")
async def test_redis_restarted_in_a_sale_fails_only_calls_meanwhile(
    own: OwnValkey, own_engine: Engine, trial: Trial
) -> None:
    restarts = trial.rounds(2, 20)
    rows = 10 * restarts
    await own_engine.events.load_event(GALA, layout(rows, 50), terms())
    crowd = Crowd(EngineDesk(own_engine), seats_of(rows, 50), trial.random)
    crowd.begin(16)
    for _ in range(restarts):
        await asyncio.sleep(0.15)
        await asyncio.to_thread(own.restart)
    await crowd.end()
    assert set(crowd.codes) <= FINE | AWAY, crowd.codes
    assert await aftermath(own_engine, crowd) == []
    turned_away = sum(crowd.codes[code] for code in AWAY)
    trial.tell(
        restarts, "restart of Redis among 16 customers (SIGTERM, then started)",
        f"{len(crowd.sold):,} sold; {turned_away:,} calls turned away while it was gone; "
        "lost 0, double 0, failed afterwards 0",
    )  # fmt: skip


class OlderScripts(Scripts):
    """The scripts of another release: another text, so another hash."""

    def script(self, name: str, *, limited: bool = False) -> Script:
        text = f"-- the release before\n{super().script(name, limited=limited).text}"
        return Script(name, text, sha1(text.encode()).hexdigest())


@pytest.mark.trial("T24")
async def test_two_releases_sell_the_same_seats_side_by_side(
    engine: Engine, settings: Settings, trial: Trial
) -> None:
    rows = trial.rounds(10, 200)
    await engine.events.load_event(GALA, layout(rows, 50), terms())
    async with await Engine.connect(msgspec.structs.replace(settings)) as older:
        batcher: Batcher = older._batcher
        release = OlderScripts(batcher)
        older.bookings = Bookings(release, batcher, SharedCalls(release, batcher))
        history: list[Call] = []
        desks = [EngineDesk(engine, history), EngineDesk(older, history)]

        class Both:
            """Every call at the one or the other."""

            calls = history

            async def hold(self, customer: str, seat: str) -> Answer:
                return await trial.random.choice(desks).hold(customer, seat)

            async def act(self, what: str, customer: str, booking: str) -> Answer:
                return await trial.random.choice(desks).act(what, customer, booking)

        crowd = Crowd(Both(), seats_of(rows, 50), trial.random, each=3)
        crowd.begin(32)
        await asyncio.sleep(0.05)
        await raw(engine).script_flush()
        await crowd.finish()
    assert set(crowd.codes) <= FINE, crowd.codes
    assert await aftermath(engine, crowd) == []
    trial.tell(
        len(crowd.asked), "call by one of two releases of the scripts, on the same seats",
        f"{len(crowd.sold):,} sold; failed 0, double 0",
    )  # fmt: skip
