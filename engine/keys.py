"""The names of all Redis keys; no other module spells one.

`{event}` is the hash tag, so the keys of one event are in one cluster slot.

The order in `EventKeys` is the KEYS order of every script; `lua/README.md` says what each holds.
"""

from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from engine.ids import CustomerId, EventId

EVENTS = "events"
REVOKED = "revoked"
"""Stream of the sessions that were revoked: see `engine/revocations.py`."""
LOG_LEVEL = "log_level"
"""The level every process logs at while the key exists: see `engine/log_level.py`."""
LIMITS = "{limits}"
"""The hash tag of limits that belong to no event."""


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
    """The idempotency record. Hashed, so that no customer can name another customer's record.

    Without a request id it names no record: a script always gets the same number of keys.
    """
    if request_id is None:
        return f"{{{event}}}:request:"
    digest = blake2b(f"{customer}\0{request_id}".encode(), digest_size=16).hexdigest()
    return f"{{{event}}}:request:{digest}"


def limit(tag: str, name: str, subject: str) -> str:
    """A rate limit's bucket, in the slot of `tag`. Hashed: a client chooses the subject."""
    digest = blake2b(f"{name}\0{subject}".encode(), digest_size=16).hexdigest()
    return f"{tag}:limit:{digest}"


def answered(customer: CustomerId, request_id: str) -> str:
    """The stored answer of a request that no script stores. Hashed, as `request` is."""
    digest = blake2b(f"{customer}\0{request_id}".encode(), digest_size=16).hexdigest()
    return f"answered:{digest}"


def layout(event: EventId) -> str:
    """The layout: gzipped JSON, as the API serves it."""
    return f"{{{event}}}:layout"


class LayoutKeys(NamedTuple):
    """The static keys beside the layout: what a load, an addition and a restore write.

    `rows` has the record of each row by the index of its first seat, `order` the stretches of the
    map by category and the rows of each section: what best available looks at.
    """

    layout: str
    rows: str
    order: str


def of_layout(event: EventId) -> LayoutKeys:
    """The three keys of an event's layout."""
    return LayoutKeys(*(f"{{{event}}}:{name}" for name in LayoutKeys._fields))


def loading(event: EventId, load: str, name: str) -> str:
    """The staging key of one load for the key of this name, until `load_event` puts it in place."""
    return f"{{{event}}}:loading:{load}:{name}"


def restored(event: EventId, restore: str, name: str) -> str:
    """The staging key of one restore for the key of this name."""
    return f"{{{event}}}:restoring:{restore}:{name}"


def damaged(event: EventId, name: str) -> str:
    """A key that a restore could not read, set aside for a week. `name` is its own, as `seats`."""
    return f"{{{event}}}:damaged:{name}"


def dead_letters(event: EventId) -> str:
    """Journal entries that Postgres rejected, with the reason."""
    return f"{{{event}}}:dead"


def heartbeat(part: str) -> str:
    """The heartbeat of a part (`expirer`, `writer`); its TTL says when the part last beat."""
    return f"part:{part}"
