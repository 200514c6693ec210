"""Secrets that are handed out once and stored as hashes: links in mails, refresh tokens.

Each has 256 random bits, so SHA-256 is enough: a dictionary attack cannot succeed.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from secrets import token_urlsafe

from api.http.calls import V1
from engine.settings.settings import Settings

VERIFY_PATH = f"{V1}/auth/verify"
RESET_PATH = f"{V1}/auth/password/reset"
VERIFY_TTL_S = 86_400
RESET_TTL_S = 3_600
CONSTANT_TIME_S = 0.05


def new_secret() -> str:
    """A random secret of 43 characters."""
    return token_urlsafe(32)


def hash_of(secret: str) -> bytes:
    """The stored form of a secret."""
    return sha256(secret.encode()).digest()


def link_of(settings: Settings, path: str, token: str) -> str:
    """A link for a mail. Not built from the Host header: the client could choose its target."""
    return f"{settings.public_url.rstrip('/')}{path}?token={token}"


@asynccontextmanager
async def constant_time() -> AsyncIterator[None]:
    """Take at least `CONSTANT_TIME_S`: the time does not reveal whether Postgres had to write."""
    loop = asyncio.get_running_loop()
    ends_s = loop.time() + CONSTANT_TIME_S
    yield
    await asyncio.sleep(ends_s - loop.time())
