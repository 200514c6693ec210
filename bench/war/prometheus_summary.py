"""What a Prometheus measured of a war, in one line: `python -m bench.war.prometheus_summary URL`.

The demo ends with it. Asked by HTTP, as a Prometheus may be there without promtool.
"""

import json
import sys
from typing import Any
from urllib.parse import urlencode

from bench.load import client
from engine.errors import Unavailable

HOLDS = 'max_over_time(sum(rate(engine_calls_total{script="hold_seats"}[5s]))[5m:1s])'
"""Calls to hold seats a second, in the fullest five seconds."""

SOLD = "sum(tickets_sold_total)"
LAG = "max(max_over_time(writer_lag_seconds[5m]))"
FIRED = 'count by (alertname) (last_over_time(ALERTS{alertstate="firing"}[5m]))'


def line(url: str) -> str:
    """Holds a second at most, places sold, lag at most, alerts. Raises: Unavailable."""
    holds, sold, lag = (_number(url, query) for query in (HOLDS, SOLD, LAG))
    fired = sorted(series["metric"]["alertname"] for series in _ask(url, FIRED))
    return (
        f"up to {holds:,.0f} holds/s, {sold:,.0f} places sold, the writer {lag:.2f} s behind at "
        f"most; alerts: {', '.join(fired) or 'none'}"
    )


def _number(url: str, query: str) -> float:
    found = _ask(url, query)
    return float(found[0]["value"][1]) if found else 0.0


def _ask(url: str, query: str) -> list[dict[str, Any]]:
    status, body = client.get(url, f"/api/v1/query?{urlencode({'query': query})}")
    if status != 200:
        raise Unavailable(f"{url} answers {status}: {body.decode(errors='replace')}")
    found: list[dict[str, Any]] = json.loads(body)["data"]["result"]
    return found


if __name__ == "__main__":
    print(f"Prometheus saw: {line(sys.argv[1])}")
