"""Rate limits: which limits apply to a call, and the headers that report them.

Each limit class has its own token buckets, per customer and per address, so that reading never
uses up the budget for buying. A call of a sale checks its limits inside its own script. A GET
checks them concurrently with the read, and awaits the result before it responds. Every other call
checks them first. An IPv6 address counts as its /64, which is what one subscriber has; an
IPv4-mapped address, as a server on `::` sees IPv4 clients, counts as the IPv4 address.
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
    """The limit class of a route. NONE has no limit, and is never rejected as overload."""

    READ = "read"
    SALE = "sale"
    PAY = "pay"
    MANAGE = "manage"
    ACCOUNT = "account"
    NONE = "none"


IN_SCRIPT = (LimitClass.SALE, LimitClass.PAY)
"""Classes whose limits are checked inside the script of the call."""

_ACCOUNT_FACTOR = 10
"""The limits of ACCOUNT are this many times lower: such calls are rare, and hashing is costly."""


class RateLimits:
    """The limits of one app, from its settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._policies = {name: self._policy(name) for name in LimitClass}

    def check_of(self, name: LimitClass, customer_id: str, scope: Scope) -> LimitCheck | None:
        """The limit check of one call; None if it has no limit."""
        if self._settings.rate_limits == "off" or name is LimitClass.NONE:
            return None
        limits = [self._of_address(name, address_of(scope))]
        if customer_id:
            limits.append(self._of_customer(name, customer_id))
        return LimitCheck(tuple(limits))

    def headers(self, name: LimitClass, check: LimitCheck) -> tuple[Header, ...]:
        """`RateLimit-Policy`, and `RateLimit` of the strictest limit once the check is done."""
        policy = (b"ratelimit-policy", self._policies[name])
        if check.left is None:
            return (policy,)
        state = f'"{name}";r={check.left};t={math.ceil(check.full_in_ms / 1000)}'
        return policy, (b"ratelimit", state.encode())

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
    """The two kinds of subject differ in `name`, as a customer id may look like an address."""
    factor = _ACCOUNT_FACTOR if of is LimitClass.ACCOUNT else 1
    return Limit(name, subject, 1000 * factor / per_s, max(1, burst // factor))


def address_of(scope: Scope) -> str:
    """The client's address as the server sees it: it trusts X-Forwarded-For by TRUSTED_PROXIES."""
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
    """Runs a limit check concurrently with the block, and awaits its result at the end."""

    def __init__(self, engine: Engine, limit_check: LimitCheck) -> None:
        self._check = asyncio.ensure_future(engine.take_limits(limit_check))

    async def __aenter__(self) -> None:
        return

    async def __aexit__(self, *_: object) -> None:
        await self._check


def rate_limited(error: RateLimited, headers: tuple[Header, ...]) -> Problem:
    """The 429, with the time to wait: whole seconds in Retry-After, milliseconds in the body."""
    retry_after_ms = int(error.found[0])
    retry_after = (b"retry-after", b"%d" % math.ceil(retry_after_ms / 1000))
    return Problem(
        "rate_limited",
        error.says,
        {"retryAfterMs": retry_after_ms},
        headers=(retry_after, *headers),
    )


def with_headers(response: Response, headers: tuple[Header, ...]) -> Response:
    """The response with more headers."""
    return msgspec.structs.replace(response, headers=(*response.headers, *headers))
