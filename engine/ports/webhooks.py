"""What organisers are told by HTTP: their webhooks, and the messages on their way there.

Where they may be told is decided here for both sides: the form of a URL when it is given, the
address behind it (`is_public`) when a connection is made, as a name can change its address.
"""

import ipaddress
import re
from enum import StrEnum
from urllib.parse import urlsplit

from msgspec import Struct

from engine.ids import EventId

_HOST = re.compile(r"[a-z0-9_.-]+")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class MessageKind(StrEnum):
    """What a message is about: the journal's kinds, spelled as Standard Webhooks wants them."""

    BOOKING_CONFIRMED = "booking.confirmed"
    BOOKING_EXPIRED = "booking.expired"
    BOOKING_CANCELLED = "booking.cancelled"
    REFUND_DUE = "refund.due"


class DeliveryState(StrEnum):
    """`dead`: given up; a replay makes it `pending` again."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


class Webhook(Struct, frozen=True, kw_only=True):
    """Where an organiser is told of its events. `event_id` None: of every event it owns.

    `any_owner`: made by somebody who may touch every event, for one of them.
    """

    id: str
    owner_id: str
    event_id: EventId | None
    any_owner: bool = False
    url: str
    kinds: tuple[MessageKind, ...]
    created_at_ms: int = 0
    disabled_at_ms: int | None = None
    disabled_why: str | None = None


class Delivery(Struct, frozen=True, kw_only=True):
    """One message on its way to one webhook; `id` is its `webhook-id` header.

    `status` is what the receiver answered last, `error` why there was no answer.
    """

    id: str
    number: int
    kind: MessageKind
    event_id: EventId
    booking_id: str
    state: DeliveryState
    attempt_count: int
    created_at_ms: int
    due_ms: int
    done_at_ms: int | None
    status: int | None
    error: str | None


class Replayed(Struct, frozen=True):
    """How many deliveries are under way again; `next_ms`: there is more, from there on."""

    count: int
    next_ms: int | None


def check_url(url: str, *, allow_insecure: bool) -> None:
    """Whether messages may be sent there, as far as the text shows. Raises ValueError, saying why.

    `allow_insecure` lets http and addresses of one's own network through: for tests and demos.
    """
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("a URL is ASCII, with no space in it")
    parts = urlsplit(url)
    if parts.scheme != "https" and not (allow_insecure and parts.scheme == "http"):
        raise ValueError("messages are sent by https only")
    host = parts.hostname or ""
    if parts.port == 0 or not (_HOST.fullmatch(host) or _is_address(host)):
        raise ValueError("the URL names no host, or no port")  # as does a port that is no number
    if "@" in parts.netloc or parts.fragment:
        raise ValueError("no user, password or fragment in the URL")
    if not allow_insecure and _is_address(host) and not is_public(host):
        raise ValueError("the address is not a public one")


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet, and no way around into a network of our own."""
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv6Address):
        if found in _NAT64 or found.sixtofour or found.teredo:
            return False  # they carry an IPv4 address that is somebody else's to judge
        found = found.ipv4_mapped or found
    return found.is_global and not found.is_multicast


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
