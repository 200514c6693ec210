"""The cases of payments and webhooks: the gala owes ann a refund, and orla has one webhook."""

import base64

from api.webhooks import WEBHOOKS_MAX
from engine.ports.webhooks import MessageKind, Webhook
from persistence.database import Pool
from persistence.journal.tables import Store
from persistence.stores.stores import PostgresStores
from tests.api.case import Case, Prepare
from tests.api.client import EVENT, NOTICE, REFUND, STRIPE, WEBHOOK, Api, Headers, bearer
from tests.persistence.entries import booking, entry

HOOK = "01jdtesttesttesttesttestte"
HOOK_SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
URL = "https://tickets.example.org/hook"
OWED = booking(1, "cancelled", 1, refund_minor=1500, refund_reason="cancelled")
NEW = {"url": URL, "kinds": ["booking.confirmed"], "eventId": "gala"}


def orla() -> Headers:
    """The header of the organiser who owns the gala."""
    return bearer("orla", "organizer")


def eve() -> Headers:
    """The header of another organiser."""
    return bearer("eve", "organizer")


def root() -> Headers:
    """The header of an admin."""
    return bearer("root", "admin")


async def pool_of(api: Api) -> Pool:
    """The pool behind the app."""
    assert isinstance(api.stores, PostgresStores)
    return await api.stores.pool()


async def owe(api: Api) -> str:
    """Write a cancelled booking with an obligation; returns the id of the booking."""
    await Store(await pool_of(api)).write([entry(10, OWED)])
    return OWED.id


async def hook(api: Api, webhook_id: str = HOOK, owner_id: str = "orla") -> str:
    """Create a webhook for all kinds of messages; returns its id."""
    new = Webhook(
        id=webhook_id, owner_id=owner_id, event_id=None, url=URL, kinds=tuple(MessageKind)
    )
    made = await api.stores.webhooks.create_webhook(new, HOOK_SECRET, WEBHOOKS_MAX)
    assert made
    return made.id


def _at(path: str, body: object = None) -> Prepare:
    async def case(_: Api) -> Case:
        return Case(path, body)

    return case


def _hooked(path: str, body: object = None) -> Prepare:
    async def case(api: Api) -> Case:
        return Case(path.format(await hook(api)), body)

    return case


async def _owed(api: Api) -> Case:
    return Case(f"{REFUND}/{await owe(api)}/settle", {"reference": "bank 77"})


async def _noticed(api: Api) -> Case:
    held = await api.office.hold("ann", "A-1-1")
    return Case(NOTICE, notice(held.id))


async def _stripe(api: Api) -> Case:
    held = await api.office.hold("ann", "A-1-1")
    return Case(STRIPE, stripe_event("payment_intent.succeeded", held.id, amount_received=1500))


def stripe_event(kind: str, booking_id: str, **of_object: object) -> dict[str, object]:
    """An event of Stripe about a PaymentIntent."""
    told = {"id": "pi_1", "object": "payment_intent", "currency": "eur"}
    metadata = {"metadata": {"bookingId": booking_id}}
    return {"id": "evt_1", "type": kind, "data": {"object": {**told, **metadata, **of_object}}}


def notice(booking_id: str, notice_id: str = "evt_1", **data: object) -> dict[str, object]:
    """A notice that a booking is paid."""
    told = {"bookingId": booking_id, **data}
    return {"id": notice_id, "type": "payment.succeeded", "data": told}


PAYMENT_CASES: dict[tuple[str, str], Prepare] = {
    ("receive_notice", NOTICE): _noticed,
    ("receive_stripe_event", STRIPE): _stripe,
    ("list_notices", EVENT + "/{event_id}/payments"): _at(f"{EVENT}/gala/payments"),
    ("list_refunds", EVENT + "/{event_id}/refunds"): _at(f"{EVENT}/gala/refunds"),
    ("list_refunds_without_event", REFUND): _at(REFUND),
    ("settle_refund", REFUND + "/{refund_id}/settle"): _owed,
    ("create_webhook", WEBHOOK): _at(WEBHOOK, NEW),
    ("list_webhooks", WEBHOOK): _hooked(WEBHOOK + "?eventId=gala"),
    ("read_webhook", WEBHOOK + "/{webhook_id}"): _hooked(WEBHOOK + "/{}"),
    ("delete_webhook", WEBHOOK + "/{webhook_id}"): _hooked(WEBHOOK + "/{}"),
    ("list_deliveries", WEBHOOK + "/{webhook_id}/deliveries"): _hooked(WEBHOOK + "/{}/deliveries"),
    ("replay_deliveries", WEBHOOK + "/{webhook_id}/replay"): _hooked(
        WEBHOOK + "/{}/replay", {"from": "2030-06-01T19:30:00Z"}
    ),
}
