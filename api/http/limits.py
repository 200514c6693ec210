"""Which rate limits a call is under, and how they are told.

Each class of routes has its own buckets, per customer and per address, so that looking at the
house never uses up the right to buy. A call of a sale carries its limits into its script; a call
that reads sends them along and looks at the verdict before it answers; any other asks first. An
IPv6 address counts as its /64: that is what one subscriber has; one that stands for an IPv4
address, as a server on `::` sees those, counts as that.
"""

import asyncio
import ipaddress
import math
from enum import StrEnum
from functools import lru_cache

import msgspec
from starlette.types import Scope

from api.http.problems import Problem
from api.http.responses import Header, Response
from engine.engine import Engine
from engine.errors import RateLimited
from engine.limits import Limit, LimitCheck
from engine.settings.settings import Settings


class LimitClass(StrEnum):
    """What kind of call a route is; NONE is under no limit, and never turned away as overload."""

    READ = "read"
    SALE = "sale"
    PAY = "pay"
    MANAGE = "manage"
    ACCOUNT = "account"
    NONE = "none"


RIDING = (LimitClass.SALE, LimitClass.PAY)
"""These calls take their limits along into their script."""

_ACCOUNT_FACTOR = 10
"""Calls about accounts are this much rarer than others, and cost this much more."""


class RateLimits:
    """The limits of one app, from its settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._policies = {name: self._policy(name) for name in LimitClass}

    def meter(self, name: LimitClass, customer_id: str, scope: Scope) -> LimitCheck | None:
        """The meter of one call; None when it is under no limit."""
        if self._settings.rate_limits == "off" or name is LimitClass.NONE:
            return None
        limits = [self._of_address(name, address_of(scope))]
        if customer_id:
            limits.append(self._of_customer(name, customer_id))
        return LimitCheck(tuple(limits))

    def headers(self, name: LimitClass, meter: LimitCheck) -> tuple[Header, ...]:
        """`RateLimit-Policy`, and how the strictest limit stands, once that is known."""
        policy = (b"ratelimit-policy", self._policies[name])
        if meter.left is None:
            return (policy,)
        stands = f'"{name}";r={meter.left};t={math.ceil(meter.full_in_ms / 1000)}'
        return policy, (b"ratelimit", stands.encode())

    def _of_customer(self, name: LimitClass, customer_id: str) -> Limit:
        found = self._settings
        rate = found.limit_customer_per_s, found.limit_customer_burst
        return _limit(name, name, customer_id, *rate)

    def _of_address(self, name: LimitClass, address: str) -> Limit:
        found = self._settings
        rate = found.limit_address_per_s, found.limit_address_burst
        return _limit(name, f"{name}-address", address, *rate)

    def _policy(self, name: LimitClass) -> bytes:
        return ", ".join(
            f'"{limit.name}";q={limit.burst};w={math.ceil(limit.burst * limit.interval_ms / 1000)}'
            for limit in (self._of_customer(name, ""), self._of_address(name, ""))
        ).encode()


def _limit(of: LimitClass, name: str, subject: str, per_s: int, burst: int) -> Limit:
    """A customer's id may look like an address, so the two kinds of subject differ in `name`."""
    factor = _ACCOUNT_FACTOR if of is LimitClass.ACCOUNT else 1
    return Limit(name, subject, 1000 * factor / per_s, max(1, burst // factor))


def address_of(scope: Scope) -> str:
    """Who calls, as the server knows it: TRUSTED_PROXIES decides whose X-Forwarded-For counts."""
    client = scope.get("client")
    return _network(client[0]) if client else ""


@lru_cache(10_000)
def _network(host: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return host
    ipv4 = address.ipv4_mapped
    return str(ipv4 or ipaddress.ip_network((host, 64), strict=False))


class PendingLimitCheck:
    """A limit that is asked for while the call itself is already on its way."""

    def __init__(self, engine: Engine, meter: LimitCheck) -> None:
        self._asked = asyncio.ensure_future(engine.take_limits(meter))

    async def __aenter__(self) -> None:
        return

    async def __aexit__(self, *_: object) -> None:
        await self._asked


def refusal(error: RateLimited, headers: tuple[Header, ...]) -> Problem:
    """The 429: when to try again, in the header in whole seconds and in the body in ms."""
    retry_after_ms = int(error.found[0])
    retry_after = (b"retry-after", b"%d" % math.ceil(retry_after_ms / 1000))
    return Problem(
        "rate_limited",
        error.says,
        {"retryAfterMs": retry_after_ms},
        headers=(retry_after, *headers),
    )


def with_headers(answer: Response, headers: tuple[Header, ...]) -> Response:
    """The same answer, told how the limits stand."""
    return msgspec.structs.replace(answer, headers=(*answer.headers, *headers))
