"""The rows of the route table for bookings, from the list of seats to the confirmation."""

from api import bookings, seats
from api.bookings import BookingList, HoldBody, MineQuery
from api.http.calls import V1, Route
from api.http.decoding import JsonBody
from api.http.limits import LimitClass
from api.http.permissions import Permission as May
from api.seats import SeatList, SeatsQuery
from engine.booking_view import BookingView

ROUTES: tuple[Route, ...] = (
    Route(
        method="POST",
        path=f"{V1}/booking",
        endpoint=bookings.hold_seats,
        permission=May.BOOKING_CREATE_OWN,
        body=JsonBody(HoldBody),
        status=201,
        response=BookingView,
        limit=LimitClass.SALE,
        refusals=(
            "event_not_found",
            "seat_not_found",
            "area_not_found",
            "seat_taken",
            "area_full",
            "sales_closed",
            "too_many_seats",
            "limit_reached",
            "request_reused",
        ),
        repeatable=True,
        request_headers=("Idempotency-Key",),
        response_headers=("Location",),
    ),
    Route(
        method="GET",
        path=f"{V1}/booking",
        endpoint=seats.list_seats,
        query=SeatsQuery,
        response=SeatList,
        refusals=("event_not_found",),
    ),
    Route(
        method="GET",
        path=f"{V1}/booking/mine",
        endpoint=bookings.list_bookings,
        permission=May.BOOKING_READ_OWN,
        query=MineQuery,
        response=BookingList,
    ),
    Route(
        method="GET",
        path=f"{V1}/booking/{{booking_id}}",
        endpoint=bookings.read_booking,
        permission=May.BOOKING_READ_OWN,
        privilege=May.BOOKING_READ_ALL,
        response=BookingView,
        refusals=("booking_not_found",),
    ),
    Route(
        method="DELETE",
        path=f"{V1}/booking/{{booking_id}}",
        endpoint=bookings.release_booking,
        permission=May.BOOKING_UPDATE_OWN,
        privilege=May.BOOKING_UPDATE_ANY,
        response=BookingView,
        limit=LimitClass.SALE,
        refusals=(
            "event_not_found",
            "booking_not_found",
            "booking_expired",
            "booking_cancelled",
            "already_confirmed",
        ),
    ),
    Route(
        method="POST",
        path=f"{V1}/booking/{{booking_id}}/extend",
        endpoint=bookings.extend_booking,
        permission=May.BOOKING_UPDATE_OWN,
        privilege=May.BOOKING_UPDATE_ANY,
        response=BookingView,
        limit=LimitClass.SALE,
        refusals=(
            "event_not_found",
            "booking_not_found",
            "extend_limit",
            "already_confirmed",
            "booking_expired",
            "booking_released",
            "booking_cancelled",
        ),
    ),
    Route(
        method="POST",
        path=f"{V1}/booking/{{booking_id}}/cancel",
        endpoint=bookings.cancel_booking,
        permission=May.BOOKING_UPDATE_OWN,
        privilege=May.BOOKING_UPDATE_ANY,
        response=BookingView,
        limit=LimitClass.SALE,
        refusals=(
            "event_not_found",
            "booking_not_found",
            "not_confirmed",
            "booking_expired",
            "booking_released",
            "cancel_closed",
        ),
        repeatable=True,
    ),
    Route(
        method="POST",
        path=f"{V1}/payment/{{booking_id}}/confirm",
        endpoint=bookings.confirm_booking,
        permission=May.PAYMENT_CONFIRM,
        privilege=May.PAYMENT_CONFIRM_ANY,
        body=JsonBody(bookings.ConfirmBody, optional=True),
        response=BookingView,
        limit=LimitClass.PAY,
        refusals=(
            *("event_not_found", "booking_not_found", "booking_cancelled", "refund_due"),
            *("payment_by_provider", "not_owner", "paid_twice", "amount_differs"),
            *("payment_refunded", "too_many_payments"),
        ),
        repeatable=True,
    ),
)
