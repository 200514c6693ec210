"""Register and verify: an account is usable once its owner has followed the link of a mail.

The answer to a registration is the same for every address, and takes the same work: the password
is hashed first, whatever becomes of it. Somebody who has an account gets a mail that says so.

The password is kept with the link, and becomes the account's when that very link is used: who
registers somebody else's address sets no password that its owner would confirm unknowingly with a
link of their own.
"""

from api.accounts import pages, passwords
from api.accounts.links import VERIFY_PATH, VERIFY_TTL_S, evenly, hash_of, link_of, new_secret
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

LINK_INVALID = "the link is wrong, too old, or was used: ask for another"

_NEW = "Follow this link to confirm your address. It works for a day.\n\nIf you did not ask for it, do nothing: without you there is no account."  # noqa: E501
_KNOWN = "Somebody wanted to register this address, which has an account already. If it was you: log in, or choose another password."  # noqa: E501


async def register(call: Call[NoQuery, RegisterBody]) -> Response:
    """Ask for an account. The same answer for every address; what comes of it is in the mail."""
    services, email = call.services, address(call.body.email)
    services.passwords.refuse_when_full()
    hashed = await services.passwords.hash(passwords.checked(call.body.password, email))
    token = new_secret()
    link = NewLink(hash_of(token), VERIFY_TTL_S, hashed)
    async with evenly():
        addressee = await services.stores.accounts.register(email, link)
    if addressee and addressee.verified:
        services.mailer.send(Mail(addressee.email, "You have an account", _KNOWN))
    elif addressee:
        target = link_of(services.settings, VERIFY_PATH, token)
        services.mailer.send(Mail(addressee.email, "Confirm your address", _NEW, target))
    return Response(encode(MailPromised()))


async def show_verification(call: Call[LinkQuery, None]) -> Response:
    """The page behind the link of a registration: a button, and nothing happens before it."""
    return pages.verify_page(call.query.token)


async def verify(call: Call[NoQuery, VerifyBody]) -> Response:
    """Confirm an address, by JSON or by the button of the page. Repeatable."""
    done = await call.services.stores.accounts.verify(hash_of(call.body.token))
    if media_of(call.headers) == FORM:
        if done:
            return pages.said("Confirmed", "You can log in now.")
        return pages.said("This did not work", LINK_INVALID, status=410)
    if not done:
        raise Problem("link_invalid", LINK_INVALID)
    return Response(encode(Verified()))
