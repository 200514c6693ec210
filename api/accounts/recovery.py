"""Password reset: a link by mail, and a new password through the link.

A reset ends every session of the account immediately, including access tokens, so an intruder is
logged out. It also verifies the address, as only its owner can read the mail.
"""

from api.accounts import pages
from api.accounts.links import RESET_PATH, RESET_TTL_S, constant_time, hash_of, link_of, new_secret
from api.accounts.mail import Mail
from api.accounts.new_password import set_password
from api.accounts.payloads import (
    ForgotBody,
    LinkQuery,
    MailPromised,
    PasswordChanged,
    ResetBody,
    address,
)
from api.http.calls import Call
from api.http.payloads import NoQuery, encode
from api.http.responses import Response
from engine.ports.accounts import LinkPurpose, NewLink

_TEXT = "Follow this link to choose a new password. The link works once and expires after an hour.\n\nIf you did not request it, ignore this mail: your password does not change."  # noqa: E501


async def forgot_password(call: Call[NoQuery, ForgotBody]) -> Response:
    """Request a link to reset the password. The response is the same for every address."""
    services = call.services
    token = new_secret()
    link = NewLink(hash_of(token), RESET_TTL_S, call.client_address)
    email = address(call.body.email)
    async with constant_time():
        addressee = await services.stores.accounts.begin_reset(email, link)
    if addressee:
        target = link_of(services.settings, RESET_PATH, token)
        services.mailer.send(Mail(addressee.email, "Choose a new password", _TEXT, target))
    return Response(encode(MailPromised()))


async def show_reset(call: Call[LinkQuery, None]) -> Response:
    """The page behind the link of a reset: a form for a new password."""
    return pages.password_page("Choose a new password", call.query.token)


async def reset_password(call: Call[NoQuery, ResetBody]) -> Response:
    """Set a new password, by JSON or by the form of the page. Ends every session."""
    page = await set_password(call, LinkPurpose.RESET)
    return page or Response(encode(PasswordChanged()))
