"""The callers of the API in its tests: tokens of every kind, and checked answers."""

import asyncio
import hmac
import time
from collections.abc import Iterable
from typing import Any

import jwt
import msgspec
from httpx2 import AsyncClient, Response

from api.http.permissions import ROLES, Role
from api.stores import NoStores, Stores
from tests.support.box_office import BoxOffice

SECRET = "s" * 48
PROVIDER_SECRET = "p" * 32
BOOKING = "/api/v1/booking"
PAYMENT = "/api/v1/payment"
EVENT = "/api/v1/event"
AUTH = "/api/v1/auth"
NOTICE = f"{PAYMENT}/webhook"
STRIPE = f"{PAYMENT}/stripe"
SIGNED = {NOTICE: "payment-signature", STRIPE: "stripe-signature"}
REFUND = "/api/v1/refund"
WEBHOOK = "/api/v1/webhook"

Headers = dict[str, str]


def token(subject: object, permissions: Iterable[str] = (), **claims: object) -> str:
    """A token with any claims; the caller may break each of them."""
    now_s = int(time.time())
    usual = {"sub": subject, "iat": now_s, "exp": now_s + 3600, "typ": "access"}
    held = {"permissions": sorted(permissions)}
    stated = {name: value for name, value in (usual | held | claims).items() if value is not None}
    return jwt.encode(stated, SECRET, algorithm="HS256")


def signature(body: bytes, *, secret: str = PROVIDER_SECRET, ahead_s: int = 0) -> str:
    """The `Payment-Signature` of a body."""
    at = f"{int(time.time()) + ahead_s}"
    signed = hmac.new(secret.encode(), f"{at}.".encode() + body, "sha256").hexdigest()
    return f"t={at},v1={signed}"


def bearer(subject: str, role: Role = "customer") -> Headers:
    """The header of a caller in this role."""
    return {"authorization": f"Bearer {token(subject, ROLES[role])}"}


class Api:
    """The app under test, and the box office behind it."""

    def __init__(self, http: AsyncClient, office: BoxOffice, stores: Stores | None = None) -> None:
        self.http = http
        self.office = office
        self.stores = stores or NoStores()

    async def call(
        self, method: str, path: str, caller: Headers | None = None, **more: Any
    ) -> Response:
        """Send one request; a refusal is a problem, and every answer has a request id."""
        headers = {**(caller or {}), **more.pop("headers", {})}
        if (header := SIGNED.get(path.partition("?")[0])) and method == "POST":
            more.setdefault("content", msgspec.json.encode(more.pop("json", None)))
            signed = {header: signature(more["content"])}
            headers = {"content-type": "application/json", **signed, **headers}
        answer = await self.http.request(method, path, headers=headers, **more)
        await asyncio.sleep(0)  # the call is counted at the end of its tick
        assert answer.headers["x-request-id"]
        if answer.status_code >= 400 and method != "HEAD" and path != "/readyz":
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["status"] == answer.status_code
        return answer

    async def hold(self, customer: str, *seats: str, **more: Any) -> Response:
        """`hold("ann", "A-1-1")`: ask for seats of the gala."""
        body = {"seatIds": [f"gala:{seat}" for seat in seats]}
        return await self.call("POST", BOOKING, bearer(customer), json=body, **more)

    async def held(self, customer: str, *seats: str) -> dict[str, Any]:
        """Hold seats of the gala and return the booking."""
        answer = await self.hold(customer, *seats)
        assert answer.status_code == 201, answer.text
        booking: dict[str, Any] = answer.json()
        return booking

    async def refused(
        self, status: int, code: str, method: str, path: str, *args: Any, **more: Any
    ) -> dict[str, Any]:
        """Assert that a call is refused with this code and changed nothing at all."""
        before = await self.office.everything()
        answer = await self.call(method, path, *args, **more)
        problem: dict[str, Any] = answer.json()
        assert (answer.status_code, problem["code"]) == (status, code), problem
        assert await self.office.everything() == before
        return problem
