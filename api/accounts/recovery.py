"""Password reset: a link by mail, and a new password through the link.

A reset ends every session of the account immediately, including access tokens, so an intruder is
logged out. It also verifies the address, as only its owner can read the mail.
"""

from api.accounts import pages, passwords
from api.accounts.links import RESET_PATH, RESET_TTL_S, constant_time, hash_of, link_of, new_secret
from api.accounts.mail import Mail
from api.accounts.payloads import (
    ForgotBody,
    LinkQuery,
    MailPromised,
    PasswordChanged,
    ResetBody,
    address,
)
from api.accounts.registration import LINK_INVALID
from api.http.calls import Call
from api.http.decoding import FORM, media_of
from api.http.payloads import NoQuery, encode
from api.http.problems import Problem
from api.http.responses import Response
from engine.ports.accounts import NewLink

_TEXT = "Follow this link to choose a new password. The link works once and expires after an hour.\n\nIf you did not request it, ignore this mail: your password does not change."  # noqa: E501


async def forgot_password(call: Call[NoQuery, ForgotBody]) -> Response:
    """Request a link to reset the password. The response is the same for every address."""
    services = call.services
    token = new_secret()
    link = NewLink(hash_of(token), RESET_TTL_S)
    email = address(call.body.email)
    async with constant_time():
        addressee = await services.stores.accounts.begin_reset(email, link)
    if addressee:
        target = link_of(services.settings, RESET_PATH, token)
        services.mailer.send(Mail(addressee.email, "Choose a new password", _TEXT, target))
    return Response(encode(MailPromised()))


async def show_reset(call: Call[LinkQuery, None]) -> Response:
    """The page behind the link of a reset: a form for the new password."""
    return pages.reset_page(call.query.token)


async def reset_password(call: Call[NoQuery, ResetBody]) -> Response:
    """Set a new password, by JSON or by the form of the page. Ends every session."""
    services, as_form = call.services, media_of(call.headers) == FORM
    services.passwords.refuse_when_full()
    try:
        hashed = await services.passwords.hash(passwords.checked(call.body.password, ""))
    except Problem as error:
        if as_form:
            return pages.message_page("Choose another password", error.detail, status=422)
        raise
    ended = await services.stores.accounts.reset_password(hash_of(call.body.token), hashed)
    if ended is None:
        if as_form:
            return pages.message_page("Link not valid", LINK_INVALID, status=410)
        raise Problem("link_invalid", LINK_INVALID)
    await call.engine.revocations.revoke(ended.session_ids, services.settings.access_ttl_s)
    if as_form:
        return pages.message_page("Password changed", "You can now log in with it.")
    return Response(encode(PasswordChanged()))
