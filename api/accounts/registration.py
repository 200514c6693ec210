"""Register and verify: an account is usable after its owner has followed the link in a mail.

The response to a registration is the same for every address, and takes the same work: the password
is always hashed first. An address that already has an account gets a mail that says so.

The password is stored with its link, and becomes the account's password only through this link.
So if an attacker registers the address of another person, that person cannot confirm the attacker's
password by accident, with the link of a registration of their own.
"""

from api.accounts import pages, passwords
from api.accounts.links import (
    VERIFY_PATH,
    VERIFY_TTL_S,
    constant_time,
    hash_of,
    link_of,
    new_secret,
)
from api.accounts.mail import Mail
from api.accounts.payloads import (
    LinkQuery,
    MailPromised,
    RegisterBody,
    Verified,
    VerifyBody,
    address,
)
from api.http.calls import Call
from api.http.decoding import FORM, media_of
from api.http.payloads import NoQuery, encode
from api.http.problems import Problem
from api.http.responses import Response
from engine.ports.accounts import NewLink

LINK_INVALID = "the link is invalid, expired or already used; request a new one"

_NEW = "Follow this link to confirm your address. The link expires after a day.\n\nIf you did not request it, ignore this mail: no account is created without your confirmation."  # noqa: E501
_KNOWN = "This address was registered again, but it already has an account. If you did this, log in or reset your password. Otherwise ignore this mail."  # noqa: E501


async def register(call: Call[NoQuery, RegisterBody]) -> Response:
    """Request an account. The response is the same for every address; the mail has the result."""
    services, email = call.services, address(call.body.email)
    services.passwords.refuse_when_full()
    hashed = await services.passwords.hash(passwords.checked(call.body.password, email))
    token = new_secret()
    link = NewLink(hash_of(token), VERIFY_TTL_S, hashed)
    async with constant_time():
        addressee = await services.stores.accounts.register(email, link)
    if addressee and addressee.verified:
        services.mailer.send(Mail(addressee.email, "You already have an account", _KNOWN))
    elif addressee:
        target = link_of(services.settings, VERIFY_PATH, token)
        services.mailer.send(Mail(addressee.email, "Confirm your address", _NEW, target))
    return Response(encode(MailPromised()))


async def show_verification(call: Call[LinkQuery, None]) -> Response:
    """The page behind the link of a registration. Only its button changes anything."""
    return pages.verify_page(call.query.token)


async def verify(call: Call[NoQuery, VerifyBody]) -> Response:
    """Confirm an address, by JSON or by the button of the page. Repeatable."""
    done = await call.services.stores.accounts.verify(hash_of(call.body.token))
    if media_of(call.headers) == FORM:
        if done:
            return pages.message_page("Confirmed", "You can now log in.")
        return pages.message_page("Link not valid", LINK_INVALID, status=410)
    if not done:
        raise Problem("link_invalid", LINK_INVALID)
    return Response(encode(Verified()))
