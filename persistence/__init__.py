"""Postgres, the system of record: written behind the sale, never on the path of a hold or confirm.

The writer (`journal`) writes journal entries to Postgres. The loss detector compares positions and
fences an event that Redis has lost; the restorer rebuilds it. The reconciler compares both sides in
full. The deliverer sends webhooks. `stores` holds what the API keeps in Postgres alone.

An event: live -> fenced (Redis lost some of it) -> drained (what only Redis has is written) ->
staged (rebuilt from Postgres under a new epoch) -> in place, still fenced -> compared -> reopened.
A restore that fails leaves the event fenced, and can be run again from any step.

Only this package imports asyncpg. All SQL stands in named queries in its `.sql` files and in
`migrations/`, except for the few statements of the migration runner and a ping.
"""
