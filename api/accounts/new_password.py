"""Sets a password through the link in a mail, for a new account and for a forgotten password alike.

The link proves the address. Everything from before ends: every session, every other link, and the
password.
"""

from api.accounts import pages, passwords
from api.accounts.links import hash_of
from api.accounts.payloads import ResetBody, VerifyBody
from api.http.calls import Call
from api.http.decoding import FORM, media_of
from api.http.payloads import NoQuery
from api.http.problems import Problem
from api.http.responses import Response
from engine.ports.accounts import LinkPurpose

_LINK_INVALID = "the link is invalid, expired or already used; request a new one"


async def set_password(
    call: Call[NoQuery, VerifyBody] | Call[NoQuery, ResetBody], purpose: LinkPurpose
) -> Response | None:
    """Use the link and set the password of the body. A page reports to a form, None to JSON.

    Raises the problems `invalid` and `link_invalid`. A password that is refused keeps the link.
    """
    as_form = media_of(call.headers) == FORM
    try:
        await _use_link(call, purpose)
    except Problem as problem:
        if not as_form:
            raise
        if problem.code == "link_invalid":
            return pages.message_page("Link not valid", problem.detail, status=410)
        return pages.message_page("Choose another password", problem.detail, status=422)
    if as_form:
        return pages.message_page("Password set", "You can now log in with it.")
    return None


async def _use_link(
    call: Call[NoQuery, VerifyBody] | Call[NoQuery, ResetBody], purpose: LinkPurpose
) -> None:
    services, token_hash = call.services, hash_of(call.body.token)
    accounts = services.stores.accounts
    services.passwords.refuse_when_full()
    email = await accounts.find_link(token_hash, purpose)
    if email is None:
        raise Problem("link_invalid", _LINK_INVALID)
    hashed = await services.passwords.hash(passwords.checked(call.body.password, email))
    ended = await accounts.set_password(token_hash, purpose, hashed)
    if ended is None:
        raise Problem("link_invalid", _LINK_INVALID)
    await call.engine.revocations.revoke(ended.session_ids, services.settings.access_ttl_s)
