"""S10: the security headers of every response, caching, and CORS."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from httpx2 import ASGITransport, AsyncClient, Response
from msgspec import structs

from api.app import create_app
from api.http.calls import Route
from api.http.cors import EXPOSED_HEADERS, REQUEST_HEADERS
from api.routes import ROUTES
from engine import Settings
from engine.errors import Misconfigured
from tests.api.cases import CASES
from tests.api.client import BOOKING, EVENT, Api, bearer
from tests.api.test_routes import _owner

SHOP = "https://shop.example"
ANN = bearer("ann")
CHECKLIST = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"


def _check(answer: Response) -> None:
    for name, value in CHECKLIST.items():
        assert answer.headers[name] == value
    policy = answer.headers["content-security-policy"]
    page = answer.headers.get("content-type", "").startswith("text/html")
    assert "frame-ancestors 'none'" in policy
    assert page or policy == DATA_POLICY
    assert "server" not in answer.headers
    assert "x-powered-by" not in answer.headers
    assert "set-cookie" not in answer.headers


@asynccontextmanager
async def _serve(settings: Settings, **over: str) -> AsyncIterator[AsyncClient]:
    app = create_app(structs.replace(settings, **over))
    async with (
        app.router.lifespan_context(app),
        AsyncClient(transport=ASGITransport(app), base_url="http://api") as http,
    ):
        yield http


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_every_answer_has_the_safe_headers(api: Api, route: Route) -> None:
    await api.office.open(owner_id="orla")
    path, body = await CASES[route.name, route.path](api)
    good = await api.call(route.method, path, _owner(route), json=body)
    bad = await api.call(route.method, f"{path}{'&' if '?' in path else '?'}colour=red")
    for answer in (good, bad, await api.call("TRACE", path), await api.call("OPTIONS", path)):
        _check(answer)
    if route.permission or route.method != "GET":
        assert good.headers["cache-control"] == bad.headers["cache-control"] == "no-store"


async def test_answers_of_no_route_have_them_too(api: Api) -> None:
    many = {f"x-{number}": "x" for number in range(120)}
    for method, path, headers in (("GET", "/", {}), ("HEAD", "/x", {}), ("GET", EVENT, many)):
        _check(await api.call(method, path, headers))


def test_checklist_is_as_long_as_it_is_said_to_be() -> None:
    checked = len(CHECKLIST) + len(("content-security-policy", "cache-control", "no server named"))
    print(f"S10: {len(ROUTES)} routes x 4 answers, {checked} headers each")


async def test_https_is_kept_to_when_the_api_is_reached_by_it(settings: Settings) -> None:
    async with _serve(settings, public_url="https://tickets.example") as http:
        kept = (await http.get("/healthz")).headers["strict-transport-security"]
        assert kept == "max-age=31536000"
        assert "strict-transport-security" in (await http.get("/nothing")).headers
    async with _serve(settings, public_url="http://tickets.example") as http:
        assert "strict-transport-security" not in (await http.get("/healthz")).headers


async def test_without_the_setting_no_page_of_another_origin_is_let_in(api: Api) -> None:
    asked = {"origin": SHOP, "access-control-request-method": "POST"}
    for answer in (
        await api.call("OPTIONS", BOOKING, asked),
        await api.call("GET", EVENT, {"origin": SHOP}),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_page_of_a_named_origin_may_call(settings: Settings) -> None:
    async with _serve(settings, cors_origins=f"{SHOP}, http://localhost:5173") as http:
        asked = {
            "origin": SHOP,
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization, content-type, idempotency-key",
        }
        before = await http.options(BOOKING, headers=asked)
        assert before.status_code == 200
        assert before.headers["access-control-allow-origin"] == SHOP
        assert "POST" in before.headers["access-control-allow-methods"]
        assert before.headers["x-request-id"]
        allowed = before.headers["access-control-allow-headers"].lower()
        assert [name for name in REQUEST_HEADERS if name.lower() not in allowed] == []

        for answer in (
            await http.get(EVENT, headers={"origin": SHOP}),
            await http.post(BOOKING, headers={"origin": SHOP}),
            await http.get("/nothing", headers={"origin": SHOP}),
        ):
            assert answer.headers["access-control-allow-origin"] == SHOP
            exposed = answer.headers["access-control-expose-headers"]
            assert exposed.split(", ") == list(EXPOSED_HEADERS)
            assert "access-control-allow-credentials" not in answer.headers
            assert "origin" in answer.headers["vary"].lower()


async def test_traced_page_may_send_all_that_the_api_documents(settings: Settings) -> None:
    documented = {name for route in ROUTES for name in route.request_headers}
    tracing = {"traceparent", "tracestate", "baggage"}
    async with _serve(settings, cors_origins=SHOP) as http:
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            asked = {
                "origin": SHOP,
                "access-control-request-method": method,
                "access-control-request-headers": ",".join(
                    sorted(
                        {"authorization", "content-type", "idempotency-key", "x-request-id"}
                        | {name.lower() for name in documented}
                        | tracing
                    )
                ),
            }
            assert (await http.options(BOOKING, headers=asked)).status_code == 200


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"origin": "https://evil.example"}, "origin"),
        ({"access-control-request-method": "TRACE"}, "method"),
        ({"access-control-request-headers": "x-other"}, "headers"),
        ({"access-control-request-private-network": "true"}, "private-network"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_refused_preflight_is_a_problem(
    settings: Settings, more: dict[str, str], named: str
) -> None:
    asked = {"origin": SHOP, "access-control-request-method": "POST"}
    async with _serve(settings, cors_origins=SHOP) as http:
        answer = await http.options(BOOKING, headers={**asked, **more})
        _check(answer)
    problem = answer.json()
    assert (answer.status_code, problem["status"], problem["code"]) == (
        *(400, 400),
        "preflight_refused",
    )
    assert problem["detail"].endswith(f"CORS {named}")
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.headers["x-request-id"]
    assert "origin" in answer.headers["vary"].lower()


async def test_page_of_an_origin_that_is_not_named_may_not(settings: Settings) -> None:
    async with _serve(settings, cors_origins=SHOP) as http:
        for origin in (
            "https://evil.example",
            "https://shop.example.evil",
            "http://shop.example",
            "null",
        ):
            asked = {"origin": origin, "access-control-request-method": "POST"}
            for answer in (
                await http.options(BOOKING, headers=asked),
                await http.get(EVENT, headers={"origin": origin}),
            ):
                assert "access-control-allow-origin" not in answer.headers
        assert (await http.get(EVENT)).headers["vary"] == "Origin", "a cache keeps them apart"


async def test_star_lets_every_page_call_but_never_with_credentials(settings: Settings) -> None:
    async with _serve(settings, cors_origins="*") as http:
        answer = await http.get(EVENT, headers={"origin": "https://any.example"})
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    "origins", ["shop.example", f"{SHOP}/", f"{SHOP}/path", "https://*", "https://a b"]
)
def test_origin_that_is_none_is_refused_at_start(settings: Settings, origins: str) -> None:
    with pytest.raises(Misconfigured, match="CORS_ORIGINS"):
        create_app(structs.replace(settings, cors_origins=origins))
