"""The rows of the route table for the webhooks of organisers."""

from api import webhooks
from api.http.calls import Route
from api.http.decoding import JsonBody
from api.http.permissions import Permission as May

ONE = f"{webhooks.PATH}/{{webhook_id}}"

ROUTES: tuple[Route, ...] = (
    Route(
        method="POST",
        path=webhooks.PATH,
        endpoint=webhooks.create_webhook,
        permission=May.EVENT_CREATE_OWN,
        privilege=May.EVENT_UPDATE_ANY,
        body=JsonBody(webhooks.WebhookBody),
        status=201,
        response=webhooks.WebhookCreated,
        refusals=("event_not_found", "not_owner", "webhook_limit"),
        response_headers=("Location",),
    ),
    Route(
        method="GET",
        path=webhooks.PATH,
        endpoint=webhooks.list_webhooks,
        permission=May.EVENT_CREATE_OWN,
        privilege=May.EVENT_UPDATE_ANY,
        query=webhooks.WebhooksQuery,
        response=webhooks.WebhookList,
        refusals=("event_not_found", "not_owner"),
    ),
    Route(
        method="GET",
        path=ONE,
        endpoint=webhooks.read_webhook,
        permission=May.EVENT_CREATE_OWN,
        privilege=May.EVENT_UPDATE_ANY,
        response=webhooks.WebhookView,
        refusals=("webhook_not_found",),
    ),
    Route(
        method="DELETE",
        path=ONE,
        endpoint=webhooks.delete_webhook,
        permission=May.EVENT_CREATE_OWN,
        privilege=May.EVENT_UPDATE_ANY,
        response=webhooks.WebhookView,
        refusals=("webhook_not_found",),
    ),
    Route(
        method="GET",
        path=f"{ONE}/deliveries",
        endpoint=webhooks.list_deliveries,
        permission=May.EVENT_CREATE_OWN,
        privilege=May.EVENT_UPDATE_ANY,
        query=webhooks.DeliveriesQuery,
        response=webhooks.DeliveryList,
        refusals=("webhook_not_found",),
    ),
    Route(
        method="POST",
        path=f"{ONE}/replay",
        endpoint=webhooks.replay_deliveries,
        permission=May.EVENT_CREATE_OWN,
        privilege=May.EVENT_UPDATE_ANY,
        body=JsonBody(webhooks.ReplayBody),
        response=webhooks.ReplayView,
        refusals=("webhook_not_found", "delivery_not_found"),
    ),
)
