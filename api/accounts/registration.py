"""Register and verify: an account is usable after its owner has followed the link in a mail.

The response to a registration is the same for every address, and takes the same time. An address
that already has an account gets a mail that says so.

The password is chosen where the link leads, after the address is proved. So if a stranger registers
the address of another person, and that person follows the link, the stranger has no password.
"""

from api.accounts import pages
from api.accounts.links import (
    VERIFY_PATH,
    VERIFY_TTL_S,
    constant_time,
    hash_of,
    link_of,
    new_secret,
)
from api.accounts.mail import Mail
from api.accounts.new_password import set_password
from api.accounts.payloads import (
    LinkQuery,
    MailPromised,
    RegisterBody,
    Verified,
    VerifyBody,
    address,
)
from api.http.calls import Call
from api.http.payloads import NoQuery, encode
from api.http.responses import Response
from engine.ports.accounts import LinkPurpose, NewLink

_NEW = "Follow this link to confirm your address and to choose a password. The link works once and expires after a day.\n\nIf you did not request it, ignore this mail: no account is created without your confirmation."  # noqa: E501
_KNOWN = "This address was registered again, but it already has an account. If you did this, log in or reset your password. Otherwise ignore this mail."  # noqa: E501


async def register(call: Call[NoQuery, RegisterBody]) -> Response:
    """Request an account. The response is the same for every address; the mail has the result."""
    services, email = call.services, address(call.body.email)
    token = new_secret()
    link = NewLink(hash_of(token), VERIFY_TTL_S, call.client_address)
    async with constant_time():
        addressee = await services.stores.accounts.register(email, link)
    if addressee and addressee.verified:
        services.mailer.send(Mail(addressee.email, "You already have an account", _KNOWN))
    elif addressee:
        target = link_of(services.settings, VERIFY_PATH, token)
        services.mailer.send(Mail(addressee.email, "Confirm your address", _NEW, target))
    return Response(encode(MailPromised()))


async def show_verification(call: Call[LinkQuery, None]) -> Response:
    """The page behind the link of a registration: a form for the password of the account."""
    return pages.password_page("Confirm your e-mail address", call.query.token)


async def verify(call: Call[NoQuery, VerifyBody]) -> Response:
    """Confirm an address and set the password, once, by JSON or by the form of the page."""
    page = await set_password(call, LinkPurpose.VERIFY)
    return page or Response(encode(Verified()))
