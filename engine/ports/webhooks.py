"""Webhooks and their deliveries, as the API and Postgres exchange them.

The rules for a webhook's URL are here for both: the API checks its form when it is registered, the
deliverer checks its address (`is_public`) on each connection, as the address of a name can change.
"""

import ipaddress
import re
from enum import StrEnum
from urllib.parse import urlsplit

from msgspec import Struct

from engine.ids import EventId

_HOST = re.compile(r"[a-z0-9_.-]+")
_UNICAST = ipaddress.IPv6Network("2000::/3")
"""All public IPv6 addresses. Outside it are IPv4-compatible, IPv4-translated and NAT64 addresses,
`fec0::/10`, and what IANA has not assigned."""

_SPECIAL_IPV4 = tuple(map(ipaddress.IPv4Network, ("192.0.0.0/24", "192.88.99.0/24")))
_SPECIAL_IPV6 = tuple(
    map(
        ipaddress.IPv6Network,
        ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"),
    )
)
"""Special-purpose ranges of IANA that `is_global` lacks in some version of Python: protocol
assignments (Teredo among them), 6to4 and its relays, AS112, documentation."""


class MessageKind(StrEnum):
    """The kind of a message: a kind of journal entry, spelled as in Standard Webhooks."""

    BOOKING_CONFIRMED = "booking.confirmed"
    BOOKING_EXPIRED = "booking.expired"
    BOOKING_CANCELLED = "booking.cancelled"
    REFUND_DUE = "refund.due"


class DeliveryState(StrEnum):
    """State of a delivery. `dead`: no more attempts; a replay makes it `pending` again."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


class Webhook(Struct, frozen=True, kw_only=True):
    """An organiser's endpoint. `event_id` None: it receives every event of its owner.

    `any_owner`: a caller with access to every event registered it, for one of them. Whether its
    owner still has that right is checked at each delivery.
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
    """One message to one webhook; `id` is its `webhook-id` header.

    `status` is the receiver's last response, `error` why there was none.
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
    """How many deliveries a replay made pending; `next_ms` is where to continue, or None."""

    count: int
    next_ms: int | None


def check_url(url: str, *, allow_insecure: bool) -> None:
    """Check a webhook's URL, as far as the text shows. Raises ValueError with the reason.

    `allow_insecure` permits http and private addresses, for tests and demos.
    """
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("a URL is ASCII, with no space in it")
    parts = urlsplit(url)
    if parts.scheme != "https" and not (allow_insecure and parts.scheme == "http"):
        raise ValueError("messages are sent by https only")
    host = parts.hostname or ""
    if parts.port == 0 or not (_HOST.fullmatch(host) or _is_address(host)):
        raise ValueError("the URL names no host, or no port")  # a port that is no number raises too
    if "@" in parts.netloc or parts.fragment:
        raise ValueError("no user, password or fragment in the URL")
    if not allow_insecure and _is_address(host) and not is_public(host):
        raise ValueError("the address is not a public one")


def is_public(address: str) -> bool:
    """Whether an IP address is on the internet, and not a tunnel into a private network.

    An address that embeds an IPv4 address is not public, because a gateway decides where it leads.
    The exception is an IPv4-mapped address: the system itself connects to the IPv4 address.
    """
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    if isinstance(found, ipaddress.IPv4Address):
        special = any(found in network for network in _SPECIAL_IPV4)
    else:
        special = (
            found not in _UNICAST
            or found.scope_id is not None
            or any(found in network for network in _SPECIAL_IPV6)
        )
    return found.is_global and not found.is_multicast and not special


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
