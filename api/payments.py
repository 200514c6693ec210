"""Payments over HTTP: the word that a booking is paid."""

from api.bookings import shown
from api.http.calls import Call
from api.http.payloads import NoQuery, encode
from api.http.responses import Response


async def confirm_booking(call: Call[NoQuery, None]) -> Response:
    """Say that a booking is paid: its places are sold. Repeatable.

    A payment that comes late gets the same places if they are still free, else a refund
    obligation is recorded and the answer is `refund_due`.
    """
    booking = await call.bookings.confirm_booking(call.booking_id, call.customer)
    return Response(encode(shown(booking)))
