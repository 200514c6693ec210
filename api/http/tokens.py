"""Access tokens: JWTs, our own (HS256) and those of one external identity provider (see `jwks`).

The algorithm that a token names only chooses between two fixed checks: HS256 is verified with our
secret, any other with a public key that the provider published for that algorithm.

A verified token is cached by its text, so a repeated token costs three look-ups and no I/O. Its
signature never changes; its expiry and its session are checked each time. Rejected tokens are not
cached, so a client without a key cannot fill the cache.
"""

import time
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager, nullcontext, suppress
from typing import Annotated, Any, Literal

import jwt
import msgspec
from cachetools import LRUCache
from msgspec import Meta, Struct

from api.http.jwks import ALGORITHMS, ProviderKeys
from api.http.permissions import ROLES, Permission, Role
from api.http.problems import Problem
from engine import ids
from engine.errors import Misconfigured
from engine.ids import CustomerId
from engine.ports.accounts import ACCOUNT_PREFIX, Session
from engine.settings import checks
from engine.settings.settings import Settings

TTL_S = 900
TOKEN_BYTES_MAX = 8192
"""A longer token is refused unread. Providers that list groups issue some of several kilobytes."""
CACHE_BYTES_MAX = 16 * 2**20
"""What verified tokens may occupy in a process: about 14,000 of our own."""
_CALLER_BYTES = 900
"""A cached caller beside its token: 890 bytes by tracemalloc, 5,000 tokens on CPython 3.11."""
_ALGORITHM = "HS256"
_OURS = jwt.PyJWT(options={"require": ["sub", "exp", "iat"], "enforce_minimum_key_length": True})
_THEIRS = jwt.PyJWT(
    options={"require": ["sub", "exp", "iss", "aud"], "enforce_minimum_key_length": True}
)
_ACCESS_TYPES = ("access", "bearer", "at+jwt")
_KNOWN = frozenset(Permission)

_Names = Annotated[tuple[str, ...], Meta(max_length=1000)]


class Claims(Struct, frozen=True):
    """The claims of our own tokens that are used; others are ignored."""

    sub: str
    exp: float
    typ: Literal["access"]
    sid: str = ""
    permissions: Annotated[tuple[str, ...], Meta(max_length=64)] = ()


class ProviderClaims(Struct, frozen=True):
    """The claims of a provider's token that are used."""

    sub: str
    exp: float
    typ: str = "access"
    permissions: _Names | None = None
    scope: str = ""

    def permitted(self) -> frozenset[str]:
        """`permissions` if present, else our permissions in `scope`, else those of a customer."""
        if self.permissions is not None:
            return _KNOWN.intersection(self.permissions)
        return _KNOWN.intersection(self.scope.split()) or ROLES["customer"]


class Caller(Struct, frozen=True):
    """The caller and its permissions, until `expires_at_s` (Unix time) or the session's end."""

    customer_id: CustomerId
    permissions: frozenset[str]
    expires_at_s: float
    session_id: str = ""


ANONYMOUS = Caller(CustomerId(""), frozenset(), 0)
"""The caller of a route that needs no permission."""


class KeyUnknown(Problem):
    """A token names a key of the provider that is not cached."""


def issue_token(secret: str, subject: str, role: Role, ttl_s: int = TTL_S) -> str:
    """Sign an access token without a session: it cannot be revoked.

    Raises Misconfigured for a short secret, InvalidId for the subject.
    """
    return _sign(_checked(secret)[0], ids.customer_id(subject), ROLES[role], ttl_s)


class Tokens:
    """Signs our own tokens, and verifies them and the provider's.

    JWT_SECRET may list several secrets, separated by commas: the first signs, each verifies, so a
    secret can be rotated. Raises Misconfigured for a secret under 32 bytes.
    """

    def __init__(self, secret: str, provider: "Provider | None" = None, leeway_s: int = 0) -> None:
        self._secrets = _checked(secret)
        self._provider = provider
        self._leeway_s = leeway_s
        self._verified: LRUCache[bytes, tuple[Caller, int]] = LRUCache(CACHE_BYTES_MAX, _size_of)
        self.revoked: Collection[str] = ()
        if provider:
            provider.keys.on_change = self._verified.clear

    def issue(self, session: Session, ttl_s: int) -> str:
        """Sign an access token of a session."""
        return _sign(
            self._secrets[0], session.account_id, session.permissions, ttl_s, sid=session.session_id
        )

    def caller(self, authorization: bytes | None) -> Caller:
        """The caller that the `Authorization` header names.

        Raises the problem `unauthenticated`; KeyUnknown, a subclass, if `learn_keys` may help.
        """
        if authorization is None:
            raise _unauthenticated("a bearer token is needed", b"Bearer")
        caller = self._verified_caller(authorization)
        if caller.expires_at_s <= time.time():
            raise _unauthenticated("the token has expired")
        if caller.session_id in self.revoked:
            raise _unauthenticated("the session has ended")
        return caller

    async def learn_keys(self) -> None:
        """After KeyUnknown: fetch the provider's keys, unless that was just done."""
        if self._provider:
            await self._provider.keys.learn()

    @asynccontextmanager
    async def kept_fresh(self) -> AsyncIterator[None]:
        """Keep the keys of the provider, if there is one, up to date until the context ends."""
        async with self._provider.keys.kept_fresh() if self._provider else nullcontext():
            yield

    def _verified_caller(self, authorization: bytes) -> Caller:
        # Cached by the token alone: the same token in another spelling of the header is one entry.
        scheme, _, token = authorization.partition(b" ")
        token = token.strip()
        if scheme.lower() != b"bearer":
            raise _unauthenticated("a bearer token is needed", b"Bearer")
        if len(token) > TOKEN_BYTES_MAX:
            raise _unauthenticated(f"the token has more than {TOKEN_BYTES_MAX} bytes")
        cached = self._verified.get(token)
        if cached is None:
            cached = self._verified[token] = self._verify(token), len(token) + _CALLER_BYTES
        return cached[0]

    def _verify(self, token: bytes) -> Caller:
        try:
            header = jwt.get_unverified_header(token)
            if self._provider and header.get("alg") in ALGORITHMS:
                return self._provider.verify(token, header, self._leeway_s)
            return self._verify_ours(token)
        except jwt.ExpiredSignatureError as error:
            raise _unauthenticated("the token has expired") from error
        except (jwt.PyJWTError, ValueError) as error:  # ValueError: claims, subject, UTF-8
            raise _unauthenticated("the token is not valid") from error

    def _verify_ours(self, token: bytes) -> Caller:
        # The leeway is for `iat`, which another machine set; `caller` checks `exp` without it.
        claims = msgspec.convert(self._decoded(token), Claims)
        customer = ids.customer_id(claims.sub)
        return Caller(customer, frozenset(claims.permissions), claims.exp, claims.sid)

    def _decoded(self, token: bytes) -> dict[str, Any]:
        *before, last = self._secrets
        for secret in before:
            with suppress(jwt.InvalidSignatureError):
                return _OURS.decode(token, secret, [_ALGORITHM], leeway=self._leeway_s)
        return _OURS.decode(token, last, [_ALGORITHM], leeway=self._leeway_s)


def _size_of(cached: tuple[Caller, int]) -> int:
    return cached[1]


class Provider:
    """An external identity provider: its issuer, the audience of its tokens, and its keys.

    Raises Misconfigured for JWKS_URL without JWT_ISSUER and JWT_AUDIENCE: tokens that the provider
    issued for another service would be accepted.
    """

    def __init__(self, settings: Settings) -> None:
        if not (settings.jwt_issuer and settings.jwt_audience):
            raise Misconfigured("JWKS_URL needs JWT_ISSUER and JWT_AUDIENCE")
        self._issuer, self._audience = settings.jwt_issuer, settings.jwt_audience
        self.keys = ProviderKeys(settings.jwks_url)

    def verify(self, token: bytes, header: dict[str, Any], leeway_s: int) -> Caller:
        """The caller that the token names. Raises KeyUnknown, PyJWT's errors, ValueError."""
        algorithm = header["alg"]
        key = self.keys.find(header.get("kid", ""), algorithm)
        if key is None:
            raise KeyUnknown("unauthenticated", "the token is not valid", headers=[_CHALLENGE])
        decoded = _THEIRS.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=self._audience,
            issuer=self._issuer,
            leeway=leeway_s,
        )
        claims = msgspec.convert(decoded, ProviderClaims)
        if claims.typ.lower() not in _ACCESS_TYPES:
            raise ValueError("not an access token")
        if claims.sub.startswith(ACCOUNT_PREFIX):
            raise ValueError("the provider may not name one of our accounts")
        return Caller(ids.customer_id(claims.sub), claims.permitted(), claims.exp + leeway_s)


def tokens_of(settings: Settings) -> Tokens:
    """The tokens of these settings. Raises Misconfigured."""
    provider = Provider(settings) if settings.jwks_url else None
    return Tokens(settings.jwt_secret, provider, settings.jwt_leeway_s)


def _sign(
    secret: bytes, subject: str, permissions: Iterable[str], ttl_s: int, sid: str = ""
) -> str:
    now_s = int(time.time())
    claims: dict[str, object] = {
        "sub": subject,
        "typ": "access",
        "iat": now_s,
        "exp": now_s + ttl_s,
        "permissions": sorted(permissions),
    }
    if sid:
        claims["sid"] = sid
    return _OURS.encode(claims, secret, algorithm=_ALGORITHM)


def _checked(secrets: str) -> list[bytes]:
    checks.refuse("JWT_SECRET", secrets, checks.secrets)
    return [secret.encode() for secret in checks.parts(secrets)]


_CHALLENGE = (b"www-authenticate", b'Bearer error="invalid_token"')


def _unauthenticated(detail: str, challenge: bytes = _CHALLENGE[1]) -> Problem:
    return Problem("unauthenticated", detail, headers=[(b"www-authenticate", challenge)])
