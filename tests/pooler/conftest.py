"""The fixtures of Postgres, for the tests behind a pooler."""

from tests.persistence.conftest import pool

__all__ = ["pool"]
