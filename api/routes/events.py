"""Events: the rows of the route table for those who sell, and for those who look."""

from api import availability, events
from api.calls import V1, Route
from api.payloads import (
    AvailabilityShown,
    EventList,
    EventShown,
    LayoutQuery,
    NewEventQuery,
    PageQuery,
    SalesBody,
)
from api.permissions import Permission as May
from engine.models import Layout
from engine.plans.event_json import EventPlan, MoreSeats

ROUTES: tuple[Route, ...] = (
    Route(
        method="GET",
        path=f"{V1}/event",
        endpoint=events.list_events,
        query=PageQuery,
        answer=EventList,
    ),
    Route(
        method="POST",
        path=f"{V1}/event",
        endpoint=events.create_event,
        permission=May.EVENT_CREATE_OWN,
        query=NewEventQuery,
        body=EventPlan,
        plan=True,
        status=201,
        answer=EventShown,
        refusals=("plan_invalid", "event_exists", "load_incomplete"),
    ),
    Route(
        method="GET",
        path=f"{V1}/event/{{event_id}}",
        endpoint=events.read_event,
        answer=EventShown,
        refusals=("event_not_found",),
    ),
    Route(
        method="PATCH",
        path=f"{V1}/event/{{event_id}}",
        endpoint=events.set_sales,
        permission=May.EVENT_CREATE_OWN,
        privilege=May.EVENT_UPDATE_ANY,
        body=SalesBody,
        answer=EventShown,
        refusals=("event_not_found", "not_owner"),
    ),
    Route(
        method="GET",
        path=f"{V1}/event/{{event_id}}/seats",
        endpoint=availability.read_layout,
        query=LayoutQuery,
        answer=Layout,
        refusals=("event_not_found",),
    ),
    Route(
        method="POST",
        path=f"{V1}/event/{{event_id}}/seats",
        endpoint=events.add_seats,
        permission=May.EVENT_CREATE_OWN,
        privilege=May.EVENT_UPDATE_ANY,
        body=MoreSeats,
        plan=True,
        answer=EventShown,
        refusals=("event_not_found", "not_owner", "plan_invalid", "seat_exists", "layout_changed"),
    ),
    Route(
        method="GET",
        path=f"{V1}/event/{{event_id}}/availability",
        endpoint=availability.read_map,
        answer=AvailabilityShown,
        refusals=("event_not_found",),
    ),
)
