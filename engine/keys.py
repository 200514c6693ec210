"""The only speller of Redis keys. `{event}` is the hash tag: one event, one cluster slot.

The order in `EventKeys` is the KEYS order of every script; `lua/README.md` says what each holds.
"""

from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from engine.ids import CustomerId, EventId

EVENTS = "events"
REVOKED = "revoked"
"""Stream of the sessions that were ended: see `engine/revocations.py`."""
LOG_LEVEL = "log_level"
"""The level every process logs at, while it lives: see `engine/log_level.py`."""
LIMITS = "{limits}"
"""The slot of limits that belong to no event."""


class EventKeys(NamedTuple):
    """The keys every script of one event is given, in KEYS order."""

    event: str
    seats: str
    map: str
    areas: str
    bookings: str
    deadlines: str
    customers: str
    ended: str
    journal: str


@lru_cache(maxsize=4096)
def of_event(event: EventId) -> EventKeys:
    """The nine keys of one event."""
    return EventKeys(*(f"{{{event}}}:{name}" for name in EventKeys._fields))


def hold(event: EventId, ulid: str) -> str:
    """The TTL key of a pending booking: its expiry is only the trigger."""
    return f"{{{event}}}:hold:{ulid}"


def split_hold(key: str) -> tuple[EventId, str] | None:
    """The event and the ULID of a TTL key, or None for any other key."""
    event, found, ulid = key.partition("}:hold:")
    return (EventId(event[1:]), ulid) if found and event.startswith("{") else None


def request(event: EventId, customer: CustomerId, request_id: str | None) -> str:
    """The idempotency record. Hashed: neither name can reach into another customer's.

    Without a request id the name of no record: a script is given as many keys all the same.
    """
    if request_id is None:
        return f"{{{event}}}:request:"
    digest = blake2b(f"{customer}\0{request_id}".encode(), digest_size=16).hexdigest()
    return f"{{{event}}}:request:{digest}"


def limit(tag: str, name: str, subject: str) -> str:
    """A rate limit's bucket, in the slot of `tag`. Hashed: a subject is anybody's text."""
    digest = blake2b(f"{name}\0{subject}".encode(), digest_size=16).hexdigest()
    return f"{tag}:limit:{digest}"


def answered(customer: CustomerId, request_id: str) -> str:
    """The kept answer of a request that no script keeps. Hashed, as `request` is."""
    digest = blake2b(f"{customer}\0{request_id}".encode(), digest_size=16).hexdigest()
    return f"answered:{digest}"


def layout(event: EventId) -> str:
    """The layout: gzipped JSON, as the API serves it."""
    return f"{{{event}}}:layout"


def staged_seats(event: EventId, load: str) -> str:
    """Where one load gathers its seats until `load_event` puts them in place at once."""
    return f"{{{event}}}:loading:{load}"


def restored(event: EventId, restore: str, name: str) -> str:
    """Where one restore gathers what becomes the key of this name."""
    return f"{{{event}}}:restoring:{restore}:{name}"


def dead_letters(event: EventId) -> str:
    """Journal entries that Postgres refused, with the reason."""
    return f"{{{event}}}:dead"


def heartbeat(part: str) -> str:
    """Set again and again by a running part (`expirer`, `writer`); its TTL tells when last."""
    return f"part:{part}"
