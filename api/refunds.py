"""Refund obligations over HTTP: list what an organiser has to pay back, and settle it."""

import re
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from api.events import check_owner
from api.http.calls import Call
from api.http.payloads import NoQuery, PageQuery, RequestBody, View, encode
from api.http.problems import Problem, invalid
from api.http.responses import Response
from engine import ids
from engine.ids import EventId
from engine.ports.payments import Refund
from engine.timestamps import rfc3339, rfc3339_or_none

_REFUND = r"ref_[0-9a-f]{32}"
_CURSOR = re.compile(rf"([0-9]{{1,15}})\.({_REFUND})")
_LINE = r"^[^\x00-\x1f\x7f]+$(?!\n)"


class RefundsQuery(PageQuery, frozen=True):
    """Which obligations; without `settled`, all of them."""

    settled: (
        Annotated[bool, Meta(description="Only those that are paid back, or only the others.")]
        | UnsetType
    ) = UNSET


class SettleBody(RequestBody, frozen=True):
    """The organiser's own reference of its payment, such as a bank transaction number."""

    reference: Annotated[str, Meta(min_length=1, max_length=200, pattern=_LINE)] | UnsetType = UNSET


class RefundView(View, frozen=True):
    """Money of one payment to pay back. `reason`: `cancelled`, or why it bought nothing.

    `eventId` and `customerId` are left out if the booking is not known.
    """

    id: str
    payment_id: str
    booking_id: str
    amount_minor: int
    currency: str
    reason: str
    due_at: str
    event_id: str | None = None
    customer_id: str | None = None
    settled_at: str | None = None
    settled_by: str | None = None
    reference: str | None = None


class RefundList(Struct, frozen=True):
    """One page of refunds; `next` is the cursor of the next page, or null."""

    data: list[RefundView]
    next: str | None


async def list_refunds(call: Call[RefundsQuery, None]) -> Response:
    """The refund obligations of an event, oldest first."""
    after = _after(call.query)
    await check_owner(call, call.event_id)
    return await _page(call, call.event_id, after)


async def list_refunds_without_event(call: Call[RefundsQuery, None]) -> Response:
    """The refund obligations of payments whose event is not known, oldest first.

    The provider named a booking that this installation never had, so they are in no event's list.
    """
    return await _page(call, None, _after(call.query))


def _after(query: RefundsQuery) -> tuple[int, str] | None:
    """Where the page begins."""
    if query.cursor is UNSET:
        return None
    found = _CURSOR.fullmatch(query.cursor)
    if not found:
        raise invalid("cursor", "not a cursor of this list")
    return int(found[1]), found[2]


async def _page(
    call: Call[RefundsQuery, None], event: EventId | None, after: tuple[int, str] | None
) -> Response:
    query = call.query
    settled = None if query.settled is UNSET else query.settled
    refunds = await call.services.stores.payments.list_refunds(
        event, settled, after, query.limit + 1
    )
    page = refunds[: query.limit]
    more = _cursor(page[-1]) if len(refunds) > query.limit else None
    return Response(encode(RefundList([_view(refund) for refund in page], more)))


async def settle_refund(call: Call[NoQuery, SettleBody]) -> Response:
    """Mark an obligation as paid back. Repeatable: the first call is recorded.

    The id is the obligation's, or the booking's if it has one obligation.
    """
    text, payments = call.path["refund_id"], call.services.stores.payments
    if ":" in text and not call.privileged:
        await check_owner(call, ids.split_booking(text)[0])
    found = await payments.find_refunds(text)
    if not found:
        raise refund_not_found(text)
    if len(found) > 1:
        named = [refund.id for refund in found]
        raise Problem("refund_ambiguous", "name one of them", {"refundIds": named})
    refund = found[0]
    if not call.privileged:
        if refund.event_id is None:
            raise refund_not_found(text)
        await check_owner(call, refund.event_id)
    reference = None if call.body.reference is UNSET else call.body.reference
    settled = await payments.settle_refund(refund, call.caller.customer_id, reference)
    return Response(encode(_view(settled)))


def refund_id(text: str) -> str:
    """The id of an obligation, or of a booking. Raises InvalidId."""
    if not re.fullmatch(_REFUND, text):
        ids.split_booking(text)
    return text


def refund_not_found(text: str) -> Problem:
    """The problem of a malformed id, or of a booking without a refund obligation."""
    return Problem("refund_not_found", f"there is no refund obligation for {text!r}")


def _cursor(refund: Refund) -> str:
    return f"{refund.due_at_ms}.{refund.id}"


def _view(refund: Refund) -> RefundView:
    return RefundView(
        id=refund.id,
        payment_id=refund.payment_id,
        booking_id=refund.booking_id,
        event_id=refund.event_id,
        customer_id=refund.customer_id,
        amount_minor=refund.amount_minor,
        currency=refund.currency,
        reason=refund.reason,
        due_at=rfc3339(refund.due_at_ms),
        settled_at=rfc3339_or_none(refund.settled_at_ms),
        settled_by=refund.settled_by,
        reference=refund.reference,
    )
