"""Webhooks over HTTP: register endpoints of an organiser, list deliveries, replay them."""

import base64
import re
import secrets
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from ulid import ULID

from api.events import owned_event
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
)
from api.http.problems import Problem, checked, invalid
from api.http.responses import Response
from engine import ids
from engine.ids import InvalidId
from engine.ports.webhooks import Delivery, DeliveryState, MessageKind, Webhook, check_url
from engine.timestamps import rfc3339, rfc3339_or_none

PATH = f"{V1}/webhook"
WEBHOOKS_MAX = 20
"""The most webhooks of one organiser."""

WEBHOOK_PATTERN = "[0-9a-z]{26}"
_WEBHOOK = re.compile(WEBHOOK_PATTERN)
_MESSAGE = re.compile("msg_[0-9a-f]{32}")
_SECRET_BYTES = 32


class WebhookBody(RequestBody, frozen=True):
    """A URL and the kinds of messages it gets; without `eventId`, of all the caller's events."""

    url: Annotated[str, Meta(min_length=1, max_length=2000)]
    kinds: Annotated[tuple[MessageKind, ...], Meta(min_length=1, max_length=len(MessageKind))]
    event_id: Annotated[IdText, Meta(description="Every webhook of this event.")] | UnsetType = (
        UNSET
    )


class ReplayBody(RequestBody, frozen=True):
    """Replay one delivery, or everything since a time."""

    from_: Instant | UnsetType = msgspec.field(name="from", default=UNSET)
    delivery_id: IdText | UnsetType = UNSET


class WebhooksQuery(PageQuery, frozen=True):
    """The caller's webhooks, or every webhook that receives the messages of one event."""

    event_id: Annotated[IdText, Meta(description="Every webhook of this event.")] | UnsetType = (
        UNSET
    )


class DeliveriesQuery(PageQuery, frozen=True):
    """Which deliveries of a webhook."""

    state: (
        Annotated[DeliveryState, Meta(description="Only deliveries in this state.")] | UnsetType
    ) = UNSET


class WebhookView(View, frozen=True):
    """A webhook. `disabledAt`: since then nothing is sent; a replay enables it again."""

    id: str
    owner_id: str
    url: str
    kinds: tuple[MessageKind, ...]
    created_at: str
    event_id: str | None = None
    disabled_at: str | None = None
    disabled_why: str | None = None


class WebhookCreated(WebhookView, frozen=True, kw_only=True):
    """A new webhook, with the secret that verifies its messages. It is returned only here."""

    secret: str


class WebhookList(Struct, frozen=True):
    """One page of webhooks; `next` is the cursor of the next page, or null."""

    data: list[WebhookView]
    next: str | None


class DeliveryView(View, frozen=True):
    """A message and the state of its delivery; `id` is its `webhook-id` header.

    `status` is the receiver's last HTTP status, `error` the reason if there was no response.
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
    """One page of deliveries; `next` is the cursor of the next page, or null."""

    data: list[DeliveryView]
    next: str | None


class ReplayView(View, frozen=True):
    """How many messages are pending again; if there are more, replay again from `nextFrom`."""

    count: int
    next_from: str | None = None


def webhook_id(text: str) -> str:
    """Check the form of a webhook's id. Raises InvalidId."""
    if not _WEBHOOK.fullmatch(text):
        raise InvalidId("a webhook id", text)
    return text


async def create_webhook(call: Call[NoQuery, WebhookBody]) -> Response:
    """Register a webhook for changes from now on. Only this response has the secret."""
    body, event = call.body, None
    try:
        check_url(body.url, allow_insecure=call.services.settings.webhook_allow_insecure)
    except ValueError as error:
        raise invalid("url", str(error)) from error
    if body.event_id is not UNSET:
        event = checked("eventId", ids.event_id, body.event_id)
        await owned_event(call, event)
    new = Webhook(
        id=id_from_key(call) or str(ULID()).lower(),
        owner_id=call.caller.customer_id,
        event_id=event,
        any_owner=call.privileged and event is not None,
        url=body.url,
        kinds=tuple(dict.fromkeys(body.kinds)),
    )
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
    created = await call.services.stores.webhooks.create_webhook(new, secret, WEBHOOKS_MAX)
    if created is None:
        raise Problem(
            "webhook_limit",
            f"at most {WEBHOOKS_MAX} webhooks per organiser",
            {"limit": WEBHOOKS_MAX},
        )
    view = WebhookCreated(**msgspec.structs.asdict(_view(created)), secret=secret)
    return Response(encode(view), ((b"location", f"{PATH}/{created.id}".encode()),))


async def list_webhooks(call: Call[WebhooksQuery, None]) -> Response:
    """The caller's webhooks; with `eventId`, every webhook that receives messages of the event."""
    query, owner_id, event = call.query, str(call.caller.customer_id), None
    if query.event_id is not UNSET:
        event = checked("eventId", ids.event_id, query.event_id)
        owner_id = (await owned_event(call, event)).owner_id
    after = "" if query.cursor is UNSET else checked("cursor", webhook_id, query.cursor)
    found = await call.services.stores.webhooks.list_webhooks(
        owner_id, event, after, query.limit + 1
    )
    views = [_view(webhook) for webhook in found[: query.limit]]
    return Response(encode(WebhookList(views, views[-1].id if len(found) > query.limit else None)))


async def read_webhook(call: Call[NoQuery, None]) -> Response:
    """One webhook, for its owner and the owner of its event. Any other is not found."""
    return Response(encode(_view(await _found(call))))


async def delete_webhook(call: Call[NoQuery, None]) -> Response:
    """Delete a webhook and its deliveries."""
    webhooks = call.services.stores.webhooks
    deleted = await webhooks.delete_webhook(call.path["webhook_id"], call.owner_id)
    if deleted is None:
        raise webhook_not_found(call.path["webhook_id"])
    return Response(encode(_view(deleted)))


async def list_deliveries(call: Call[DeliveriesQuery, None]) -> Response:
    """The deliveries of a webhook, sent and pending, newest first. Kept for 30 days."""
    query = call.query
    below = number_of(query.cursor)
    webhook = await _found(call)
    state = None if query.state is UNSET else query.state
    found = await call.services.stores.webhooks.list_deliveries(
        webhook.id, state, below, query.limit + 1
    )
    views = [_delivery_view(delivery) for delivery in found[: query.limit]]
    more = str(found[query.limit - 1].number) if len(found) > query.limit else None
    return Response(encode(DeliveryList(views, more)))


async def replay_deliveries(call: Call[NoQuery, ReplayBody]) -> Response:
    """Send one message again, or all since a time, delivered ones too, under the same ids.

    This enables a disabled webhook again.
    """
    body, webhooks = call.body, call.services.stores.webhooks
    if (body.from_ is UNSET) == (body.delivery_id is UNSET):
        raise invalid("from", "give either from or deliveryId")
    webhook = await _found(call)
    if body.from_ is not UNSET:
        from_ms = max(0, round(body.from_.timestamp() * 1000))
        replayed = await webhooks.replay_from(webhook.id, from_ms)
        view = ReplayView(count=replayed.count, next_from=rfc3339_or_none(replayed.next_ms))
        return Response(encode(view))
    message_id = str(body.delivery_id)
    well_formed = _MESSAGE.fullmatch(message_id)
    if not well_formed or not await webhooks.replay_delivery(webhook.id, message_id):
        raise Problem("delivery_not_found", "the webhook has no such delivery")
    return Response(encode(ReplayView(count=1)))


def webhook_not_found(text: str) -> Problem:
    """The problem of an id that is malformed, unknown, or of other organisers."""
    return Problem("webhook_not_found", f"there is no webhook {text!r}")


async def _found(call: Call[Any, Any]) -> Webhook:
    text = call.path["webhook_id"]
    webhook = await call.services.stores.webhooks.read_webhook(text, call.owner_id)
    if webhook is None:
        raise webhook_not_found(text)
    return webhook


def _view(webhook: Webhook) -> WebhookView:
    return WebhookView(
        id=webhook.id,
        owner_id=webhook.owner_id,
        url=webhook.url,
        kinds=webhook.kinds,
        created_at=rfc3339(webhook.created_at_ms),
        event_id=webhook.event_id,
        disabled_at=rfc3339_or_none(webhook.disabled_at_ms),
        disabled_why=webhook.disabled_why,
    )


def _delivery_view(delivery: Delivery) -> DeliveryView:
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
        done_at=rfc3339_or_none(delivery.done_at_ms),
        status=delivery.status,
        error=delivery.error,
    )
