"""Log in, refresh, log out.

An access token is a JWT that lives for minutes and is verified locally. A refresh token is a random
string that is valid once. The two are not interchangeable: a refresh token is not a JWT, and no
access token is stored among the refresh tokens.

A wrong password, an unknown address and an unverified address get the same response after the same
work, as OWASP recommends against account enumeration. The cost: a customer who forgot to verify is
not informed. Registering again sends the mail again.
"""

import contextlib
from typing import Any

from api.accounts.links import hash_of, new_secret
from api.accounts.passwords import normal
from api.accounts.payloads import (
    LoginBody,
    LogoutBody,
    RefreshBody,
    SessionEnded,
    TokensView,
    address,
)
from api.http.calls import Call
from api.http.payloads import NoQuery, encode
from api.http.problems import Problem
from api.http.responses import Response
from api.services import Services
from engine import logs
from engine.errors import Overloaded, RateLimited
from engine.limits import Limit, LimitCheck
from engine.metrics import metrics
from engine.ports.accounts import Credentials, Reused, Session

ATTEMPTS_BURST = 10
ATTEMPT_EVERY_MS = 30_000
"""Login attempts per account from one client address."""
ALL_ATTEMPTS_BURST = 100
ALL_ATTEMPT_EVERY_MS = 5_000
"""Login attempts per account from all client addresses."""
_CHALLENGE = ((b"www-authenticate", b"Bearer"),)

_log = logs.get("accounts")


async def log_in(call: Call[NoQuery, LoginBody]) -> Response:
    """Exchange address and password for an access token and a refresh token."""
    services, email = call.services, address(call.body.email)
    services.passwords.refuse_when_full()
    await _count_attempt(call, email)
    known = await services.stores.accounts.find_credentials(email)
    stored = known.password_hash if known else None
    matches = await services.passwords.verify(call.body.password, stored)
    refresh_token = new_secret()
    session = None
    if known and matches:
        session = await services.stores.sessions.open_session(
            known, hash_of(refresh_token), services.settings.refresh_ttl_s
        )
    if known is None or session is None:
        metrics.logins.labels("refused").inc()
        detail = "the address or the password is wrong, or the address is not verified"
        raise Problem("login_refused", detail, headers=_CHALLENGE)
    metrics.logins.labels("granted").inc()
    await _rehash_if_outdated(services, known, call.body.password)
    return _response(services, session, refresh_token)


async def refresh(call: Call[NoQuery, RefreshBody]) -> Response:
    """Exchange a refresh token for the next pair of tokens. Needs no access token.

    Using a refresh token twice ends its session, including access tokens.
    """
    services, next_token = call.services, new_secret()
    found = await services.stores.sessions.rotate(
        hash_of(call.body.refresh_token), hash_of(next_token), services.settings.refresh_ttl_s
    )
    match found:
        case Session():
            return _response(services, found, next_token)
        case Reused(session_id, account_id):
            _log.warning("refresh_token_reused", session=session_id, account=account_id)
            await _revoke(call, session_id)
    raise Problem("session_ended", "log in again", headers=_CHALLENGE)


async def log_out(call: Call[NoQuery, LogoutBody]) -> Response:
    """End the session of the refresh token in the body, else that of the access token."""
    sessions = call.services.stores.sessions
    if call.body.refresh_token:
        session_id = await sessions.end_session_of(hash_of(call.body.refresh_token))
        if session_id:
            await _revoke(call, session_id)
        return Response(encode(SessionEnded()))
    caller = call.services.tokens.caller(call.headers.get(b"authorization"))
    if not caller.session_id:
        raise Problem("no_session", "this token does not belong to a session; it expires by itself")
    try:
        await sessions.end_session(caller.session_id)
    finally:  # revokes the access token even if Postgres is down
        await _revoke(call, caller.session_id)
    return Response(encode(SessionEnded()))


async def _count_attempt(call: Call[NoQuery, LoginBody], email: str) -> None:
    """Limit the login attempts per account, known or not: from one client, and from all clients.

    A client that guesses is stopped by its own limit first, so the owner can still log in.
    Attempts are counted before the password is verified, so a concurrent burst gains nothing.
    """
    if call.services.settings.rate_limits == "off":
        return
    sender = f"{email} {call.client_address}"
    limits = (
        Limit("login-address", sender, ATTEMPT_EVERY_MS, ATTEMPTS_BURST),
        Limit("login", email, ALL_ATTEMPT_EVERY_MS, ALL_ATTEMPTS_BURST),
    )
    try:
        await call.engine.take_limits(LimitCheck(limits))
    except RateLimited:
        metrics.logins.labels("throttled").inc()
        raise


async def _rehash_if_outdated(services: Services, known: Credentials, password: str) -> None:
    """Replace a hash that was made with other parameters than the current ones."""
    if services.passwords.outdated(known.password_hash):
        with contextlib.suppress(Overloaded):  # then the next login does it
            hashed = await services.passwords.hash(normal(password))
            await services.stores.accounts.replace_hash(known, hashed)


async def _revoke(call: Call[Any, Any], session_id: str) -> None:
    await call.engine.revocations.revoke([session_id], call.services.settings.access_ttl_s)


def _response(services: Services, session: Session, refresh_token: str) -> Response:
    ttl_s = services.settings.access_ttl_s
    access_token = services.tokens.issue(session, ttl_s)
    view = TokensView(access_token=access_token, refresh_token=refresh_token, expires_in=ttl_s)
    return Response(encode(view))
