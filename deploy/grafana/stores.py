"""The dashboards of Redis and Postgres: the basics, from the usual exporters."""

from deploy.grafana.panels import Board, Lines, Number, Stacked
from deploy.grafana.queries import RATE

REDIS = Board(
    uid="redis",
    title="Redis",
    says="Memory, disk and load of the server that decides every hold and sale.",
    panels=(
        Number(
            title="Up",
            says="1 while the exporter reaches Redis.",
            queries={"up": "min(redis_up)"},
            good=1,
            width=6,
        ),
        Number(
            title="Memory used",
            says="Share of maxmemory. A full Redis refuses every hold. Empty: no maxmemory is set.",
            queries={"used": "max(redis_memory_used_bytes / (redis_memory_max_bytes > 0))"},
            unit="percentunit",
            warn=0.75,
            bad=0.9,
            width=6,
        ),
        Number(
            title="Last write of the append-only file",
            says="1 if it succeeded. 0: the disk is full or broken.",
            queries={"ok": "min(redis_aof_last_write_status)"},
            good=1,
            width=6,
        ),
        Number(
            title="Evicted keys",
            says="In 5 minutes. Must be 0: maxmemory-policy is noeviction, because an "
            "evicted key would be a lost sale.",
            queries={"keys": "sum(increase(redis_evicted_keys_total[5m]))"},
            bad=1,
            width=6,
        ),
        Lines(
            title="Memory",
            says="Used, resident and the limit.",
            queries={
                "used": "max(redis_memory_used_bytes)",
                "resident": "max(redis_memory_used_rss_bytes)",
                "limit": "max(redis_memory_max_bytes)",
            },
            unit="bytes",
        ),
        Lines(
            title="Commands",
            says="Commands per second; a script is one EVALSHA.",
            queries={"{{cmd}}": f"topk(8, sum by (cmd) (rate(redis_commands_total{RATE})))"},
            unit="ops",
        ),
        Lines(
            title="Time of a command",
            says="Average by command. EVALSHA is the sale.",
            queries={
                "{{cmd}}": "topk(8, sum by (cmd) "
                f"(rate(redis_commands_duration_seconds_total{RATE})) "
                f"/ (sum by (cmd) (rate(redis_commands_total{RATE})) > 0))"
            },
            unit="s",
        ),
        Lines(
            title="CPU of the main thread",
            says="Cores. At 1 Redis is saturated: scripts wait for each other.",
            queries={
                "cores": f"sum(rate(redis_cpu_sys_main_thread_seconds_total{RATE}))"
                f" + sum(rate(redis_cpu_user_main_thread_seconds_total{RATE}))"
            },
            warn=0.7,
            bad=0.9,
        ),
        Lines(
            title="Connections",
            says="Connected clients, and those blocked in a read of the journal, which is normal.",
            queries={
                "connected": "sum(redis_connected_clients)",
                "blocked": "sum(redis_blocked_clients)",
            },
        ),
        Lines(
            title="Connections refused",
            says="In 5 minutes. Above 0: maxclients is too low.",
            queries={"refused": "sum(increase(redis_rejected_connections_total[5m]))"},
            bad=1,
        ),
        Lines(
            title="Append-only file",
            says="Size, and its size at the last rewrite.",
            queries={
                "now": "max(redis_aof_current_size_bytes)",
                "at the last rewrite": "max(redis_aof_base_size_bytes)",
            },
            unit="bytes",
        ),
        Lines(
            title="Keys",
            says="All keys, and those with a TTL: holds, stored responses, rate limits.",
            queries={
                "keys": "sum(redis_db_keys)",
                "with a TTL": "sum(redis_db_keys_expiring)",
            },
        ),
    ),
)

_OURS = '{datname!~"template.*|"}'
_BLOCKS = f"sum(rate(pg_stat_database_blks_hit{_OURS}{RATE}))"

POSTGRES = Board(
    uid="postgres",
    title="Postgres",
    says="Connections, transactions and disk of the system of record.",
    panels=(
        Number(
            title="Up",
            says="1 while the exporter reaches Postgres.",
            queries={"up": "min(pg_up)"},
            good=1,
            width=6,
        ),
        Number(
            title="Connections used",
            says="Share of max_connections.",
            queries={
                "used": "sum(pg_stat_database_numbackends) / max(pg_settings_max_connections)"
            },
            unit="percentunit",
            warn=0.7,
            bad=0.9,
            width=6,
        ),
        Number(
            title="Longest transaction",
            says="Age of the transaction. Long ones block vacuum and hold locks.",
            queries={"longest": f"max(pg_stat_activity_max_tx_duration{_OURS})"},
            unit="s",
            warn=10,
            bad=60,
            width=6,
        ),
        Number(
            title="Deadlocks",
            says="In 5 minutes.",
            queries={"deadlocks": f"sum(increase(pg_stat_database_deadlocks{_OURS}[5m]))"},
            bad=1,
            width=6,
        ),
        Lines(
            title="Transactions",
            says="Committed and rolled back per second.",
            queries={
                "committed": f"sum(rate(pg_stat_database_xact_commit{_OURS}{RATE}))",
                "rolled back": f"sum(rate(pg_stat_database_xact_rollback{_OURS}{RATE}))",
            },
            unit="ops",
        ),
        Lines(
            title="Rows written",
            says="Inserted, updated and deleted per second.",
            queries={
                "inserted": f"sum(rate(pg_stat_database_tup_inserted{_OURS}{RATE}))",
                "updated": f"sum(rate(pg_stat_database_tup_updated{_OURS}{RATE}))",
                "deleted": f"sum(rate(pg_stat_database_tup_deleted{_OURS}{RATE}))",
            },
            unit="ops",
        ),
        Stacked(
            title="Connections by state",
            says="No session should stay idle in transaction for long.",
            queries={"{{state}}": f"sum by (state) (pg_stat_activity_count{_OURS})"},
        ),
        Lines(
            title="Read from memory",
            says="Share of blocks found in shared_buffers.",
            queries={
                "share": f"{_BLOCKS} / ({_BLOCKS}"
                f" + sum(rate(pg_stat_database_blks_read{_OURS}{RATE})))"
            },
            unit="percentunit",
        ),
        Lines(
            title="Size of the databases",
            says="On disk.",
            queries={"{{datname}}": f"pg_database_size_bytes{_OURS}"},
            unit="bytes",
        ),
        Lines(
            title="Locks",
            says="Held or waited for, by mode.",
            queries={"{{mode}}": f"sum by (mode) (pg_locks_count{_OURS})"},
        ),
    ),
)
