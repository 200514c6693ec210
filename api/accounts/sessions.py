"""Log in, refresh, log out.

An access token is a JWT that lives for minutes and is checked without asking anybody; a refresh
token is a random string that counts once. Neither is any use in the other's place: a refresh token
is no JWT, and no access token is among the refresh tokens.

One answer for a wrong password, an unknown address and one that was never verified, after the same
work: OWASP's advice against telling who has an account. It costs whoever forgot to verify a second
look at the mail, which registering again sends once more.
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
_CHALLENGE = ((b"www-authenticate", b"Bearer"),)

_log = logs.get("accounts")


async def log_in(call: Call[NoQuery, LoginBody]) -> Response:
    """Exchange address and password for an access token and a refresh token."""
    services, email = call.services, address(call.body.email)
    services.passwords.refuse_when_full()
    await _count_attempt(call, email)
    known = await services.stores.accounts.find_credentials(email)
    stored = known.password_hash if known else None
    fits = await services.passwords.fits(call.body.password, stored)
    refresh_token = new_secret()
    session = None
    if known and fits:
        session = await services.stores.sessions.open_session(
            known, hash_of(refresh_token), services.settings.refresh_ttl_s
        )
    if known is None or session is None:
        metrics.logins.labels("refused").inc()
        detail = "the address or the password is wrong, or the address was never confirmed"
        raise Problem("login_refused", detail, headers=_CHALLENGE)
    metrics.logins.labels("granted").inc()
    await _keep_up_to_date(services, known, call.body.password)
    return _shown(services, session, refresh_token)


async def refresh(call: Call[NoQuery, RefreshBody]) -> Response:
    """Exchange a refresh token for the next pair; needs no access token.

    A token that comes a second time ends its session, access tokens included.
    """
    services, next_token = call.services, new_secret()
    found = await services.stores.sessions.rotate(
        hash_of(call.body.refresh_token), hash_of(next_token), services.settings.refresh_ttl_s
    )
    match found:
        case Session():
            return _shown(services, found, next_token)
        case Reused(session_id, account_id):
            _log.warning("refresh_token_reused", session=session_id, account=account_id)
            await _revoke(call, session_id)
    raise Problem("session_ended", "log in again", headers=_CHALLENGE)


async def log_out(call: Call[NoQuery, LogoutBody]) -> Response:
    """End a session at once: that of the refresh token in the body, else of the access token."""
    sessions = call.services.stores.sessions
    if call.body.refresh_token:
        session_id = await sessions.end_session_of(hash_of(call.body.refresh_token))
        if session_id:
            await _revoke(call, session_id)
        return Response(encode(SessionEnded()))
    caller = call.services.tokens.caller(call.headers.get(b"authorization"))
    if not caller.session_id:
        raise Problem("no_session", "this token was not made by a login: it ends by itself")
    try:
        await sessions.end_session(caller.session_id)
    finally:  # without Postgres the access token ends all the same
        await _revoke(call, caller.session_id)
    return Response(encode(SessionEnded()))


async def _count_attempt(call: Call[NoQuery, LoginBody], email: str) -> None:
    """Bound the guesses at one account, from wherever they come, known or not.

    Counted before the password is looked at, so a burst of guesses gains nothing.
    """
    if call.services.settings.rate_limits == "off":
        return
    limit = Limit("login", email, ATTEMPT_EVERY_MS, ATTEMPTS_BURST)
    try:
        await call.engine.take_limits(LimitCheck((limit,)))
    except RateLimited:
        metrics.logins.labels("throttled").inc()
        raise


async def _keep_up_to_date(services: Services, known: Credentials, password: str) -> None:
    """Hash the password anew when ours are made with other figures by now."""
    if services.passwords.outdated(known.password_hash):
        with contextlib.suppress(Overloaded):  # then at the next login
            hashed = await services.passwords.hash(normal(password))
            await services.stores.accounts.replace_hash(known, hashed)


async def _revoke(call: Call[Any, Any], session_id: str) -> None:
    await call.engine.revocations.revoke([session_id], call.services.settings.access_ttl_s)


def _shown(services: Services, session: Session, refresh_token: str) -> Response:
    ttl_s = services.settings.access_ttl_s
    access_token = services.tokens.issue(session, ttl_s)
    shown = TokensView(access_token=access_token, refresh_token=refresh_token, expires_in=ttl_s)
    return Response(encode(shown))
