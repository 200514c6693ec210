"""Webhooks over HTTP: where an organiser wants to be told, what was sent, and sending it again."""

import base64
import re
import secrets
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from ulid import ULID

from api.http.calls import V1, Call
from api.http.idempotency import id_from_key
from api.http.paging import number_of
from api.http.payloads import (
    IdText,
    Instant,
    NoQuery,
    PageQuery,
    RequestBody,
    View,
    encode,
    rfc3339,
    time_shown,
)
from api.http.problems import Problem, checked, invalid
from api.http.responses import Response
from api.owners import check_owner
from engine import ids
from engine.ids import InvalidId
from engine.ports.webhooks import Delivery, DeliveryState, MessageKind, Webhook, check_url

PATH = f"{V1}/webhook"
WEBHOOKS_MAX = 20
"""The most webhooks one organiser may have."""

WEBHOOK_PATTERN = "[0-9a-z]{26}"
_WEBHOOK = re.compile(WEBHOOK_PATTERN)
_MESSAGE = re.compile("msg_[0-9a-f]{32}")
_SECRET_BYTES = 32


class WebhookBody(RequestBody, frozen=True):
    """Where to tell what; without `eventId`, of every event of the caller's."""

    url: Annotated[str, Meta(min_length=1, max_length=2000)]
    kinds: Annotated[tuple[MessageKind, ...], Meta(min_length=1, max_length=len(MessageKind))]
    event_id: IdText | UnsetType = UNSET


class ReplayBody(RequestBody, frozen=True):
    """One delivery, or everything that happened from a time on."""

    from_: Instant | UnsetType = msgspec.field(name="from", default=UNSET)
    delivery_id: IdText | UnsetType = UNSET


class DeliveriesQuery(PageQuery, frozen=True):
    """Which deliveries of a webhook."""

    state: (
        Annotated[DeliveryState, Meta(description="Only deliveries in this state.")] | UnsetType
    ) = UNSET


class WebhookView(View, frozen=True):
    """A webhook. `disabledAt`: nothing is sent there any more, until it is replayed."""

    id: str
    url: str
    kinds: tuple[MessageKind, ...]
    created_at: str
    event_id: str | None = None
    disabled_at: str | None = None
    disabled_why: str | None = None


class WebhookCreated(WebhookView, frozen=True, kw_only=True):
    """A new webhook, with the secret that verifies its messages: it is not shown again."""

    secret: str


class WebhookList(Struct, frozen=True):
    """Part of a list, as SeatList."""

    data: list[WebhookView]
    next: str | None


class DeliveryView(View, frozen=True):
    """A message and how it fares; its id is the `webhook-id` header.

    `status` is what the receiver answered last, `error` why there was no answer.
    """

    id: str
    kind: MessageKind
    event_id: str
    booking_id: str
    state: DeliveryState
    attempt_count: int
    created_at: str
    next_attempt_at: str | None = None
    done_at: str | None = None
    status: int | None = None
    error: str | None = None


class DeliveryList(Struct, frozen=True):
    """Part of a list, as SeatList."""

    data: list[DeliveryView]
    next: str | None


class ReplayView(View, frozen=True):
    """How many messages are under way again; `nextFrom`: there is more, replay from there."""

    count: int
    next_from: str | None = None


def webhook_id(text: str) -> str:
    """Check a webhook's id. Raises InvalidId."""
    if not _WEBHOOK.fullmatch(text):
        raise InvalidId("a webhook id", text)
    return text


async def create_webhook(call: Call[NoQuery, WebhookBody]) -> Response:
    """Be told of what happens from now on. The answer has the secret, once."""
    body, event = call.body, None
    try:
        check_url(body.url, allow_insecure=call.services.settings.webhook_allow_insecure)
    except ValueError as error:
        raise invalid("url", str(error)) from error
    if body.event_id is not UNSET:
        event = checked("eventId", ids.event_id, body.event_id)
        await check_owner(call, event)
    new = Webhook(
        id=id_from_key(call) or str(ULID()).lower(),
        owner_id=call.caller.customer_id,
        event_id=event,
        any_owner=call.privileged and event is not None,
        url=body.url,
        kinds=tuple(dict.fromkeys(body.kinds)),
    )
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
    made = await call.services.stores.webhooks.create_webhook(new, secret, WEBHOOKS_MAX)
    if made is None:
        raise Problem("webhook_limit", "no more webhooks", {"limit": WEBHOOKS_MAX})
    shown = WebhookCreated(**msgspec.structs.asdict(_shown(made)), secret=secret)
    return Response(encode(shown), ((b"location", f"{PATH}/{made.id}".encode()),))


async def list_webhooks(call: Call[PageQuery, None]) -> Response:
    """The caller's own webhooks."""
    query = call.query
    after = "" if query.cursor is UNSET else checked("cursor", webhook_id, query.cursor)
    found = await call.services.stores.webhooks.list_webhooks(
        call.caller.customer_id, after, query.limit + 1
    )
    shown = [_shown(webhook) for webhook in found[: query.limit]]
    return Response(encode(WebhookList(shown, shown[-1].id if len(found) > query.limit else None)))


async def read_webhook(call: Call[NoQuery, None]) -> Response:
    """One webhook. Somebody else's is not found."""
    return Response(encode(_shown(await _found(call))))


async def delete_webhook(call: Call[NoQuery, None]) -> Response:
    """Send nothing there any more, and forget its deliveries."""
    webhooks = call.services.stores.webhooks
    deleted = await webhooks.delete_webhook(call.path["webhook_id"], call.owner_id)
    if deleted is None:
        raise webhook_not_found(call.path["webhook_id"])
    return Response(encode(_shown(deleted)))


async def list_deliveries(call: Call[DeliveriesQuery, None]) -> Response:
    """What was sent to a webhook or will be, the newest first; kept for 30 days."""
    query = call.query
    below = number_of(query.cursor)
    webhook = await _found(call)
    state = None if query.state is UNSET else query.state
    found = await call.services.stores.webhooks.list_deliveries(
        webhook.id, state, below, query.limit + 1
    )
    shown = [_delivery_shown(delivery) for delivery in found[: query.limit]]
    more = str(found[query.limit - 1].number) if len(found) > query.limit else None
    return Response(encode(DeliveryList(shown, more)))


async def replay_deliveries(call: Call[NoQuery, ReplayBody]) -> Response:
    """Send one message again, or all from a time on, delivered ones too, under the same ids.

    A webhook that was disabled is enabled by it.
    """
    body, webhooks = call.body, call.services.stores.webhooks
    if (body.from_ is UNSET) == (body.delivery_id is UNSET):
        raise invalid("from", "name either from or deliveryId")
    webhook = await _found(call)
    if body.from_ is not UNSET:
        from_ms = max(0, round(body.from_.timestamp() * 1000))
        replayed = await webhooks.replay_from(webhook.id, from_ms)
        shown = ReplayView(count=replayed.count, next_from=time_shown(replayed.next_ms))
        return Response(encode(shown))
    message_id = str(body.delivery_id)
    known = _MESSAGE.fullmatch(message_id)
    if not known or not await webhooks.replay_delivery(webhook.id, message_id):
        raise Problem("delivery_not_found", "the webhook has no such delivery")
    return Response(encode(ReplayView(count=1)))


def webhook_not_found(text: str) -> Problem:
    """The problem of an id that is unknown, somebody else's, or none."""
    return Problem("webhook_not_found", f"there is no webhook {text!r}")


async def _found(call: Call[Any, Any]) -> Webhook:
    text = call.path["webhook_id"]
    webhook = await call.services.stores.webhooks.read_webhook(text, call.owner_id)
    if webhook is None:
        raise webhook_not_found(text)
    return webhook


def _shown(webhook: Webhook) -> WebhookView:
    return WebhookView(
        id=webhook.id,
        url=webhook.url,
        kinds=webhook.kinds,
        created_at=rfc3339(webhook.created_at_ms),
        event_id=webhook.event_id,
        disabled_at=time_shown(webhook.disabled_at_ms),
        disabled_why=webhook.disabled_why,
    )


def _delivery_shown(delivery: Delivery) -> DeliveryView:
    pending = delivery.state == DeliveryState.PENDING
    return DeliveryView(
        id=delivery.id,
        kind=delivery.kind,
        event_id=delivery.event_id,
        booking_id=delivery.booking_id,
        state=delivery.state,
        attempt_count=delivery.attempt_count,
        created_at=rfc3339(delivery.created_at_ms),
        next_attempt_at=rfc3339(delivery.due_ms) if pending else None,
        done_at=time_shown(delivery.done_at_ms),
        status=delivery.status,
        error=delivery.error,
    )
