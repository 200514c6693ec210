"""The bodies of accounts: what comes in is checked here, what goes out is made here.

Addresses are ASCII, in lower case: two that look alike, or that some mail server takes for one,
can then not stand for each other. A domain with other letters has an ASCII form (`xn--…`).
"""

import re
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from api.http.payloads import RequestBody, View
from api.http.permissions import Permission
from api.http.problems import invalid
from engine.ids import InvalidId

_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_ADDRESS = re.compile(rf"[a-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@{_LABEL}(?:\.{_LABEL})*")
_ROLE = re.compile("[A-Z][A-Z_]{0,31}")

EmailText = Annotated[
    str, Meta(min_length=3, max_length=254, description="An e-mail address, ASCII.")
]
NewPassword = Annotated[str, Meta(min_length=8, max_length=128)]
GivenPassword = Annotated[str, Meta(min_length=1, max_length=128)]
LinkToken = Annotated[
    str, Meta(pattern="^[A-Za-z0-9_-]{43}$", description="As it stands in the link of the mail.")
]
RefreshText = Annotated[str, Meta(min_length=1, max_length=4096)]
RoleText = Annotated[str, Meta(pattern="^[A-Z][A-Z_]{0,31}$")]


def address(text: str) -> str:
    """An e-mail address as it is kept. Raises the problem `invalid`."""
    lowered = text.lower() if text.isascii() else ""
    if not _ADDRESS.fullmatch(lowered):
        raise invalid("email", "not an e-mail address in ASCII letters")
    return lowered


def role_id(text: str) -> str:
    """Check the id of a role: capitals and `_`. Raises InvalidId."""
    if not _ROLE.fullmatch(text):
        raise InvalidId("a role", text)
    return text


def permission(text: str) -> Permission:
    """Check the name of a permission. Raises InvalidId."""
    try:
        return Permission(text)
    except ValueError as error:
        raise InvalidId("a permission", text) from error


class RegisterBody(RequestBody, frozen=True):
    """Who wants an account, and its password."""

    email: EmailText
    password: NewPassword


class LoginBody(RequestBody, frozen=True):
    """Who logs in."""

    email: EmailText
    password: GivenPassword


class LinkQuery(RequestBody, frozen=True):
    """What the link of a mail carries."""

    token: LinkToken


class VerifyBody(RequestBody, frozen=True):
    """Confirms an address."""

    token: LinkToken


class RefreshBody(RequestBody, frozen=True):
    """The refresh token that came with the access token."""

    refresh_token: RefreshText


class LogoutBody(RequestBody, frozen=True):
    """The session to end; left out: the one of the access token."""

    refresh_token: RefreshText | UnsetType = UNSET


class ForgotBody(RequestBody, frozen=True):
    """Whose password is forgotten."""

    email: EmailText


class ResetBody(RequestBody, frozen=True):
    """Chooses another password."""

    token: LinkToken
    password: NewPassword


class PermissionBody(RequestBody, frozen=True):
    """What a role is to permit."""

    permission: Permission


class AssignBody(RequestBody, frozen=True):
    """Who gets the role."""

    email: EmailText


class MailPromised(View, frozen=True):
    """The same for every address: nobody learns here who has an account."""

    status: Literal["accepted"] = "accepted"
    detail: str = "if the address can be used, a mail with a link is on its way"


class Verified(View, frozen=True):
    """The address is confirmed: the account can log in."""

    status: Literal["verified"] = "verified"


class PasswordChanged(View, frozen=True):
    """The password is another; every session of the account was ended."""

    status: Literal["changed"] = "changed"


class SessionEnded(View, frozen=True):
    """The session was ended: none of its tokens counts any more."""

    status: Literal["ended"] = "ended"


class TokensView(View, frozen=True):
    """`expires_in`: seconds the access token lives. The refresh token counts once."""

    access_token: str
    refresh_token: str
    expires_in: int


class AssignedView(View, frozen=True):
    """Who has which role now."""

    account_id: str
    email: str
    role: str


class RoleView(View, frozen=True):
    """A role and what it permits."""

    id: str
    permissions: tuple[str, ...]


class RoleList(Struct, frozen=True):
    """Every role; there are few, so `next` is always null."""

    data: list[RoleView]
    next: str | None = None


class PermissionList(Struct, frozen=True):
    """What a role permits; `next` is always null."""

    data: tuple[str, ...]
    next: str | None = None
