"""How long a webhook message takes beside an owner whose receivers are slow.

The real API, writer and deliverer. One organiser sells at a steady rate and has one webhook, with a
receiver that answers at once; its messages are timed from the change to their arrival. In turns it
is alone, and beside owners with 20 webhooks each whose receivers take 14 s for every message, just
within the deliverer's deadline, and who sell at the same rate.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import msgspec

from bench.report.section import BenchOptions, BenchSection, Chart, Figures
from bench.rig.houses import house, selection
from bench.rig.polling import until
from bench.rig.sale import DRAIN_S_MAX, Sale, conditions_of, open_sale
from bench.war.tally import percentile
from engine.ids import CustomerId, EventId
from engine.models import Terms
from engine.ports.webhooks import MessageKind, Webhook
from persistence.stores.stores import PostgresStores

SALES_PER_S = 10
WEBHOOKS = 20
SLOW_S = 14.0
SECRET = "whsec_" + "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="
TURNS = {"alone": 0, "beside_1": 1, "beside_4": 4}


class _Message(msgspec.Struct):
    type: str
    timestamp: datetime


class _Receiver:
    """Takes every message after `delay_s`; `waits_ms` has the time from change to arrival."""

    def __init__(self, delay_s: float) -> None:
        self.delay_s = delay_s
        self.waits_ms: list[float] = []

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read requests of one connection and accept each."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
                message = msgspec.json.decode(await reader.readexactly(length), type=_Message)
                late = datetime.now(message.timestamp.tzinfo) - message.timestamp
                self.waits_ms.append(late.total_seconds() * 1000)
                await asyncio.sleep(self.delay_s)
                writer.write(b"HTTP/1.1 204 -\r\ncontent-length: 0\r\n\r\n")
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.close()  # asyncio would report a task that ends as cancelled


async def measure(options: BenchOptions) -> BenchSection:
    """Each turn once and on servers of its own: one leaves messages that are due for hours."""
    figures, conditions = Figures(), dict[str, str]()
    for turn, owner_count in TURNS.items():
        async with open_sale(variables={"WEBHOOK_ALLOW_INSECURE": "true"}) as sale:
            conditions = await conditions_of(sale)
            await _run_turn(sale, figures, turn, (owner_count, options.size(45, 5)))
            figures.wrong += sale.wrong
    return BenchSection(
        id="webhooks",
        title="Webhook messages beside slow receivers",
        what=f"{SALES_PER_S} sales a second for each owner; slow receivers take {SLOW_S:g} s.",
        series=figures.series,
        wrong=figures.wrong,
        conditions={**conditions, "load": f"{SALES_PER_S} sales a second through the engine"},
        charts=[
            Chart(
                name="webhooks",
                title="p99 of a message",
                unit="ms",
                bars=[f"webhooks/{turn}/p99" for turn in TURNS],
            )
        ],
    )


async def _run_turn(sale: Sale, figures: Figures, turn: str, of: tuple[int, int]) -> None:
    """Sell for so many seconds beside so many hostile owners, until the messages came."""
    owner_count, seconds = of
    fast, slow = _Receiver(0), _Receiver(SLOW_S)
    stores = PostgresStores(sale.stand.settings.database_url)
    count = SALES_PER_S * seconds
    async with _listening(fast) as fast_url, _listening(slow) as slow_url:
        selling = [await _open(sale, stores, "orla", [fast_url])]
        selling += [
            await _open(sale, stores, f"eve-{number}", [slow_url] * WEBHOOKS)
            for number in range(owner_count)
        ]
        await asyncio.gather(*(_sell(sale, event, count) for event in selling))

        async def all_came() -> bool:
            return len(fast.waits_ms) >= count

        if not await until(all_came, DRAIN_S_MAX):
            sale.wrong.append(f"{turn}: {len(fast.waits_ms)} of {count} messages came")
        if owner_count and not slow.waits_ms:
            sale.wrong.append(f"{turn}: the slow receivers were sent nothing")
    await stores.close()
    says = f"beside {owner_count} owners of slow receivers" if owner_count else "alone"
    waits_ms = sorted(fast.waits_ms) or [0.0]
    for name, value in (
        ("p50", percentile(waits_ms, 50)),
        ("p99", percentile(waits_ms, 99)),
        ("max", waits_ms[-1]),
    ):
        figures.add(f"webhooks/{turn}/{name}", f"message {says}, {name}", "ms", value)


@asynccontextmanager
async def _listening(receiver: _Receiver) -> AsyncIterator[str]:
    server = await asyncio.start_server(receiver.answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()


async def _open(sale: Sale, stores: PostgresStores, owner: str, urls: list[str]) -> EventId:
    """An event of this owner, with webhooks to these addresses."""
    event, owner_id = EventId(f"of-{owner}"), CustomerId(owner)
    await sale.engine.events.load_event(event, house(2000), Terms(name="Bench", owner_id=owner_id))
    for number, url in enumerate(urls):
        webhook = Webhook(
            id=f"{owner}-{number}",
            owner_id=owner_id,
            event_id=event,
            kinds=(MessageKind.BOOKING_CONFIRMED,),
            url=url,
        )
        await stores.webhooks.create_webhook(webhook, SECRET, WEBHOOKS)
    return event


async def _sell(sale: Sale, event: EventId, count: int) -> None:
    """Hold and confirm a seat at a time, at a steady rate."""
    clock = asyncio.get_running_loop()
    began_s = clock.time()
    for number in range(count):
        held = await sale.engine.bookings.hold_seats(selection(event, number))
        await sale.engine.bookings.confirm_booking(held.id, None)
        await asyncio.sleep(max(0.0, began_s + (number + 1) / SALES_PER_S - clock.time()))
