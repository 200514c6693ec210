"""The rules between the terms of an event. The scripts apply the same rules (`lua/lib/terms.lua`).

Checked here as well, so that a plan lists every problem before any seat is staged. Terms that come
from Redis or Postgres are not checked: an event that an older release left with a contradiction
must still be restored.
"""

from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from engine.models import Terms

_NO_ZONES = ("Factory", "localtime", "posixrules")
_NO_ZONES_UNDER = ("posix/", "right/")
"""What the files of a machine have beside the zones of the IANA database."""


class Rule(NamedTuple):
    """`first` is before `second`; `same`: or both are one value. 0 is a term that is not set."""

    first: str
    second: str
    same: bool
    broken: str


RULES = (
    Rule("opens_at_ms", "closes_at_ms", False, "the sale closes before it opens"),
    Rule("opens_at_ms", "starts_at_ms", False, "the sale opens after the event starts"),
    Rule("cancel_until_ms", "starts_at_ms", True, "bookings are cancelled after the event starts"),
    Rule("hold_ttl_ms", "payment_max_ms", True, "a payment gets less time than a hold lasts"),
)


def problems_of(terms: Terms) -> list[str]:
    """What is wrong with the terms of a plan; an empty list if nothing is."""
    found = [rule.broken for rule in RULES if _is_broken(rule, terms)]
    if terms.time_zone:
        try:
            time_zone(terms.time_zone)
        except ValueError as error:
            found.append(str(error))
    return found


def time_zone(name: str) -> str:
    """The name of a zone of the IANA database. Raises ValueError for any other text."""
    try:
        if name in _NO_ZONES or name.startswith(_NO_ZONES_UNDER):
            raise ValueError(name)
        ZoneInfo(name)
    except (ValueError, ZoneInfoNotFoundError, OSError):
        raise ValueError(f"{name!r} is no time zone: write a name as Europe/Berlin") from None
    return name


def _is_broken(rule: Rule, terms: Terms) -> bool:
    before, after = getattr(terms, rule.first), getattr(terms, rule.second)
    return 0 < after < before or (0 < after == before and not rule.same)
