"""From the journal to a receiver: which messages, to which webhooks, in which order, how often."""

import asyncio
import base64
import hashlib
import hmac
import time

import msgspec
from standardwebhooks import Webhook as Verifier

from engine import Engine, Settings
from engine.ids import CustomerId
from engine.ports.webhooks import DeliveryState, MessageKind
from persistence.database import Pool
from persistence.delivery.deliveries import LEASE_MS, NOT_PERMITTED
from persistence.journal import columns
from persistence.journal.tables import QUERIES
from persistence.journal.writer import Writer
from persistence.stores.webhooks import PostgresWebhooks
from tests.persistence.entries import booking, entry, loaded
from tests.persistence.running import drained, running
from tests.persistence.telling import SECRET, Telling
from tests.support.factories import GALA, layout, selection, terms
from tests.support.receiver import Receiver
from tests.support.waiting import until


async def test_deliver_every_kind_signed_as_the_convention_says(
    telling: Telling, receiver: Receiver
) -> None:
    await telling.hook(receiver.url)
    await telling.happens(10, booking(1, "confirmed", 1, confirmed_at_ms=2_000))
    await telling.happens(11, booking(2, "expired", 2, ended_at_ms=61_000))
    await telling.happens(12, booking(3, "cancelled", 3, refund_minor=0))
    await telling.happens(13, booking(4, "expired", 4, refund_minor=1500), "refund_due")
    await telling.happens(14, booking(5, "pending", 5), "seats_held")

    assert await telling.deliver() == 4
    assert await telling.deliver() == 0

    told = {received.json["type"]: received for received in receiver.received}
    assert set(told) == set(MessageKind)
    for received in receiver.received:
        Verifier(SECRET).verify(received.body, received.headers)
        assert received.headers["content-type"] == "application/json"
    assert told["booking.confirmed"].json == {
        "type": "booking.confirmed",
        "timestamp": "1970-01-01T00:00:00.010Z",
        "data": {
            "id": "gala:01J00000000000000000000001",
            "eventId": "gala",
            "customerId": "customer-1",
            "status": "confirmed",
            "seatIds": ["gala:A-1-1"],
            "areas": [],
            "amountMinor": 1500,
            "currency": "EUR",
            "heldAt": "1970-01-01T00:00:01.000Z",
            "expiresAt": "1970-01-01T00:01:01.000Z",
            "confirmedAt": "1970-01-01T00:00:02.000Z",
            "endedAt": None,
            "late": False,
            "refundMinor": 0,
            "refundReason": None,
            "paymentProcessing": False,
            "together": None,
        },
    }
    assert told["refund.due"].json["data"]["refundMinor"] == 1500


async def test_deliver_signature_is_the_hmac_of_id_time_and_body(
    telling: Telling, receiver: Receiver
) -> None:
    await telling.hook(receiver.url)
    await telling.happens(10, booking(1, "confirmed", 1))
    await telling.deliver()

    (received,) = receiver.received
    sent_s = received.headers["webhook-timestamp"]
    signed = f"{received.id}.{sent_s}.".encode() + received.body
    digest = hmac.new(b"k" * 32, signed, hashlib.sha256).digest()
    assert received.headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
    assert abs(int(sent_s) - time.time()) < 10
    assert received.id.startswith("msg_")
    assert "." not in received.id


async def test_deliver_cancellation_with_a_refund_sends_both(
    telling: Telling, receiver: Receiver
) -> None:
    await telling.hook(receiver.url)
    await telling.hook(receiver.url, "refunds", kinds=(MessageKind.REFUND_DUE,))
    await telling.happens(10, booking(1, "cancelled", 1, refund_minor=1500))
    while await telling.deliver():
        pass
    kinds = [received.json["type"] for received in receiver.received]
    assert sorted(kinds) == ["booking.cancelled", "refund.due", "refund.due"]
    assert len({received.id for received in receiver.received}) == 3


async def test_deliver_only_to_webhooks_of_the_event(telling: Telling, receiver: Receiver) -> None:
    await telling.hook(receiver.url, "all")
    await telling.hook(receiver.url, "gala", event_id="gala")
    await telling.hook(receiver.url, "other", event_id="other")
    await telling.hook(receiver.url, "stranger", owner_id="eve")
    await telling.hook(receiver.url, "formerly", owner_id="eve", event_id="gala")
    await telling.hook(receiver.url, "admin", owner_id="ada", event_id="gala", any_owner=True)
    await telling.hook(receiver.url, "expired", kinds=(MessageKind.BOOKING_EXPIRED,))
    await telling.happens(10, booking(1, "confirmed", 1))
    assert await telling.deliver() == 3
    told = [name for name in ("all", "gala", "admin") if await telling.deliveries(name)]
    assert told == ["all", "gala", "admin"]


async def _account(telling: Telling, role: str) -> CustomerId:
    account_id = await telling.stores.accounts.add_account(f"{role}@a.org".lower(), "hash", role)
    assert account_id
    return account_id


async def _owned_by(telling: Telling, owner_id: str) -> None:
    told = loaded(5, layout(areas={"floor": 50}))
    event = {**(told.event or {}), "owner_id": owner_id}
    await telling.write(msgspec.structs.replace(told, event=event))


async def test_deliver_to_a_demoted_admin_stops(telling: Telling, receiver: Receiver) -> None:
    admin = await _account(telling, "ADMIN")
    assert await telling.stores.accounts.add_account("other@a.org", "hash", "ADMIN")
    await telling.hook(receiver.url, owner_id=admin, event_id="gala", any_owner=True)
    await telling.happens(10, booking(1, "confirmed", 1))
    assert await telling.deliver() == 1
    await telling.happens(11, booking(2, "confirmed", 2))
    receiver.answers(500)
    assert await telling.deliver() == 1  # fails, and is due again
    receiver.answers(204)

    await telling.stores.roles.assign_role("admin@a.org", "ORGANIZER")

    await telling.happens(12, booking(3, "confirmed", 3))
    assert await telling.deliver(60) == 0
    assert (await telling.stores.webhooks.replay_from("hook", 0)).count == 0
    told = [(one.state, one.error) for one in await telling.deliveries()]
    assert told == [(DeliveryState.DELIVERED, None), (DeliveryState.DEAD, NOT_PERMITTED)]
    assert await telling.stores.webhooks.replay_delivery("hook", receiver.received[0].id)
    assert await telling.deliver() == 0
    assert len(receiver.received) == 2

    await telling.stores.roles.assign_role("admin@a.org", "ADMIN")
    assert (await telling.stores.webhooks.replay_from("hook", 0)).count == 3
    assert await telling.deliver() == 3


async def test_deliver_only_while_the_role_permits_it(telling: Telling, receiver: Receiver) -> None:
    owner, admin = await _account(telling, "ORGANIZER"), await _account(telling, "ADMIN")
    await _owned_by(telling, owner)
    await telling.hook(receiver.url, "own", owner_id=owner)
    await telling.hook(receiver.url, "any", owner_id=admin, event_id="gala", any_owner=True)
    roles = telling.stores.roles
    await telling.happens(10, booking(1, "confirmed", 1))
    assert await telling.deliver() == 2
    await roles.remove_permission("ADMIN", "event:update:any")
    await telling.happens(11, booking(2, "confirmed", 2))
    assert await telling.deliver() == 1
    await roles.remove_permission("ORGANIZER", "event:create:own")
    await telling.happens(12, booking(3, "confirmed", 3))
    assert await telling.deliver() == 0
    assert [len(await telling.deliveries(name)) for name in ("own", "any")] == [2, 1]


async def test_deliver_nothing_more_to_the_owner_of_before(
    telling: Telling, receiver: Receiver
) -> None:
    owner = await _account(telling, "ORGANIZER")
    await _owned_by(telling, owner)
    await telling.hook(receiver.url, "every", owner_id=owner)
    await telling.hook(receiver.url, "gala", owner_id="orla", event_id="gala")
    await telling.happens(10, booking(1, "confirmed", 1))
    telling.deliverer.deliveries.now_ms = telling.now_ms
    await telling.deliverer.deliveries.make(100)  # waits to be sent when the owner changes

    told = loaded(6, layout(areas={"floor": 50}))
    event = {**(told.event or {}), "owner_id": "orla"}
    await telling.write(msgspec.structs.replace(told, event=event))

    await telling.happens(11, booking(2, "confirmed", 2))
    assert await telling.deliver() == 1
    assert [one.error for one in await telling.deliveries("every")] == [NOT_PERMITTED]
    assert [one.state for one in await telling.deliveries("gala")] == [DeliveryState.DELIVERED]


async def test_deliver_entry_that_commits_late_is_not_stepped_over(
    telling: Telling, receiver: Receiver, pool: Pool
) -> None:
    await telling.hook(receiver.url)
    late, early = entry(10, booking(1, "confirmed", 1)), entry(11, booking(2, "confirmed", 2))
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        arrays = columns.journal_columns([late])
        await connection.execute(QUERIES["insert_entries"], *arrays)
        await connection.execute(QUERIES["queue_entries"], *arrays[:5])
        await telling.write(early)
        assert await telling.deliver() == 1
        await transaction.commit()
    assert await telling.deliver() == 1
    told = [received.json["data"]["id"] for received in receiver.received]
    assert told == [str(of.booking and of.booking.id) for of in (early, late)]


async def test_deliver_entry_written_again_is_sent_once(
    telling: Telling, receiver: Receiver
) -> None:
    await telling.hook(receiver.url)
    for _ in range(3):
        await telling.happens(10, booking(1, "confirmed", 1))
        await telling.deliver()
    assert len(receiver.received) == 1


async def test_deliver_entry_of_an_unknown_event_waits_for_its_owner(
    telling: Telling, receiver: Receiver
) -> None:
    await telling.hook(receiver.url)
    unknown = msgspec.structs.replace(
        entry(10, booking(1, "confirmed", 1)),
        event_id="later",
    )
    await telling.write(unknown)
    await telling.happens(11, booking(2, "confirmed", 2))
    assert await telling.deliver() == 1
    assert await telling.queued() == 1
    settings = {**(loaded(5, layout()).event or {}), "owner_id": "orla"}
    await telling.write(
        msgspec.structs.replace(loaded(5, layout()), event_id="later", event=settings)
    )
    assert await telling.deliver() == 1
    assert await telling.queued() == 0


async def test_deliver_without_webhooks_queues_nothing(telling: Telling) -> None:
    await telling.happens(10, booking(1, "confirmed", 1))
    assert await telling.queued() == 0


async def test_deliver_several_deliverers_send_each_message_once(
    telling: Telling, receiver: Receiver
) -> None:
    await telling.hook(receiver.url)
    await telling.hook(receiver.url, "second")
    sold = [entry(n, booking(n, "confirmed", n)) for n in range(10, 210)]
    await telling.write(*sold)
    deliverers = [telling.deliverer, *(telling.new_deliverer() for _ in range(3))]

    async def deliver_all(n: int) -> None:
        while await deliverers[n].deliver_due():
            pass

    await asyncio.gather(*(deliver_all(n) for n in range(4)))
    while await telling.deliver():
        pass
    assert len(receiver.received) == len({received.id for received in receiver.received}) == 400
    for deliverer in deliverers[1:]:
        await deliverer.close()


async def test_deliver_what_a_dead_deliverer_had_in_hand(
    telling: Telling, receiver: Receiver
) -> None:
    await telling.hook(receiver.url)
    await telling.happens(10, booking(1, "confirmed", 1))
    dead = telling.deliverer.deliveries
    dead.now_ms = telling.now_ms
    await dead.make(10)
    assert [len(claimed) for claimed in await dead.claim([], {}, each=5, free=5)] == [1]
    assert await telling.deliver(LEASE_MS / 1000 - 1) == 0
    assert await telling.deliver(1) == 1
    assert len(receiver.received) == 1


async def test_deliver_changes_of_a_booking_in_their_sequence(
    telling: Telling, receiver: Receiver
) -> None:
    await telling.hook(receiver.url)
    await telling.write(
        entry(10, booking(1, "confirmed", 1)),
        entry(11, booking(1, "cancelled", 1, refund_minor=0)),
        entry(12, booking(2, "confirmed", 2)),
    )
    assert await telling.deliver() == 2
    assert await telling.deliver() == 1
    assert [received.json["type"] for received in receiver.received][-1] == "booking.cancelled"


async def test_run_delivers_a_real_sale_and_stops(
    telling: Telling, receiver: Receiver, engine: Engine, pool: Pool, quick: Settings
) -> None:
    await telling.hook(receiver.url)
    await engine.events.load_event(GALA, layout(), terms(owner_id="orla"))
    deliverer, stop = telling.new_deliverer(), asyncio.Event()
    deliverer.deliveries.now_ms = None
    task = asyncio.create_task(deliverer.run(stop))

    async with running(Writer(engine, pool, quick)):
        held = await engine.bookings.hold_seats(selection("ann", "A-1-1"))
        sold = await engine.bookings.confirm_booking(held.id, None)
        await engine.bookings.cancel_booking(sold.id, None)
        await drained(engine)

    async def all_told() -> bool:
        return len(receiver.received) == 3

    await until(all_told)
    assert await engine.parts_running(["deliverer"]) == {"deliverer": True}
    stop.set()
    await task
    kinds = [received.json["type"] for received in receiver.received]
    assert kinds[0] == "booking.confirmed"
    assert set(kinds) == {"booking.confirmed", "booking.cancelled", "refund.due"}
    assert receiver.received[0].json["data"]["customerId"] == "ann"


async def test_replay_from_a_time_sends_the_same_messages_again(
    telling: Telling, receiver: Receiver
) -> None:
    await telling.happens(10, booking(1, "confirmed", 1))
    await telling.hook(receiver.url)
    await telling.happens(20, booking(2, "confirmed", 2))
    await telling.happens(30, booking(3, "confirmed", 3))
    await telling.deliver()
    before = {received.id for received in receiver.received}
    webhooks: PostgresWebhooks = telling.stores.webhooks
    telling.now_ms += 60_000

    assert (await webhooks.replay_from("hook", 30)).count == 1
    assert await telling.deliver() == 1
    assert receiver.received[-1].id in before

    replayed = await webhooks.replay_from("hook", 0)
    assert (replayed.count, replayed.next_ms) == (3, None)
    assert await telling.deliver() == 3
    assert len({received.id for received in receiver.received} - before) == 1  # before its time
    states = [delivery.state for delivery in await telling.deliveries()]
    assert states == [DeliveryState.DELIVERED] * 3
