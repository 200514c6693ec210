"""The verdict on a war, on real servers: clean when all is well, and never otherwise."""

import asyncio

import msgspec
import pytest
from redis.asyncio import Redis

from bench.war import scenarios
from bench.war.scenarios.bounds import Bound
from bench.war.tally import BuyerAnswer, Charge, Party, Receipt, Tally, spread_of
from bench.war.verdict import WarVerdict, judge, settle
from bench.war.war import War, WarResult
from engine import Engine, Settings
from engine.errors import PaidTwice
from engine.expirer import Expirer
from engine.models import Booking, PaymentReport, PaymentSource
from persistence import database
from persistence.journal.writer import Writer
from tests.persistence.running import running
from tests.support.box_office import BoxOffice
from tests.support.factories import GALA


class Battlefield:
    """One sold booking, and what its buyer has to show for it."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._settings = settings
        self.tally = Tally()
        self.scenario = msgspec.structs.replace(scenarios.find("rush"), bounds=())

    async def sell(self, office: BoxOffice) -> Booking:
        """Sell two seats and keep the receipt."""
        office.bookings.now_ms = ""
        await office.open()
        booking = await office.confirm(await office.hold("ada", "A-1-1", "A-1-2"))
        self.tally.receipts.append(Receipt(booking.id, booking.seats, {}))
        return booking

    async def outcome(self, *, written: bool = True) -> WarVerdict:
        """The verdict, after a writer had its time or without one."""
        result = WarResult(
            began_ms=0,
            lag=spread_of([400]),
            summary=self.tally.summary(1),
            receipts=self.tally.receipts,
            charges=list(self.tally.charges.values()),
            parties=self.tally.parties,
        )
        war = War(scenario=self.scenario, event_id=GALA, url="http://nowhere")
        async with await database.connect(self._settings.database_url) as pool:
            if written:
                async with running(Writer(self._engine, pool, self._settings)):
                    await settle(self._engine, GALA)
            return await judge(self._engine, pool, war, result)


@pytest.fixture
def battlefield(engine: Engine, settings: Settings, database_url: str) -> Battlefield:
    return Battlefield(engine, msgspec.structs.replace(settings, database_url=database_url))


async def test_judge_when_all_is_well_is_clean(office: BoxOffice, battlefield: Battlefield) -> None:
    await battlefield.sell(office)
    outcome = await battlefield.outcome()
    assert outcome.clean
    assert outcome.statuses == {"confirmed": 1}
    assert outcome.places.sold == 2


async def test_judge_finds_a_receipt_of_no_booking(
    office: BoxOffice, battlefield: Battlefield
) -> None:
    await battlefield.sell(office)
    battlefield.tally.receipts.append(Receipt(f"{GALA}:unknown", (f"{GALA}:A-1-3",), {}))
    outcome = await battlefield.outcome()
    assert not outcome.clean
    assert [broken.kind for broken in outcome.broken_receipts] == ["lost"]
    assert outcome.violations == []


async def test_judge_finds_a_sale_that_redis_forgot(
    office: BoxOffice, battlefield: Battlefield, redis: Redis
) -> None:
    booking = await battlefield.sell(office)
    await redis.hdel(f"{{{GALA}}}:bookings", booking.id.partition(":")[2])
    outcome = await battlefield.outcome()
    assert not outcome.clean
    assert [broken.kind for broken in outcome.broken_receipts] == ["lost"]
    assert {found.kind for found in outcome.violations} >= {"orphan_sale"}


async def test_judge_finds_a_party_that_does_not_sit_as_it_was_told(
    office: BoxOffice, battlefield: Battlefield
) -> None:
    booking = await battlefield.sell(office)
    kept = Party(booking.id, 2, booking.seats, {}, "row")
    battlefield.tally.parties.append(kept)
    assert (await battlefield.outcome()).clean
    battlefield.tally.parties.append(msgspec.structs.replace(kept, together="rows"))
    outcome = await battlefield.outcome()
    assert not outcome.clean
    assert [broken.kind for broken in outcome.broken_parties] == ["not_together"]


async def test_judge_does_not_take_a_failed_call_for_clean(
    office: BoxOffice, battlefield: Battlefield
) -> None:
    await battlefield.sell(office)
    battlefield.tally.add("hold", BuyerAnswer(503, b'{"code":"unavailable"}', 1.0))
    assert not (await battlefield.outcome()).clean


async def test_judge_finds_a_charge_that_nothing_has_recorded(
    office: BoxOffice, battlefield: Battlefield
) -> None:
    booking = await battlefield.sell(office)
    charge = Charge(booking.id, "pay-1", booking.amount_minor, booking.currency)
    battlefield.tally.add_notice("confirmed", charge)
    outcome = await battlefield.outcome()
    assert not outcome.clean
    assert [broken.kind for broken in outcome.broken_payments] == ["payment_lost"]


async def test_judge_finds_a_payment_whose_obligation_is_gone(
    office: BoxOffice, battlefield: Battlefield, database_url: str
) -> None:
    booking = await battlefield.sell(office)
    again = PaymentReport(source=PaymentSource.PROVIDER, id="pay-2", amount_minor=100)
    with pytest.raises(PaidTwice):
        await office.bookings.confirm_booking(booking.id, None, again)
    outcome = await battlefield.outcome()
    paid_minor = booking.amount_minor + 100
    assert outcome.clean
    assert [(m.paid_minor, m.owed_minor) for m in outcome.money] == [(paid_minor, 100)]
    async with await database.connect(database_url) as pool:
        await pool.execute("DELETE FROM refund_obligations")
    outcome = await battlefield.outcome()
    assert not outcome.clean
    assert [broken.kind for broken in outcome.broken_payments] == ["sums_differ"]
    assert outcome.differences


@pytest.mark.parametrize(("most", "clean"), [(400, True), (399, False)])
async def test_judge_holds_the_war_to_its_bounds(
    office: BoxOffice, battlefield: Battlefield, most: float, clean: bool
) -> None:
    await battlefield.sell(office)
    battlefield.scenario = battlefield.scenario.held_to([Bound("lag_p99_ms", most=most)])
    outcome = await battlefield.outcome()
    assert outcome.clean is clean
    assert [checked.kept for checked in outcome.bounds] == [clean]


async def test_judge_does_not_take_an_unwritten_journal_for_clean(
    office: BoxOffice, battlefield: Battlefield, engine: Engine
) -> None:
    await battlefield.sell(office)
    await engine.journal.create_group(GALA)
    outcome = await battlefield.outcome(written=False)
    assert outcome.backlog_entries == 3
    assert not outcome.clean


async def test_settle_waits_until_a_short_hold_has_expired(
    office: BoxOffice, battlefield: Battlefield, engine: Engine
) -> None:
    office.bookings.now_ms = ""
    await office.open(hold_ttl_ms=1000)
    await office.hold("ada", "A-1-1")
    stop = asyncio.Event()
    expiring = asyncio.create_task(Expirer(engine).run(stop))
    outcome = await battlefield.outcome()
    stop.set()
    await expiring
    assert outcome.clean
    assert outcome.statuses == {"expired": 1}
