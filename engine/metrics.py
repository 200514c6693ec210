"""Every metric of the system, in one place. `docs/metrics.md` lists them; a test keeps it complete.

Several processes share one registry through prometheus-client's multiprocess files
(PROMETHEUS_MULTIPROC_DIR, set by `engine up` and `engine serve`), so gauges name their mode.
"""

from prometheus_client import Counter, Gauge, Histogram

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

http_requests = Counter(
    "http_requests_total",
    "HTTP requests answered.",
    ["method", "path", "route", "statusCode"],
)
http_duration = Histogram(
    "http_requests_duration_seconds",
    "Time from the request's head to the answer's end.",
    ["method", "path", "route", "statusCode"],
    buckets=_FAST,
)
logins = Counter("logins_total", "Logins by outcome.", ["outcome"])
mails = Counter("mails_total", "Mails by what became of them.", ["outcome"])
tickets_sold = Counter("tickets_sold_total", "Places confirmed, each booking once.")
bookings_expired = Counter("bookings_expired_total", "Bookings whose deadline passed.")
bookings_pending = Gauge(
    "bookings_pending", "Bookings that are pending now.", ["event"], multiprocess_mode="mostrecent"
)
calls = Counter("engine_calls_total", "Script calls by outcome code.", ["script", "code"])
call_duration = Histogram(
    "engine_call_duration_seconds",
    "Time of a script call, its wait for the pipeline included.",
    ["script"],
    buckets=_FAST,
)
batch_calls = Histogram(
    "engine_batch_calls", "Calls that shared one pipeline.", buckets=(1, 2, 4, 8, 16, 32, 64, 128)
)
release_delay = Histogram(
    "engine_release_delay_seconds",
    "From a booking's deadline to its release, by the path that released it.",
    ["path"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60),
)
listener_reconnects = Counter(
    "engine_listener_reconnects_total", "Times the expiry listener had to subscribe again."
)
listener_up = Gauge(
    "engine_listener_up",
    "1 while the expiry listener is subscribed.",
    multiprocess_mode="livemostrecent",
)
entries_written = Counter("writer_entries_total", "Journal entries committed to Postgres.")
batch_duration = Histogram(
    "writer_batch_duration_seconds", "Time of one write-behind transaction.", buckets=_FAST
)
journal_backlog = Gauge(
    "writer_backlog_entries",
    "Journal entries not yet in Postgres.",
    ["event"],
    multiprocess_mode="mostrecent",
)
journal_lag = Gauge(
    "writer_lag_seconds",
    "Age of the oldest journal entry not yet in Postgres.",
    ["event"],
    multiprocess_mode="mostrecent",
)
dead_letters = Counter("writer_dead_letters_total", "Journal entries Postgres refused for good.")
differences = Counter(
    "reconcile_differences_total", "Differences between Redis and Postgres.", ["kind"]
)
payment_notices = Counter(
    "payment_notices_total", "Notices of the payment provider by outcome.", ["outcome"]
)
webhook_attempts = Counter(
    "webhook_attempts_total", "Messages sent to webhooks, by outcome of the attempt.", ["outcome"]
)
webhook_oldest = Gauge(
    "webhook_oldest_undelivered_seconds",
    "How long the oldest message to a webhook waits that is not delivered yet.",
    multiprocess_mode="mostrecent",
)
