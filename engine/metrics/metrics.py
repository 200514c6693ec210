"""Every metric of the system, in one place. `docs/metrics.md` lists them; a test keeps it complete.

Several processes may share one set of metrics (`shared_files`), so gauges name how they are merged,
and the gauges of a process end with it: they describe a current state. A counter starts at 0 when
the process starts, because an alert cannot see a new series appear.
"""

from collections.abc import Collection
from typing import TypeVar

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.metrics import MetricWrapperBase

from engine.metrics import shared_files
from engine.ports.payments import NoticeOutcome

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)

MetricT = TypeVar("MetricT", bound=MetricWrapperBase)

shared_files.share()
disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for every one


def _from_the_start(metric: MetricT, *labels: str) -> MetricT:
    for label in labels:
        metric.labels(label)
    return metric


def _gauge(name: str, text: str, labels: Collection[str] = ()) -> Gauge:
    gauge = Gauge(name, text, labels, multiprocess_mode="livemostrecent")
    if not labels and not shared_files.shared():
        gauge.set(shared_files.FORGOTTEN)  # or the expirer would report that no writer is up
    return gauge


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
http_in_flight = Gauge(
    "http_requests_in_flight",
    "HTTP requests that are worked on now.",
    multiprocess_mode="livesum",
)
logins = _from_the_start(
    Counter("logins_total", "Logins by outcome.", ["outcome"]), "granted", "refused", "throttled"
)
mails = _from_the_start(
    Counter("mails_total", "Mails by what became of them.", ["outcome"]),
    "sent",
    "printed",
    "failed",
    "dropped",
)
tickets_sold = Counter("tickets_sold_total", "Places confirmed, each booking once.")
bookings_expired = Counter("bookings_expired_total", "Bookings whose deadline passed.")
bookings_pending = _gauge("bookings_pending", "Bookings that are pending now.", ["event"])
seats = _gauge("engine_seats", "Places by status.", ["event", "status"])
calls = Counter("engine_calls_total", "Script calls by outcome code.", ["script", "code"])
refusals = Counter(
    "engine_refusals_total",
    "Script calls that were refused, by event (the first 100 of a process) and code.",
    ["event", "code"],
)
call_duration = Histogram(
    "engine_call_duration_seconds",
    "Time of a script call, its wait for the pipeline included.",
    ["script"],
    buckets=_FAST,
)
batch_calls = Histogram(
    "engine_batch_calls", "Calls that shared one pipeline.", buckets=_SIZES[:-2]
)
shared_requests = Histogram(
    "engine_shared_requests",
    "Requests that shared one call of the script.",
    ["script"],
    buckets=(1, 2, 4, 8, 16),
)
release_delay = _from_the_start(
    Histogram(
        "engine_release_delay_seconds",
        "From a booking's deadline to its release, by the path that released it.",
        ["path"],
        buckets=(0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60),
    ),
    "listener",
    "sweep",
    "hold",
)
expirer_up = _gauge("expirer_up", "1 while an expirer sweeps.")
listener_reconnects = Counter(
    "engine_listener_reconnects_total", "Times the expiry listener's connection broke."
)
listener_up = _gauge(
    "engine_listener_up", "1 while the expiry listener is subscribed, or rests in a rush."
)
redis_up = _gauge("engine_redis_up", "1 while Redis answers.")
durability_reached = _gauge(
    "engine_durability_reached", "1 while Redis keeps what it answers as DURABILITY asks for."
)
writer_up = _gauge("writer_up", "1 while a writer drains the journal.")
entries_written = Counter("writer_entries_total", "Journal entries committed to Postgres.")
batch_entries = Histogram(
    "writer_batch_entries", "Journal entries of one write-behind transaction.", buckets=_SIZES
)
batch_duration = Histogram(
    "writer_batch_duration_seconds", "Time of one write-behind transaction.", buckets=_FAST
)
journal_backlog = _gauge(
    "writer_backlog_entries", "Journal entries not yet in Postgres.", ["event"]
)
journal_lag = _gauge(
    "writer_lag_seconds", "Age of the oldest journal entry not yet in Postgres.", ["event"]
)
set_aside = _from_the_start(
    Counter("writer_entries_set_aside_total", "Entries Postgres refused for good.", ["reason"]),
    "seat_sold_twice",
    "refused",
)
dead_letters = _gauge(
    "writer_dead_letters", "Entries that stand set aside, not in Postgres.", ["event"]
)
differences_found = Counter(
    "reconcile_differences_found_total", "Differences between Redis and Postgres.", ["kind"]
)
differences = _gauge(
    "reconcile_differences",
    "Differences between Redis and Postgres, as the last run left them.",
    ["event", "kind"],
)
violations = _gauge(
    "reconcile_violations", "Broken promises, as the last run found them.", ["event", "kind"]
)
reconcile_runs = _from_the_start(
    Counter("reconcile_runs_total", "Runs of the reconciler by outcome.", ["outcome"]),
    "clean",
    "differences",
    "failed",
)
reconcile_last_run = _gauge(
    "reconcile_last_run_timestamp_seconds", "When the reconciler last ended a whole run."
)
restore_progress = _gauge(
    "restore_progress_ratio", "How much of an event is restored, 0 to 1.", ["event"]
)
restored_bookings = Counter("restore_bookings_total", "Bookings given back to Redis by restore.")
payment_notices = _from_the_start(
    Counter("payment_notices_total", "Notices of the payment provider by outcome.", ["outcome"]),
    *NoticeOutcome,
)
webhook_attempts = _from_the_start(
    Counter(
        "webhook_attempts_total",
        "Messages sent to webhooks, by outcome of the attempt.",
        ["outcome"],
    ),
    "delivered",
    "failed",
    "dead",
    "gone",
)
webhook_oldest = _gauge(
    "webhook_oldest_undelivered_seconds",
    "How long the oldest message to a webhook waits that is not delivered yet.",
)


class PerEvent:
    """The series of one gauge by event, its first label; they are removed with the event."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self._series: dict[str, set[tuple[str, ...]]] = {}

    def set(self, event: str, value: float, *labels: str) -> None:
        """Set the series of an event and its further labels."""
        self._series.setdefault(event, set()).add(labels)
        self._gauge.labels(event, *labels).set(value)

    def keep(self, events: Collection[str]) -> None:
        """Remove the series of every event but these."""
        for event in self._series.keys() - set(events):
            for labels in self._series.pop(event):
                if shared_files.shared():
                    self._gauge.labels(event, *labels).set(shared_files.FORGOTTEN)
                else:
                    self._gauge.remove(event, *labels)
