"""Access tokens: JWT, HS256 and nothing else, with the permissions inside.

A token that was verified is remembered by its text, so seeing it again costs one look-up: a
signature never changes, only the token's end is compared with the clock each time. Refused tokens
are not remembered: nobody without the key can fill the memory.
"""

import time
from functools import lru_cache
from typing import Annotated, Literal

import jwt
import msgspec
from msgspec import Meta, Struct

from api.permissions import ROLES, Role
from api.problems import Problem
from engine import ids
from engine.errors import Misconfigured
from engine.ids import CustomerId

SECRET_BYTES_MIN = 32
TTL_S = 900
_REMEMBERED_MAX = 10_000
_ALGORITHM = "HS256"
_JWT = jwt.PyJWT(options={"require": ["sub", "exp", "iat"], "enforce_minimum_key_length": True})


class Claims(Struct, frozen=True):
    """What of a token is used; anything else in it is ignored."""

    sub: str
    exp: float
    typ: Literal["access"]
    permissions: Annotated[tuple[str, ...], Meta(max_length=64)] = ()


class Caller(Struct, frozen=True):
    """Who calls, and what it may do until `expires_at_s` (Unix time)."""

    customer_id: CustomerId
    permissions: frozenset[str]
    expires_at_s: float


NOBODY = Caller(CustomerId(""), frozenset(), 0)
"""Who calls a route that asks for no permission."""


def issue_token(secret: str, subject: str, role: Role, ttl_s: int = TTL_S) -> str:
    """Sign an access token. Raises Misconfigured for a short secret, InvalidId for the subject."""
    now_s = int(time.time())
    claims = {
        "sub": ids.customer_id(subject),
        "typ": "access",
        "iat": now_s,
        "exp": now_s + ttl_s,
        "permissions": sorted(ROLES[role]),
    }
    return _JWT.encode(claims, _checked(secret), algorithm=_ALGORITHM)


class Tokens:
    """Checks the tokens of one secret. Raises Misconfigured for a secret under 32 bytes."""

    def __init__(self, secret: str) -> None:
        self._secret = _checked(secret)
        self._verified = lru_cache(_REMEMBERED_MAX)(self._verify)

    def caller(self, authorization: bytes | None) -> Caller:
        """Who the `Authorization` header names. Raises the problem `unauthenticated`."""
        if authorization is None:
            raise _unauthenticated("a bearer token is needed", b"Bearer")
        caller = self._verified(authorization)
        if caller.expires_at_s <= time.time():
            raise _unauthenticated("the token has expired")
        return caller

    def _verify(self, authorization: bytes) -> Caller:
        scheme, _, token = authorization.partition(b" ")
        if scheme.lower() != b"bearer":
            raise _unauthenticated("a bearer token is needed", b"Bearer")
        try:
            decoded = _JWT.decode(token.strip(), self._secret, algorithms=[_ALGORITHM])
            claims = msgspec.convert(decoded, Claims)
            customer = ids.customer_id(claims.sub)
        except jwt.ExpiredSignatureError as error:
            raise _unauthenticated("the token has expired") from error
        except (jwt.InvalidTokenError, ValueError) as error:  # ValueError: claims, subject, UTF-8
            raise _unauthenticated("the token is not valid") from error
        return Caller(customer, frozenset(claims.permissions), claims.exp)


def _checked(secret: str) -> bytes:
    key = secret.encode()
    if len(key) < SECRET_BYTES_MIN:
        raise Misconfigured(f"JWT_SECRET: {len(key)} bytes, at least {SECRET_BYTES_MIN} are needed")
    return key


def _unauthenticated(detail: str, challenge: bytes = b'Bearer error="invalid_token"') -> Problem:
    return Problem("unauthenticated", detail, headers=[(b"www-authenticate", challenge)])
