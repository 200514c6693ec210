"""Payments over HTTP: the word that a booking is paid, other than the provider's."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from api.bookings import shown
from api.http.calls import Call
from api.http.payloads import NoQuery, RequestBody, encode
from api.http.problems import invalid
from api.http.responses import Response
from engine.models import PaymentReport, PaymentSource

_LINE = r"^[^\x00-\x1f\x7f]+$(?!\n)"


class ConfirmBody(RequestBody, frozen=True):
    """Left out by a customer. An organiser takes the money at the box office, and notes it."""

    box_office: bool = False
    note: Annotated[str, Meta(min_length=1, max_length=200, pattern=_LINE)] | UnsetType = UNSET


async def confirm_booking(call: Call[NoQuery, ConfirmBody]) -> Response:
    """Say that a booking is paid: its places are sold. Repeatable.

    Where a payment provider is set up, only its notices confirm, or the organiser with
    `boxOffice`; a customer may confirm what costs nothing. A payment that comes late gets the same
    places if they are still free, else a refund obligation is recorded and the answer is
    `refund_due`.
    """
    booking = await call.bookings.confirm_booking(call.booking_id, call.customer, _reported(call))
    return Response(encode(shown(booking)))


def _reported(call: Call[NoQuery, ConfirmBody]) -> PaymentReport:
    body = call.body
    if body.box_office:
        if body.note is UNSET:
            raise invalid("note", "a payment at the box office needs a note for the journal")
        return PaymentReport(source=PaymentSource.BOX_OFFICE, note=body.note)
    if body.note is not UNSET:
        raise invalid("note", "only with boxOffice")
    checked = not call.services.settings.customers_confirm
    return PaymentReport(source=PaymentSource.FREE if checked else PaymentSource.UNCHECKED)
