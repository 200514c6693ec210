"""Compares Redis with Postgres, reports each difference, and repairs those that are safe to repair.

A round: started -> each event compared -> ended as `clean`, `differences` or `failed`.

A difference: found by the first check -> confirmed by the later ones, or dropped because it was
only a change in flight -> reported -> repaired with `--repair`, or left for a person.
"""
