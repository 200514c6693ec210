"""Rebuilds an event in Redis from Postgres: fenced -> staged -> in place -> reopened.

- fenced: `fence_event` sets the event's sales to `restoring`. Every script then answers RESTORING
  and changes nothing, so Postgres can catch up with what Redis still has.
- staged: `rebuild` computes the event under a new epoch; `stage` writes it to staging keys.
- in place: `restore_event` replaces the old event by the staged one. It stays fenced while its new
  journal is written to Postgres and both sides are compared.
- reopened: `reopen_event` sets the event's sales to what Postgres has.

A restore that fails at any step leaves the event fenced; run it again from the start.
"""
