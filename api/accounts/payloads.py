"""The payloads of accounts, shared by its modules.

Addresses are lower-case ASCII, so two addresses that look alike, or that a mail server treats as
one, cannot be confused. An internationalized domain has an ASCII form (`xn--…`).
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
    str, Meta(pattern="^[A-Za-z0-9_-]{43}$", description="From the link in the mail.")
]
RefreshText = Annotated[str, Meta(min_length=1, max_length=4096)]
RoleText = Annotated[str, Meta(pattern="^[A-Z][A-Z_]{0,31}$")]


def address(text: str) -> str:
    """An e-mail address as it is stored. Raises the problem `invalid`."""
    lowered = text.lower() if text.isascii() else ""
    if not _ADDRESS.fullmatch(lowered):
        raise invalid("email", "not an e-mail address in ASCII letters")
    return lowered


def role_id(text: str) -> str:
    """Check the form of a role's id: capitals and `_`. Raises InvalidId."""
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
    """The address of a new account. `password` is accepted from existing clients and not used."""

    email: EmailText
    password: NewPassword | UnsetType = UNSET


class LoginBody(RequestBody, frozen=True):
    """The credentials of a login."""

    email: EmailText
    password: GivenPassword


class LinkQuery(RequestBody, frozen=True):
    """The parameters of a link in a mail."""

    token: LinkToken


class VerifyBody(RequestBody, frozen=True):
    """The token of the mail, which confirms the address, and the password of the account."""

    token: LinkToken
    password: NewPassword


class RefreshBody(RequestBody, frozen=True):
    """The refresh token that was issued with the access token."""

    refresh_token: RefreshText


class LogoutBody(RequestBody, frozen=True):
    """The session to end; by default that of the access token."""

    refresh_token: RefreshText | UnsetType = UNSET


class ForgotBody(RequestBody, frozen=True):
    """The address of the account whose password is forgotten."""

    email: EmailText


class ResetBody(RequestBody, frozen=True):
    """The token of the mail, and the new password."""

    token: LinkToken
    password: NewPassword


class PermissionBody(RequestBody, frozen=True):
    """The permission to add to a role."""

    permission: Permission


class AssignBody(RequestBody, frozen=True):
    """The address of the account that gets the role."""

    email: EmailText


class MailPromised(View, frozen=True, omit_defaults=False):
    """The same for every address, so it does not reveal whether an account exists."""

    status: Literal["accepted"] = "accepted"
    detail: str = "if the address can be used, a mail with a link is on its way"


class Verified(View, frozen=True, omit_defaults=False):
    """The address is confirmed, and the account can log in."""

    status: Literal["verified"] = "verified"


class PasswordChanged(View, frozen=True, omit_defaults=False):
    """The password was changed, and every session of the account was ended."""

    status: Literal["changed"] = "changed"


class SessionEnded(View, frozen=True, omit_defaults=False):
    """The session was ended, and all its tokens are invalid."""

    status: Literal["ended"] = "ended"


class TokensView(View, frozen=True):
    """`expiresIn`: lifetime of the access token, in seconds. The refresh token is valid once."""

    access_token: str
    refresh_token: str
    expires_in: int


class AssignedView(View, frozen=True):
    """An account and its new role."""

    account_id: str
    email: str
    role: str


class RoleView(View, frozen=True, omit_defaults=False):
    """A role and its permissions."""

    id: str
    permissions: tuple[str, ...]


class RoleList(Struct, frozen=True):
    """Every role, on one page: `next` is always null."""

    data: list[RoleView]
    next: str | None = None


class PermissionList(Struct, frozen=True):
    """The permissions of a role, on one page: `next` is always null."""

    data: tuple[str, ...]
    next: str | None = None
