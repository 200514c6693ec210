"""Short real wars that pay through signed notices, at an API where the provider alone confirms."""

import asyncio
from collections.abc import Iterator

import msgspec
import pytest

from bench.rig.stand import Stand, engine_up
from bench.war import scenarios
from bench.war.war import open_sale
from engine import Engine
from engine.ids import EventId
from persistence import database
from tests.support.war_process import EndedWar, run_war

pytestmark = pytest.mark.timeout(300)  # the first test waits for all wars

SECRET = "p" * 40
USERS, SECONDS = 10, 5
WAR = ("--users", str(USERS), "--seconds", str(SECONDS), "--json")
DROPS_OBLIGATIONS = """
CREATE FUNCTION drop_obligation() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER drop_obligation BEFORE INSERT ON refund_obligations FOR EACH ROW
    WHEN (NEW.event_id = '{}') EXECUTE FUNCTION drop_obligation();
"""


class Wars:
    """The wars of this module, at one `engine up`."""

    def __init__(self, stand: Stand) -> None:
        self._stand = stand
        self.ended: dict[str, EndedWar] = {}

    async def run(self) -> None:
        """A war that is well, one whose obligations are dropped, one that customers confirm."""
        quick = msgspec.structs.replace(scenarios.find("rush"), hold_ttl_s=1)
        settings = self._stand.settings
        async with await Engine.connect(settings) as engine:
            well, dropped, customers = [await open_sale(engine, quick) for _ in range(3)]
        async with await database.connect(settings.database_url) as pool:
            await pool.execute(DROPS_OBLIGATIONS.format(dropped))
        await asyncio.gather(
            self._war("well", well, "--pay", "notices"),
            self._war("dropped", dropped, "--pay", "notices"),
            self._war("customers", customers),
        )
        await self._war("no secret", well, "--pay", "notices", secret="")
        await self._war("another secret", well, "--pay", "notices", secret="q" * 40)

    async def _war(self, name: str, event: EventId, *options: str, secret: str = SECRET) -> None:
        variables = {"PAYMENT_WEBHOOK_SECRET": secret}
        self.ended[name] = await run_war(
            self._stand, "--event", event, *WAR, *options, variables=variables
        )


@pytest.fixture(scope="module")
def wars(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, EndedWar]]:
    variables = {"PAYMENTS": "provider", "PAYMENT_WEBHOOK_SECRET": SECRET}
    with engine_up(tmp_path_factory.mktemp("wars") / "data", variables=variables) as stand:
        wars = Wars(stand)
        asyncio.run(wars.run())
        yield wars.ended


def test_war_by_notices_accounts_for_every_cent(wars: dict[str, EndedWar]) -> None:
    assert wars["well"].code == 0, wars["well"].stdout + wars["well"].stderr
    outcome = wars["well"].outcome
    summary = outcome.summary
    assert summary.failures == {}
    assert "confirm" not in summary.latencies
    assert {"confirmed", "paid_twice", "amount_differs", "late_confirmed"} <= summary.notices.keys()
    assert summary.latencies["notice"].count == sum(summary.notices.values())
    assert summary.confirmed_count == outcome.statuses.get("confirmed", 0) > 0
    assert summary.confirmed_places == outcome.places.sold
    [money] = outcome.money
    assert money.is_balanced
    assert money.sold_minor > 0
    assert money.owed_minor > 0
    assert outcome.broken_payments == []


def test_war_whose_obligations_are_dropped_fails(wars: dict[str, EndedWar]) -> None:
    assert wars["dropped"].code == 1, wars["dropped"].stderr
    outcome = wars["dropped"].outcome
    assert outcome.summary.notices["paid_twice"] > 0
    assert [broken.kind for broken in outcome.broken_payments] == ["sums_differ"]
    [money] = outcome.money
    assert money.owed_minor == 0
    assert money.paid_minor > money.sold_minor
    assert outcome.broken_receipts == []
    assert outcome.violations == []
    assert outcome.differences


def test_war_of_customers_fails_where_the_provider_confirms(wars: dict[str, EndedWar]) -> None:
    assert wars["customers"].code == 1
    assert "confirm: 403 payment_by_provider" in wars["customers"].outcome.summary.failures


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no secret", "PAYMENT_WEBHOOK_SECRET is not set"),
        ("another secret", "refuses the signature of a payment notice"),
    ],
)
def test_war_by_notices_with_a_secret_that_cannot_work_does_not_begin(
    wars: dict[str, EndedWar], name: str, said: str
) -> None:
    assert wars[name].code == 2
    assert said in wars[name].stderr
    assert wars[name].stdout == ""
