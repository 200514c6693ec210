"""Health and metrics: the rows of the route table for those who operate it."""

from api import health
from api.calls import V1, Route
from api.payloads import HealthShown

ROUTES: tuple[Route, ...] = (
    Route(method="GET", path="/healthz", endpoint=health.read_health, answer=HealthShown),
    Route(method="GET", path="/readyz", endpoint=health.read_readiness, answer=HealthShown),
    Route(method="GET", path="/metrics", endpoint=health.read_metrics, answer=str),
    Route(method="GET", path=f"{V1}/metrics", endpoint=health.read_metrics, answer=str),
)
