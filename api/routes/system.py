"""The rows of the route table for operations: health, readiness and metrics."""

from api import health, metrics
from api.health import HealthView
from api.http.calls import V1, Route
from api.http.limits import LimitClass

ROUTES: tuple[Route, ...] = (
    Route(
        method="GET",
        path="/healthz",
        endpoint=health.read_health,
        response=HealthView,
        limit=LimitClass.NONE,
    ),
    Route(
        method="GET",
        path="/readyz",
        endpoint=health.read_readiness,
        response=HealthView,
        limit=LimitClass.NONE,
        other_responses={503: HealthView},
    ),
    Route(
        method="GET",
        path="/metrics",
        endpoint=metrics.read_metrics,
        response=str,
        limit=LimitClass.NONE,
        produces="text/plain",
    ),
    Route(
        method="GET",
        path=f"{V1}/metrics",
        endpoint=metrics.read_metrics,
        response=str,
        limit=LimitClass.NONE,
        produces="text/plain",
        described=False,
    ),
)
