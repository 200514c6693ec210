"""Secrets that are handed out once and kept as hashes: the links of mails, refresh tokens.

256 random bits each, so SHA-256 is enough to keep them by: there is nothing to guess.
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
EVEN_S = 0.05


def new_secret() -> str:
    """43 characters nobody can guess."""
    return token_urlsafe(32)


def hash_of(secret: str) -> bytes:
    """What is kept of a secret."""
    return sha256(secret.encode()).digest()


def link_of(settings: Settings, path: str, token: str) -> str:
    """A link for a mail. Not made of a request's Host: whoever asks would choose where it goes."""
    return f"{settings.public_url.rstrip('/')}{path}?token={token}"


@asynccontextmanager
async def evenly() -> AsyncIterator[None]:
    """Take at least `EVEN_S`: whether Postgres had something to write would show in the time."""
    loop = asyncio.get_running_loop()
    ends_s = loop.time() + EVEN_S
    yield
    await asyncio.sleep(ends_s - loop.time())
