"""S5: rate limits over HTTP, what counts as one client, and the in-flight limit."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import msgspec
import pytest
from httpx2 import ASGITransport, AsyncClient, Response
from redis.asyncio import Redis
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from api.app import create_app
from api.http.limits import LimitClass, RateLimits, address_of
from engine import Engine, Settings
from tests.api.client import BOOKING, EVENT, PAYMENT, Api, bearer
from tests.support.box_office import BoxOffice

LIMITED = {
    "rate_limits": "on",
    "limit_customer_per_s": 1,
    "limit_customer_burst": 3,
    "limit_address_per_s": 1,
    "limit_address_burst": 20,
}

Start = Callable[..., object]


@pytest.fixture
async def limited(settings: Settings, engine: Engine, redis: Redis) -> AsyncIterator[Api]:
    """The app with small limits; the gala is open."""
    app = create_app(msgspec.structs.replace(settings, **LIMITED))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(app.router.lifespan_context(app))
        transport = ASGITransport(app, client=("203.0.113.7", 1))
        http = await stack.enter_async_context(
            AsyncClient(transport=transport, base_url="http://a")
        )
        api = Api(http, BoxOffice(engine, redis))
        await api.office.open(seats=50)
        yield api


async def test_hold_over_the_customer_limit_is_429_and_holds_nothing(limited: Api) -> None:
    answers = await asyncio.gather(*(limited.hold("ann", f"A-1-{n}") for n in range(1, 41)))
    found = Counter(answer.status_code for answer in answers)
    print(f"S5: {found[201]} of 40 calls at once allowed by a burst of 3")
    assert found == {201: 3, 429: 37}
    assert (await limited.office.state()).event.counts.held == 3
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["code"] == "rate_limited"
    assert 1 <= int(refused.headers["retry-after"]) <= 2
    assert 0 < refused.json()["retryAfterMs"] <= 2000


async def test_responses_have_what_is_left_of_the_limit(limited: Api) -> None:
    answer = await limited.hold("ann", "A-1-1")
    assert answer.headers["ratelimit-policy"] == '"sale";q=3;w=3, "sale-address";q=20;w=20'
    assert answer.headers["ratelimit"] == '"sale";r=2;t=1'


async def test_holds_of_made_up_events_share_one_limit(limited: Api) -> None:
    async def hold(event: int) -> Response:
        body = {"seatId": f"none-{event}:A-1-1"}
        return await limited.call("POST", BOOKING, bearer("ann"), json=body)

    answers = await asyncio.gather(*(hold(n) for n in range(20)))
    assert Counter(answer.status_code for answer in answers) == {404: 3, 429: 17}
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["code"] == "rate_limited"
    assert 1 <= int(refused.headers["retry-after"]) <= 2
    found = await limited.hold("ann", "A-1-1")  # the gala has a bucket of its own
    assert (found.status_code, found.headers["ratelimit"]) == (201, '"sale";r=2;t=1')


async def test_confirmations_of_made_up_events_share_one_limit(limited: Api) -> None:
    async def confirm(event: int) -> Response:
        path = f"{PAYMENT}/none-{event}:01J00000000000000000000000/confirm"
        return await limited.call("POST", path, bearer("root", "admin"))

    answers = await asyncio.gather(*(confirm(n) for n in range(20)))
    assert Counter(answer.status_code for answer in answers) == {404: 3, 429: 17}


async def test_many_customers_of_one_address_share_its_limit(limited: Api) -> None:
    answers = await asyncio.gather(*(limited.hold(f"c{n}", f"A-1-{n}") for n in range(1, 41)))
    assert Counter(answer.status_code for answer in answers) == {201: 20, 429: 20}


async def test_reading_uses_up_no_right_to_buy(limited: Api) -> None:
    answers = await asyncio.gather(*(limited.call("GET", f"{EVENT}/gala") for _ in range(30)))
    assert Counter(answer.status_code for answer in answers) == {200: 20, 429: 10}
    assert (await limited.hold("ann", "A-1-1")).status_code == 201


async def test_a_refused_call_of_managing_has_no_effect(limited: Api) -> None:
    orla = bearer("orla", "admin")

    async def set_terms(sales: str) -> Response:
        return await limited.call("PATCH", f"{EVENT}/gala", orla, json={"sales": sales})

    assert [(await set_terms("paused")).status_code for _ in range(3)] == [200] * 3
    assert (await set_terms("open")).status_code == 429
    assert (await limited.office.engine.events.read_event("gala")).sales == "paused"  # type: ignore[arg-type]


async def test_health_is_under_no_limit(limited: Api) -> None:
    answers = [await limited.call("GET", "/healthz") for _ in range(30)]
    assert {answer.status_code for answer in answers} == {200}


async def test_forwarded_address_of_a_stranger_is_not_believed(limited: Api) -> None:
    spoofed = (
        limited.call("GET", BOOKING, headers={"x-forwarded-for": f"198.51.100.{n}"})
        for n in range(40)
    )
    answers = await asyncio.gather(*spoofed)
    assert Counter(answer.status_code for answer in answers) == {200: 20, 429: 20}


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("10.0.0.9", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.9", "1.1.1.1, 198.51.100.1", "198.51.100.1"),  # the last hop's word, not the first
        ("203.0.113.7", "198.51.100.1", "203.0.113.7"),
    ],
)
async def test_forwarded_address_counts_behind_a_trusted_proxy_only(
    peer: str, forwarded: str, address: str
) -> None:
    """What `engine serve` puts in front of the app when TRUSTED_PROXIES names 10.0.0.0/8."""
    seen = []

    async def app(scope: object, receive: object, send: object) -> None:
        seen.append(address_of(scope))  # type: ignore[arg-type]

    scope = {
        "type": "http",
        "scheme": "http",
        "client": (peer, 1),
        "headers": [(b"x-forwarded-for", forwarded.encode())],
    }
    middleware = ProxyHeadersMiddleware(app, trusted_hosts="10.0.0.0/8")
    await middleware(scope, None, None)  # type: ignore[arg-type]
    assert seen == [address]


def test_an_ipv4_mapped_address_counts_as_ipv4() -> None:
    """A server on `::` sees IPv4 clients so; by /64 they would all share one bucket."""
    mapped = [{"client": (f"::ffff:198.51.100.{n}", 1)} for n in (1, 2)]
    assert [address_of(scope) for scope in mapped] == ["198.51.100.1", "198.51.100.2"]


def test_a_customer_id_like_an_address_has_a_bucket_of_its_own(settings: Settings) -> None:
    limits = RateLimits(msgspec.structs.replace(settings, **LIMITED))
    for limit_class in set(LimitClass) - {LimitClass.NONE}:
        check = limits.check_of(limit_class, "203.0.113.7", {"client": ("203.0.113.7", 1)})
        assert check is not None
        assert len(set(check.keys("{gala}"))) == 2


def test_an_ipv6_subscriber_is_one_address() -> None:
    first, second = {"client": ("2001:db8:1:2::1", 1)}, {"client": ("2001:db8:1:2:ffff::9", 1)}
    assert address_of(first) == address_of(second) == "2001:db8:1:2::/64"


async def test_more_requests_than_the_bound_are_rejected_at_once(
    settings: Settings, engine: Engine, redis: Redis
) -> None:
    app = create_app(msgspec.structs.replace(settings, requests_in_flight_max=5))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(app.router.lifespan_context(app))
        http = await stack.enter_async_context(
            AsyncClient(transport=ASGITransport(app), base_url="http://a")
        )
        api = Api(http, BoxOffice(engine, redis))
        await api.office.open()
        answers = await asyncio.gather(*(api.call("GET", f"{EVENT}/gala") for _ in range(40)))
        found = Counter(answer.status_code for answer in answers)
        assert found[503] > 0
        assert found[200] >= 5
        assert set(found) == {200, 503}
        refused = next(answer for answer in answers if answer.status_code == 503)
        assert refused.json()["code"] == "overloaded"
        assert refused.headers["retry-after"] in ("1", "2", "3")
        assert (await api.call("GET", f"{EVENT}/gala")).status_code == 200
