"""Timestamps as text, for everything that leaves the system as JSON: RFC 3339 in UTC."""

from functools import lru_cache
from time import gmtime, strftime


@lru_cache(64)
def rfc3339(at_ms: int) -> str:
    """Milliseconds since the epoch as `2030-06-01T19:30:00.000Z`.

    The holds of one script call have the same times.
    """
    unix_s, milliseconds = divmod(at_ms, 1000)
    return f"{_to_the_second(unix_s)}.{milliseconds:03d}Z"


def rfc3339_or_none(at_ms: int | None) -> str | None:
    """An optional time; None and 0 both mean that there is none."""
    return rfc3339(at_ms) if at_ms else None


@lru_cache(4096)
def _to_the_second(unix_s: int) -> str:
    return strftime("%Y-%m-%dT%H:%M:%S", gmtime(unix_s))
