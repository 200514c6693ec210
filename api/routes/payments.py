"""The rows of the route table for the payment provider's notices and for refunds."""

from api import payment_notices, refunds, stripe_events
from api.http.calls import V1, Route
from api.http.decoding import JsonBody, RawBody
from api.http.limits import LimitClass
from api.http.permissions import Permission as May

ROUTES: tuple[Route, ...] = (
    Route(
        method="POST",
        path=f"{V1}/payment/webhook",
        endpoint=payment_notices.receive_notice,
        body=RawBody(payment_notices.NoticeBody),
        response=payment_notices.NoticeTaken,
        limit=LimitClass.NONE,
        repeatable=True,
        request_headers=("Payment-Signature",),
        refusals=("signature_invalid", "not_found", "restoring"),
    ),
    Route(
        method="POST",
        path=f"{V1}/payment/stripe",
        endpoint=stripe_events.receive_stripe_event,
        body=RawBody(stripe_events.StripeEventBody),
        response=payment_notices.NoticeTaken,
        limit=LimitClass.NONE,
        repeatable=True,
        request_headers=("Stripe-Signature",),
        refusals=("signature_invalid", "not_found", "restoring"),
    ),
    Route(
        method="GET",
        path=f"{V1}/event/{{event_id}}/payments",
        endpoint=payment_notices.list_notices,
        permission=May.EVENT_CREATE_OWN,
        privilege=May.EVENT_UPDATE_ANY,
        query=payment_notices.NoticesQuery,
        response=payment_notices.NoticeList,
        refusals=("event_not_found", "not_owner"),
    ),
    Route(
        method="GET",
        path=f"{V1}/event/{{event_id}}/refunds",
        endpoint=refunds.list_refunds,
        permission=May.EVENT_CREATE_OWN,
        privilege=May.EVENT_UPDATE_ANY,
        query=refunds.RefundsQuery,
        response=refunds.RefundList,
        refusals=("event_not_found", "not_owner"),
    ),
    Route(
        method="GET",
        path=f"{V1}/refund",
        endpoint=refunds.list_refunds_without_event,
        permission=May.EVENT_UPDATE_ANY,
        query=refunds.RefundsQuery,
        response=refunds.RefundList,
    ),
    Route(
        method="POST",
        path=f"{V1}/refund/{{refund_id}}/settle",
        endpoint=refunds.settle_refund,
        permission=May.EVENT_CREATE_OWN,
        privilege=May.EVENT_UPDATE_ANY,
        body=JsonBody(refunds.SettleBody, optional=True),
        repeatable=True,
        response=refunds.RefundView,
        refusals=("event_not_found", "not_owner", "refund_not_found", "refund_ambiguous"),
    ),
)
