"""Short real wars: real processes, real buyers over HTTP, and a verdict on what they did.

One `engine up` for all. The wars go on side by side, each for an event of its own, as most of
their time is waiting: for buyers who think, and for the last holds to end.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress

import msgspec
import pytest
from redis.asyncio import Redis

from bench.load import client
from bench.rig.stand import Stand, engine_up, free_port
from bench.war import scenarios
from bench.war.war import open_sale
from engine import Engine, keys
from engine.errors import Unavailable
from engine.ids import EventId
from engine.models import Terms
from tests.support import factories
from tests.support.waiting import until
from tests.support.war_process import EndedWar, run_war

pytestmark = pytest.mark.timeout(300)  # the first test waits for all wars

AT_ONCE = 4
USERS, SECONDS = 10, 4
SMALL = ("--users", str(USERS), "--seconds", str(SECONDS))

Deed = Callable[[Redis, keys.EventKeys], Awaitable[bool]]


async def forget_a_sale(redis: Redis, names: keys.EventKeys) -> bool:
    """Lose a confirmed booking, as if it had never been."""
    for ulid, record in (await redis.hgetall(names.bookings)).items():
        if '"confirmed"' in str(record):
            await redis.hdel(names.bookings, ulid)
            return True
    return False


async def sell_again(redis: Redis, names: keys.EventKeys) -> bool:
    """Offer all that is sold once more, as if it were free, until a seat has two owners."""
    records = (msgspec.json.decode(text) for text in (await redis.hgetall(names.bookings)).values())
    confirmed = [record for record in records if record["status"] == "confirmed"]
    owned = Counter(seat for record in confirmed for seat in record["seats"].split())
    for seat, value in (await redis.hgetall(names.seats)).items():
        index, category, letter, *_ = str(value).split(",")
        if letter == "s":
            await redis.hset(names.seats, seat, f"{index},{category},a")
            await redis.setrange(names.map, int(index), "a")
    return max(owned.values(), default=0) > 1


class Wars:
    """All wars of this module, run once."""

    def __init__(self, stand: Stand) -> None:
        self._stand = stand
        self._free = asyncio.Semaphore(AT_ONCE)
        self.told: dict[str, EndedWar] = {}
        self.page = ""

    async def run(self) -> None:
        """The scenarios, a threshold out of reach, and two faults that are planted meanwhile."""
        async with await Engine.connect(self._stand.settings) as engine:
            quick = {
                name: msgspec.structs.replace(found, venue="hall", hold_ttl_s=1)
                for name, found in scenarios.SCENARIOS.items()
            }
            events = await asyncio.gather(*(open_sale(engine, found) for found in quick.values()))
            for name in ("missed", "forgotten", "twice"):
                terms = Terms(name=name, hold_ttl_ms=1000)
                plan = factories.layout(seats=3 if name == "twice" else 15)
                await engine.events.load_event(EventId(name), plan, terms)
        await asyncio.gather(
            self._watched("missed", "--require", "confirmed_count>=1000000"),
            *(
                self._war(name, event, "--scenario", name, "--json")
                for name, event in zip(quick, events, strict=True)
            ),
            self._sabotaged("forgotten", forget_a_sale),
            self._sabotaged("twice", sell_again),
        )

    async def _war(self, name: str, event: EventId, *options: str) -> None:
        async with self._free:
            self.told[name] = await run_war(
                self._stand, "--event", event, *SMALL, *options, variables={}
            )

    async def _watched(self, name: str, *options: str) -> None:
        """With locust's own page, which is looked at meanwhile."""
        url = f"http://127.0.0.1:{free_port()}"
        port = url.rpartition(":")[2]
        war = asyncio.create_task(
            self._war(name, EventId(name), "--web", "--web-port", port, *options)
        )

        async def answers() -> bool:
            with suppress(Unavailable):
                self.page = (await asyncio.to_thread(client.get, url, "/"))[1].decode()
            return "Locust" in self.page

        await self._until(answers, war)

    async def _sabotaged(self, name: str, deed: Deed) -> None:
        names = keys.of_event(EventId(name))
        async with Redis.from_url(self._stand.settings.redis_url, decode_responses=True) as redis:
            war = asyncio.create_task(self._war(name, EventId(name), "--json"))
            await self._until(lambda: deed(redis, names), war)

    async def _until(self, done: Callable[[], Awaitable[bool]], war: asyncio.Task[None]) -> None:
        """Wait for what shall happen during a war, which may first wait for its turn; then for it.

        A war that fails, or ends before it happened, ends this too.
        """

        async def done_or_over() -> bool:
            return war.done() or await done()

        await until(done_or_over, timeout_s=250)
        await war


@pytest.fixture(scope="module")
def wars(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wars]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WRITER_CLAIM_IDLE_MS", "200")  # so that a double sale is soon set aside
        with engine_up(tmp_path_factory.mktemp("wars") / "data") as stand:
            wars = Wars(stand)
            asyncio.run(wars.run())
            yield wars


@pytest.fixture
def told(wars: Wars) -> dict[str, EndedWar]:
    return wars.told


@pytest.mark.parametrize("name", scenarios.SCENARIOS)
def test_war_sells_nothing_twice_and_leaves_nothing_over(
    told: dict[str, EndedWar], name: str
) -> None:
    assert told[name].code == 0, told[name].stdout + told[name].stderr
    outcome = told[name].outcome
    summary = outcome.summary
    assert outcome.clean
    assert (outcome.scenario, outcome.users) == (name, USERS)
    assert summary.attempt_count >= summary.held_count > 0
    assert summary.failures == {}
    assert summary.server_error_count == summary.unanswered_count == 0
    assert summary.confirmed_count == outcome.statuses.get("confirmed", 0)
    assert summary.confirmed_places == outcome.places.sold
    assert outcome.statuses.get("expired", 0) >= summary.abandoned_count
    assert outcome.places.held == 0
    assert all(checked.kept for checked in outcome.bounds)
    assert len(outcome.bounds) == len(scenarios.find(name).bounds)
    assert outcome.lag.count > 10


def test_wars_are_of_their_kind(told: dict[str, EndedWar]) -> None:
    def of(name: str) -> dict[str, int]:
        found = told[name].outcome.summary.latencies
        return {call: spread.count for call, spread in found.items()}

    assert "layout" not in of("seed-burst")
    assert of("refresher")["look"] + of("refresher")["look unchanged"] > 3 * of("refresher")["hold"]
    assert told["spike"].outcome.figures["busiest_share"] >= 0.9
    hoarded, waves = told["hoarder"].outcome, told["waves"].outcome
    assert hoarded.summary.refusals.get("limit_reached", 0) > 0
    assert waves.statuses["expired"] > waves.statuses.get("confirmed", 0)


def test_war_that_misses_a_threshold_fails_and_shows_it(told: dict[str, EndedWar]) -> None:
    code, shown, _ = told["missed"]
    assert code == 1
    assert "threshold confirmed_count >= 1e+06: MISSED" in shown
    for line in ("attempts to hold", "5xx responses", "failed connections", "p99", "writer lag"):
        assert line in shown
    for line in ("nothing sold twice", "every promise holds", "Redis and Postgres agree"):
        assert line in shown


def test_war_shows_locusts_page_meanwhile(wars: Wars) -> None:
    assert "<title>Locust</title>" in wars.page
    assert "locust's page: http://127.0.0.1:" in wars.told["missed"].stdout


def test_war_that_loses_a_booking_fails(told: dict[str, EndedWar]) -> None:
    assert told["forgotten"].code == 1
    outcome = told["forgotten"].outcome
    assert [broken.kind for broken in outcome.broken_receipts] == ["lost"]
    assert outcome.violations
    assert outcome.differences


def test_war_that_sells_a_seat_twice_fails(told: dict[str, EndedWar]) -> None:
    assert told["twice"].code == 1
    outcome = told["twice"].outcome
    assert "sold_twice" in {broken.kind for broken in outcome.broken_receipts}
    assert "sold_twice" in {violation.kind for violation in outcome.violations}
    assert outcome.differences
