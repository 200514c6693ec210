"""The rows of the route table for events, their seats and their availability."""

from api import availability, events, sales
from api.availability import LayoutQuery
from api.events import EventList, EventView, NewEventQuery, SeatIdsBody, TermsBody
from api.http.calls import V1, Route
from api.http.decoding import JsonBody, PlanBody
from api.http.payloads import PageQuery
from api.http.permissions import Permission as May
from api.snapshots import AvailabilityView
from engine.models import Layout
from engine.plans.event_json import EventPlan, MoreSeats

ROUTES: tuple[Route, ...] = (
    Route(
        method="GET",
        path=f"{V1}/event",
        endpoint=events.list_events,
        query=PageQuery,
        response=EventList,
    ),
    Route(
        method="POST",
        path=f"{V1}/event",
        endpoint=events.create_event,
        permission=May.EVENT_CREATE_OWN,
        query=NewEventQuery,
        body=PlanBody(EventPlan),
        status=201,
        response=EventView,
        refusals=("plan_invalid", "event_exists", "load_incomplete", "terms_contradict"),
        response_headers=("Location", "ETag"),
    ),
    Route(
        method="GET",
        path=f"{V1}/event/{{event_id}}",
        endpoint=events.read_event,
        response=EventView,
        refusals=("event_not_found",),
        request_headers=("If-None-Match",),
    ),
    Route(
        method="PATCH",
        path=f"{V1}/event/{{event_id}}",
        endpoint=events.set_terms,
        permission=May.EVENT_CREATE_OWN,
        privilege=May.EVENT_UPDATE_ANY,
        body=JsonBody(TermsBody),
        response=EventView,
        refusals=("event_not_found", "not_owner", "precondition_failed", "terms_contradict"),
        request_headers=("If-Match", "If-None-Match"),
        response_headers=("ETag",),
    ),
    Route(
        method="GET",
        path=f"{V1}/event/{{event_id}}/sales",
        endpoint=sales.read_sales,
        permission=May.EVENT_CREATE_OWN,
        privilege=May.EVENT_UPDATE_ANY,
        response=sales.SalesView,
        refusals=("event_not_found", "not_owner"),
    ),
    Route(
        method="POST",
        path=f"{V1}/event/{{event_id}}/seats/block",
        endpoint=events.block_seats,
        permission=May.EVENT_CREATE_OWN,
        privilege=May.EVENT_UPDATE_ANY,
        body=JsonBody(SeatIdsBody),
        response=EventView,
        refusals=(
            "event_not_found",
            "not_owner",
            "seat_not_found",
            "seat_taken",
            "precondition_failed",
        ),
    ),
    Route(
        method="POST",
        path=f"{V1}/event/{{event_id}}/seats/unblock",
        endpoint=events.unblock_seats,
        permission=May.EVENT_CREATE_OWN,
        privilege=May.EVENT_UPDATE_ANY,
        body=JsonBody(SeatIdsBody),
        response=EventView,
        refusals=("event_not_found", "not_owner", "seat_not_found", "precondition_failed"),
    ),
    Route(
        method="GET",
        path=f"{V1}/event/{{event_id}}/seats",
        endpoint=availability.read_layout,
        query=LayoutQuery,
        response=Layout,
        refusals=("event_not_found",),
        request_headers=("If-None-Match",),
    ),
    Route(
        method="POST",
        path=f"{V1}/event/{{event_id}}/seats",
        endpoint=events.add_seats,
        permission=May.EVENT_CREATE_OWN,
        privilege=May.EVENT_UPDATE_ANY,
        body=PlanBody(MoreSeats),
        response=EventView,
        refusals=(
            "event_not_found",
            "not_owner",
            "plan_invalid",
            "seat_exists",
            "layout_changed",
            "precondition_failed",
        ),
    ),
    Route(
        method="GET",
        path=f"{V1}/event/{{event_id}}/availability",
        endpoint=availability.read_map,
        response=AvailabilityView,
        refusals=("event_not_found",),
        request_headers=("If-None-Match",),
    ),
)
