"""The dashboard of an on-sale: what customers get, what is sold, what is refused."""

from deploy.grafana.panels import Board, Lines, Number, Rows, Stacked
from deploy.grafana.queries import RATE, p99_by, quantiles, rate, rate_by

_ANSWERS = "http_requests_duration_seconds_bucket"
_OF_CUSTOMERS = 'route!~"read_health|read_readiness|read_metrics"'

ON_SALE = Board(
    uid="on-sale",
    title="On-sale",
    says="What customers get, what is sold and what is refused. Check this dashboard first.",
    by_event=True,
    panels=(
        Number(
            title="Sold in 5 min",
            says="Places confirmed in the last five minutes.",
            queries={"places": "engine:tickets_sold:increase5m"},
            width=4,
        ),
        Number(
            title="Pending now",
            says="Held, unpaid bookings, counted by the last sweep.",
            queries={"bookings": 'sum(event:bookings_pending:max{event=~"$event"})'},
            width=4,
        ),
        Number(
            title="Requests",
            says="Responses per second of every kind, including probes.",
            queries={"answers": "engine:http_requests:rate1m"},
            unit="reqps",
            width=4,
        ),
        Number(
            title="Error rate",
            says="Share of customers' requests that failed on the server side (5xx), 5 minutes. "
            "The budget of a month is 0.1 %.",
            queries={"failed": "engine:http_errors:ratio_rate5m"},
            unit="percentunit",
            warn=0.001,
            bad=0.0144,
            width=4,
        ),
        Number(
            title="Hold, p99",
            says="99 of 100 holds are faster than this.",
            queries={"p99": 'route:http_requests_duration_seconds:p99_1m{route="hold_seats"}'},
            unit="s",
            warn=0.25,
            bad=1,
            width=4,
        ),
        Number(
            title="Alerts firing",
            says="Every alert has a page in docs/runbook.",
            queries={"alerts": 'count(ALERTS{alertstate="firing"}) or vector(0)'},
            bad=1,
            width=4,
        ),
        Lines(
            title="Requests by path",
            says="Responses per second by method and path.",
            queries={
                "{{method}} {{path}}": f"sum by (method, path) (rate(http_requests_total{RATE}))"
            },
            unit="reqps",
        ),
        Lines(
            title="Answer time",
            says="From the request's head to the end of the response, all routes except probes.",
            queries=quantiles(f"{_ANSWERS}{{{_OF_CUSTOMERS}}}", 0.5, 0.95, 0.99),
            unit="s",
            warn=0.25,
            bad=1,
        ),
        Stacked(
            title="Places by status",
            says="Available, held, sold and blocked places of an event, counted by the sweep.",
            queries={"{{event}} {{status}}": 'event_status:engine_seats:max{event=~"$event"}'},
        ),
        Lines(
            title="Sold, held, expired",
            says="Places sold, holds made and holds expired per second.",
            queries=rate("places sold", "tickets_sold_total")
            | rate("holds", 'engine_calls_total{script="hold_seats",code="ok"}')
            | rate("expired", "bookings_expired_total"),
            unit="ops",
        ),
        Lines(
            title="Most frequent refusals",
            says="Results of scripts other than OK per second: seat_taken means a rush, "
            "sales_closed an early call, rate_limited a bot or a limit that is too low.",
            queries={
                "{{code}}": "topk(8, sum by (code) "
                f'(rate(engine_calls_total{{code!~"ok|unanswered"}}{RATE})))'
            },
            unit="ops",
        ),
        Lines(
            title="Answers by status",
            says="Responses per second by HTTP status: 4xx are client errors, 5xx server errors.",
            queries=rate_by("statusCode", "http_requests_total"),
            unit="reqps",
        ),
        Lines(
            title="Error rate",
            says="Share of customers' requests that failed on the server side. Above the red line "
            "the month's budget is gone within two days.",
            queries={
                "5 minutes": "engine:http_errors:ratio_rate5m",
                "1 hour": "engine:http_errors:ratio_rate1h",
                "6 hours": "engine:http_errors:ratio_rate6h",
            },
            unit="percentunit",
            warn=0.001,
            bad=0.0144,
        ),
        Lines(
            title="Answer time by route, p99",
            says="Which call is slow. A login needs a password hash and is slow by design.",
            queries=p99_by("route", f"{_ANSWERS}{{{_OF_CUSTOMERS}}}"),
            unit="s",
        ),
        Lines(
            title="Pending bookings",
            says="Held, unpaid bookings by event.",
            queries={"{{event}}": 'event:bookings_pending:max{event=~"$event"}'},
        ),
        Lines(
            title="Logins and payments",
            says="Logins by outcome, and notices of the payment provider by outcome, per second.",
            queries={
                "login {{outcome}}": f"sum by (outcome) (rate(logins_total{RATE}))",
                "payment {{outcome}}": f"sum by (outcome) (rate(payment_notices_total{RATE}))",
            },
            unit="ops",
        ),
        Rows(
            title="Alerts firing",
            says="Firing alerts with their labels. docs/runbook says what to do.",
            queries={"": 'ALERTS{alertstate="firing"}'},
            width=24,
        ),
    ),
)
