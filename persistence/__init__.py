"""Postgres, the system of record: filled behind the sale, never on the path of a hold or a confirm.

`writer` drains the journal, `reconciler` compares both sides. asyncpg lives only in this package,
SQL only in `queries.sql` and `migrations/`.
"""
