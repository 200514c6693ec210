"""The dashboards of what happens behind an answer: scripts and releases, then persistence."""

from deploy.grafana.panels import Board, Lines, Number
from deploy.grafana.queries import RATE, average, p99_by, quantiles, rate, rate_by

_SCRIPTS = "engine_call_duration_seconds_bucket"
_RELEASES = "engine_release_delay_seconds_bucket"
_EVENT = '{event=~"$event"}'

ENGINE = Board(
    uid="engine",
    title="Engine",
    says="Scripts, batches and releases: is Redis keeping up, and do held places come back?",
    panels=(
        Number(
            title="Listener",
            says="1 while somebody hears that holds expire. 0: the sweep releases alone.",
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
            says="1 while Redis keeps what it answers as DURABILITY asks for.",
            queries={"reached": "min(engine_durability_reached)"},
            good=1,
            width=6,
        ),
        Number(
            title="In flight",
            says="HTTP requests that are worked on now.",
            queries={"requests": "sum(http_requests_in_flight)"},
            width=6,
        ),
        Lines(
            title="Script time by script, p99",
            says="One call, its wait for the pipeline included. Grows for all scripts: Redis or "
            "its disk is slow. Grows for one: that one has too much to do.",
            queries=p99_by("script", _SCRIPTS),
            unit="s",
            warn=0.1,
            bad=0.5,
        ),
        Lines(
            title="Script calls",
            says="Calls a second by script.",
            queries=rate_by("script", "engine_calls_total"),
            unit="ops",
        ),
        Lines(
            title="Batch size",
            says="Calls that shared one pipeline, and one fsync. Grows with the load; that is what "
            "keeps the answers quick.",
            queries=average("average", "engine_batch_calls")
            | quantiles("engine_batch_calls_bucket", 0.95),
        ),
        Lines(
            title="Holds by outcome",
            says="What hold_seats answered, a second.",
            queries={"{{code}}": "code:holds:rate1m"},
            unit="ops",
        ),
        Lines(
            title="Release delay",
            says="From a hold's deadline to its release. Promised is 1 s.",
            queries=quantiles(_RELEASES, 0.5, 0.99) | p99_by("path", _RELEASES),
            unit="s",
            warn=0.5,
            bad=1,
        ),
        Lines(
            title="Releases by path",
            says="Who released: the listener, which is quick, the sweep, which is sure, or the "
            "hold of the next customer.",
            queries=rate_by("path", "engine_release_delay_seconds_count"),
            unit="ops",
        ),
        Lines(
            title="Listener reconnects",
            says="Times the listener had to subscribe again, a minute.",
            queries={
                "reconnects": f"60 * sum(rate(engine_listener_reconnects_total{RATE}))",
            },
        ),
        Lines(
            title="CPU by part",
            says="Cores a process uses. An API worker at 1 is full: start more.",
            queries={
                "{{job}} {{part}} {{slot}}": "sum by (job, instance, part, slot) "
                f"(rate(process_cpu_seconds_total{RATE}))"
            },
            warn=0.8,
            bad=0.95,
        ),
        Lines(
            title="Memory by part",
            says="Memory a process keeps (resident).",
            queries={"{{job}} {{part}} {{slot}}": "process_resident_memory_bytes"},
            unit="bytes",
        ),
    ),
)

PERSISTENCE = Board(
    uid="persistence",
    title="Persistence",
    says="From the journal into Postgres, what differs between both, what organisers are told.",
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
            says="Differences between Redis and Postgres, as the last comparison left them.",
            queries={"differences": f"sum(max by (event, kind) (reconcile_differences{_EVENT}))"},
            bad=1,
            width=6,
        ),
        Number(
            title="Dead letters",
            says="Entries of the journal that Postgres refused and that stand there now.",
            queries={"entries": f"sum(max by (event) (writer_dead_letters{_EVENT}))"},
            bad=1,
            width=6,
        ),
        Number(
            title="Last comparison",
            says="How long ago Redis and Postgres were last compared.",
            queries={"ago": "time() - max(reconcile_last_run_timestamp_seconds)"},
            unit="s",
            warn=120,
            bad=300,
            width=6,
        ),
        Lines(
            title="Age of the oldest entry not in Postgres",
            says="How far Postgres is behind the sale. Alerts from 30 s on.",
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
            says="Entries of the journal committed to Postgres, a second.",
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
            says="The more wait, the more go together.",
            queries=average("average", "writer_batch_entries")
            | quantiles("writer_batch_entries_bucket", 0.95),
        ),
        Lines(
            title="Refused by Postgres",
            says="Entries set aside in 5 minutes, by reason. Any is too many.",
            queries={
                "{{reason}}": "sum by (reason) (increase(writer_entries_set_aside_total[5m]))"
            },
            bad=1,
        ),
        Lines(
            title="Differences by kind",
            says="What Redis and Postgres do not agree on, as the last comparison left it.",
            queries={
                "{{event}} {{kind}}": f"max by (event, kind) (reconcile_differences{_EVENT})",
                "{{event}} promise: {{kind}}": "max by (event, kind) "
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
            says="How much of an event is given back to Redis.",
            queries={"{{event}}": f"max by (event) (restore_progress_ratio{_EVENT})"},
            unit="percentunit",
        ),
        Lines(
            title="Webhooks",
            says="Attempts to tell organisers, a second, by outcome.",
            queries=rate_by("outcome", "webhook_attempts_total"),
            unit="ops",
        ),
        Lines(
            title="Oldest message to a webhook",
            says="How long it waits. Alerts from 10 minutes on.",
            queries={"oldest": "max(webhook_oldest_undelivered_seconds)"},
            unit="s",
            warn=300,
            bad=600,
        ),
        Lines(
            title="Mails",
            says="Mails a second by what became of them.",
            queries=rate_by("outcome", "mails_total"),
            unit="ops",
        ),
    ),
)
