"""The dashboard of an on-sale: what customers get, what is sold, what is refused."""

from deploy.grafana.panels import Board, Lines, Number, Rows, Stacked
from deploy.grafana.queries import RATE, p99_by, quantiles, rate, rate_by

_ANSWERS = "http_requests_duration_seconds_bucket"
_OF_CUSTOMERS = 'route!~"read_health|read_readiness|read_metrics"'

ON_SALE = Board(
    uid="on-sale",
    title="On-sale",
    says="What customers get, what is sold and what is refused. Look here first.",
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
            says="Bookings that are held and not yet paid, as the last sweep counted them.",
            queries={"bookings": 'sum(event:bookings_pending:max{event=~"$event"})'},
            width=4,
        ),
        Number(
            title="Requests",
            says="Answers a second, of every kind, probes included.",
            queries={"answers": "engine:http_requests:rate1m"},
            unit="reqps",
            width=4,
        ),
        Number(
            title="Error rate",
            says="Share of customers' answers that failed for a reason of ours (5xx), 5 minutes. "
            "The budget of a month is 0.1 %.",
            queries={"failed": "engine:http_errors:ratio_rate5m"},
            unit="percentunit",
            warn=0.001,
            bad=0.0144,
            width=4,
        ),
        Number(
            title="Hold, p99",
            says="99 of 100 holds are answered faster than this.",
            queries={"p99": 'route:http_requests_duration_seconds:p99_1m{route="hold_seats"}'},
            unit="s",
            warn=0.25,
            bad=1,
            width=4,
        ),
        Number(
            title="Alerts firing",
            says="Every alert has its page in docs/runbook.",
            queries={"alerts": 'count(ALERTS{alertstate="firing"}) or vector(0)'},
            bad=1,
            width=4,
        ),
        Lines(
            title="Requests by path",
            says="Answers a second by method and path.",
            queries={
                "{{method}} {{path}}": f"sum by (method, path) (rate(http_requests_total{RATE}))"
            },
            unit="reqps",
        ),
        Lines(
            title="Answer time",
            says="From a request's head to its answer's end, all routes but the probes.",
            queries=quantiles(f"{_ANSWERS}{{{_OF_CUSTOMERS}}}", 0.5, 0.95, 0.99),
            unit="s",
            warn=0.25,
            bad=1,
        ),
        Stacked(
            title="Places by status",
            says="Available, held, sold, blocked: what an event has, as the sweep counts it.",
            queries={"{{event}} {{status}}": 'event_status:engine_seats:max{event=~"$event"}'},
        ),
        Lines(
            title="Sold, held, expired",
            says="Places sold, holds made and holds expired, a second.",
            queries=rate("places sold", "tickets_sold_total")
            | rate("holds", 'engine_calls_total{script="hold_seats",code="ok"}')
            | rate("expired", "bookings_expired_total"),
            unit="ops",
        ),
        Lines(
            title="Most frequent refusals",
            says="What scripts answer instead of OK, a second: seat_taken is a rush, sales_closed "
            "is too early, rate_limited is a robot or a limit that is too low.",
            queries={
                "{{code}}": "topk(8, sum by (code) "
                f'(rate(engine_calls_total{{code!~"ok|unanswered"}}{RATE})))'
            },
            unit="ops",
        ),
        Lines(
            title="Answers by status",
            says="Answers a second by HTTP status: 401, 403 and 429 are somebody's, 5xx are ours.",
            queries=rate_by("statusCode", "http_requests_total"),
            unit="reqps",
        ),
        Lines(
            title="Error rate",
            says="Share of customers' answers that failed for a reason of ours. Above the red line "
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
            says="Which call is slow. A login costs a password hash and is meant to be slow.",
            queries=p99_by("route", f"{_ANSWERS}{{{_OF_CUSTOMERS}}}"),
            unit="s",
        ),
        Lines(
            title="Pending bookings",
            says="Held and not yet paid, by event.",
            queries={"{{event}}": 'event:bookings_pending:max{event=~"$event"}'},
        ),
        Lines(
            title="Logins and payments",
            says="Logins by outcome, and notices of the payment provider by outcome, a second.",
            queries={
                "login {{outcome}}": f"sum by (outcome) (rate(logins_total{RATE}))",
                "payment {{outcome}}": f"sum by (outcome) (rate(payment_notices_total{RATE}))",
            },
            unit="ops",
        ),
        Rows(
            title="Alerts firing",
            says="What somebody was told, with its labels. What to do: docs/runbook.",
            queries={"": 'ALERTS{alertstate="firing"}'},
            width=24,
        ),
    ),
)
