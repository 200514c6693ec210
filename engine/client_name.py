"""The name of this process for its servers: `ticketing-api`, `ticketing-writer`, and so on.

Redis shows it in CLIENT LIST, Postgres in pg_stat_activity. A process sets it once, before it
connects; a program that uses the engine as a library is `ticketing`, unless it sets another.
"""

_PREFIX = "ticketing"
_name = _PREFIX


def set_part(part: str) -> None:
    """Name this process after a part or a command: letters, digits and hyphens."""
    global _name
    _name = f"{_PREFIX}-{part}"


def get() -> str:
    """The name to connect with."""
    return _name
