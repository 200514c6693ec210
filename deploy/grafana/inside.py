"""The dashboards of the engine's internals: scripts and releases, then persistence."""

from deploy.grafana.panels import Board, Lines, Number
from deploy.grafana.queries import RATE, average, p99_by, quantiles, rate, rate_by

_SCRIPTS = "engine_call_duration_seconds_bucket"
_RELEASES = "engine_release_delay_seconds_bucket"
_EVENT = '{event=~"$event"}'

ENGINE = Board(
    uid="engine",
    title="Engine",
    says="Scripts, batches and releases: does Redis keep up, and are expired holds released?",
    panels=(
        Number(
            title="Listener",
            says="1 while an expirer gets expiry notifications. 0: only the sweep releases.",
            queries={"listening": "max(engine_listener_up)"},
            good=1,
            width=6,
        ),
        Number(
            title="Redis",
            says="1 while the expirer reaches Redis.",
            queries={"up": "max(engine_redis_up)"},
            good=1,
            width=6,
        ),
        Number(
            title="Durability",
            says="1 while Redis is as durable as DURABILITY requires.",
            queries={"reached": "min(engine_durability_reached)"},
            good=1,
            width=6,
        ),
        Number(
            title="In flight",
            says="HTTP requests in flight.",
            queries={"requests": "sum(http_requests_in_flight)"},
            width=6,
        ),
        Lines(
            title="Script time by script, p99",
            says="One call, including its wait for the pipeline. If it grows for all scripts, "
            "Redis or its disk is slow; if it grows for one, that script does too much.",
            queries=p99_by("script", _SCRIPTS),
            unit="s",
            warn=0.1,
            bad=0.5,
        ),
        Lines(
            title="Script calls",
            says="Calls per second by script.",
            queries=rate_by("script", "engine_calls_total"),
            unit="ops",
        ),
        Lines(
            title="Batch size",
            says="Calls that shared one pipeline, and one fsync. Grows with the load, "
            "which keeps responses fast.",
            queries=average("average", "engine_batch_calls")
            | quantiles("engine_batch_calls_bucket", 0.95),
        ),
        Lines(
            title="Holds by outcome",
            says="Results of hold_seats per second.",
            queries={"{{code}}": "code:holds:rate1m"},
            unit="ops",
        ),
        Lines(
            title="Release delay",
            says="From a hold's deadline to its release. The guarantee is 1 s.",
            queries=quantiles(_RELEASES, 0.5, 0.99) | p99_by("path", _RELEASES),
            unit="s",
            warn=0.5,
            bad=1,
        ),
        Lines(
            title="Releases by path",
            says="Path of the release: the listener (fast), the sweep (guaranteed), or "
            "the hold of the next customer.",
            queries=rate_by("path", "engine_release_delay_seconds_count"),
            unit="ops",
        ),
        Lines(
            title="Listener reconnects",
            says="Resubscriptions of the listener per minute.",
            queries={
                "reconnects": f"60 * sum(rate(engine_listener_reconnects_total{RATE}))",
            },
        ),
        Lines(
            title="CPU by part",
            says="Cores a process uses. An API worker at 1 is saturated: start more.",
            queries={
                "{{job}} {{part}} {{slot}}": "sum by (job, instance, part, slot) "
                f"(rate(process_cpu_seconds_total{RATE}))"
            },
            warn=0.8,
            bad=0.95,
        ),
        Lines(
            title="Memory by part",
            says="Resident memory of a process.",
            queries={"{{job}} {{part}} {{slot}}": "process_resident_memory_bytes"},
            unit="bytes",
        ),
    ),
)

PERSISTENCE = Board(
    uid="persistence",
    title="Persistence",
    says="Journal to Postgres, differences between both, webhooks to organisers.",
    by_event=True,
    panels=(
        Number(
            title="Writer",
            says="1 while a writer drains the journal.",
            queries={"up": "max(writer_up) or vector(0)"},
            good=1,
            width=6,
        ),
        Number(
            title="Differences",
            says="Differences between Redis and Postgres in the last comparison.",
            queries={"differences": f"sum(max by (event, kind) (reconcile_differences{_EVENT}))"},
            bad=1,
            width=6,
        ),
        Number(
            title="Dead letters",
            says="Entries of the journal that Postgres rejected and that are still set aside.",
            queries={"entries": f"sum(max by (event) (writer_dead_letters{_EVENT}))"},
            bad=1,
            width=6,
        ),
        Number(
            title="Last comparison",
            says="Time since the last comparison of Redis and Postgres.",
            queries={"ago": "time() - max(reconcile_last_run_timestamp_seconds)"},
            unit="s",
            warn=120,
            bad=300,
            width=6,
        ),
        Lines(
            title="Age of the oldest entry not in Postgres",
            says="How far Postgres is behind the sale. Alert above 30 s.",
            queries={"{{event}}": f"event:writer_lag_seconds:max{_EVENT}"},
            unit="s",
            warn=10,
            bad=30,
        ),
        Lines(
            title="Backlog",
            says="Entries of the journal not yet in Postgres.",
            queries={"{{event}}": f"event:writer_backlog_entries:max{_EVENT}"},
        ),
        Lines(
            title="Entries written",
            says="Entries of the journal committed to Postgres per second.",
            queries=rate("entries", "writer_entries_total"),
            unit="ops",
        ),
        Lines(
            title="Transaction time",
            says="One write-behind transaction.",
            queries=quantiles("writer_batch_duration_seconds_bucket", 0.5, 0.99),
            unit="s",
            warn=0.5,
            bad=2,
        ),
        Lines(
            title="Entries of a transaction",
            says="Entries per batch. Grows with the backlog.",
            queries=average("average", "writer_batch_entries")
            | quantiles("writer_batch_entries_bucket", 0.95),
        ),
        Lines(
            title="Refused by Postgres",
            says="Entries set aside in 5 minutes, by reason. Must be 0.",
            queries={
                "{{reason}}": "sum by (reason) (increase(writer_entries_set_aside_total[5m]))"
            },
            bad=1,
        ),
        Lines(
            title="Differences by kind",
            says="Differences between Redis and Postgres by kind, in the last comparison.",
            queries={
                "{{event}} {{kind}}": f"max by (event, kind) (reconcile_differences{_EVENT})",
                "{{event}} violation: {{kind}}": "max by (event, kind) "
                f"(reconcile_violations{_EVENT})",
            },
            bad=1,
        ),
        Lines(
            title="Comparisons by outcome",
            says="Runs of the reconciler in 5 minutes.",
            queries={"{{outcome}}": "sum by (outcome) (increase(reconcile_runs_total[5m]))"},
        ),
        Lines(
            title="Restore",
            says="Share of an event that is restored to Redis.",
            queries={"{{event}}": f"max by (event) (restore_progress_ratio{_EVENT})"},
            unit="percentunit",
        ),
        Lines(
            title="Webhooks",
            says="Attempts to deliver webhooks per second, by outcome.",
            queries=rate_by("outcome", "webhook_attempts_total"),
            unit="ops",
        ),
        Lines(
            title="Oldest message to a webhook",
            says="Age of the oldest message. Alert above 10 minutes.",
            queries={"oldest": "max(webhook_oldest_undelivered_seconds)"},
            unit="s",
            warn=300,
            bad=600,
        ),
        Lines(
            title="Mails",
            says="Mails per second by outcome.",
            queries=rate_by("outcome", "mails_total"),
            unit="ops",
        ),
    ),
)
