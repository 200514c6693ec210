"""Rebuilds an event in Redis from Postgres: fenced, staged, put in place, reopened."""
