"""A visitor who registers and logs in, for the tests of accounts; and the mails sent."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from httpx2 import ASGITransport, AsyncClient, Response

from api.accounts.mail import Mail, Mailer
from api.app import create_app
from engine import Settings
from persistence.stores.stores import PostgresStores
from tests.api.account_cases import ANN, PASSWORD
from tests.api.client import AUTH, Api, Headers


class Mailbox:
    """Every mail that was sent, to any address."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.mails: list[Mail] = []
        monkeypatch.setattr(Mailer, "send", lambda _, mail: self.mails.append(mail))

    def last_token(self) -> str:
        """The token in the link of the last mail."""
        return self.mails[-1].link.partition("?token=")[2]


class Visitor:
    """One person at one API."""

    def __init__(self, api: Api, mailbox: Mailbox, email: str = ANN) -> None:
        self.api = api
        self.mailbox = mailbox
        self.email = email
        self.tokens: dict[str, Any] = {}

    @property
    def bearer(self) -> Headers:
        """The header with the access token of the last login or refresh."""
        return {"authorization": f"Bearer {self.tokens['accessToken']}"}

    async def post(self, path: str, body: object, caller: Headers | None = None) -> Response:
        """One call about accounts."""
        return await self.api.call("POST", f"{AUTH}/{path}", caller, json=body)

    async def register(self) -> Response:
        """Request an account."""
        return await self.post("register", {"email": self.email})

    async def verify(self, token: str | None = None, password: str = PASSWORD) -> Response:
        """Choose a password through the link of the last mail, or another."""
        body = {"token": token or self.mailbox.last_token(), "password": password}
        return await self.post("verify", body)

    async def forget(self) -> Response:
        """Request a link to choose another password."""
        return await self.post("password/forgot", {"email": self.email})

    async def log_in(self, password: str = PASSWORD) -> Response:
        """Log in and keep the tokens."""
        answer = await self.post("login", {"email": self.email, "password": password})
        if answer.status_code == 200:
            self.tokens = answer.json()
        return answer

    async def join(self) -> "Visitor":
        """Register, verify and log in."""
        for answer in (await self.register(), await self.verify(), await self.log_in()):
            assert answer.is_success, answer.text
        return self

    async def refresh(self, token: str | None = None) -> Response:
        """Exchange the refresh token, or another, and keep the new tokens."""
        body = {"refreshToken": token or self.tokens["refreshToken"]}
        answer = await self.post("refresh", body)
        if answer.status_code == 200:
            self.tokens = answer.json()
        return answer

    async def may_call(self, caller: Headers | None = None) -> bool:
        """Whether the access token still counts."""
        answer = await self.api.call("GET", "/api/v1/booking/mine", caller or self.bearer)
        assert answer.status_code in (200, 401)
        return answer.status_code == 200


@asynccontextmanager
async def calling_from(address: str, settings: Settings, like: Visitor) -> AsyncIterator[Visitor]:
    """A visitor with the same address and mailbox, whose calls come from another client address."""
    app = create_app(settings, stores := PostgresStores(settings.database_url))
    transport = ASGITransport(app, client=(address, 4711))
    async with (
        app.router.lifespan_context(app),
        AsyncClient(transport=transport, base_url="http://api") as http,
    ):
        yield Visitor(Api(http, like.api.office, stores), like.mailbox, like.email)
