"""Accounts, sessions and roles, as the API and Postgres exchange them.

An account's id is the customer id of its tokens. It has a prefix, so that no subject of an external
identity provider can be an account id: a subject with this prefix is refused.
"""

from enum import StrEnum

from msgspec import Struct
from ulid import ULID

from engine.ids import CustomerId

ACCOUNT_PREFIX = "acc_"


def new_account_id() -> CustomerId:
    """A new account id. It stays the same when the e-mail address changes."""
    return CustomerId(f"{ACCOUNT_PREFIX}{ULID()}")


class Account(Struct, frozen=True):
    """An account, as admins see it."""

    account_id: CustomerId
    email: str
    role: str
    created_at_ms: int
    verified_at_ms: int | None


class LinkPurpose(StrEnum):
    """The purpose of a link: verify a new account's address, or reset a forgotten password."""

    VERIFY = "verify"
    RESET = "reset"


class NewLink(Struct, frozen=True):
    """A link for a mail, as stored: the hash of its token, and how long it is valid.

    `sender` is the client address of the request: the mails of one hour are counted per sender.
    """

    token_hash: bytes
    ttl_s: int
    sender: str


class Addressee(Struct, frozen=True):
    """The recipient of a mail: always the stored address, never the one of the request."""

    email: str
    verified: bool


class Credentials(Struct, frozen=True):
    """The password hash of an account. Only a verified account has one."""

    account_id: CustomerId
    password_hash: str


class Session(Struct, frozen=True):
    """A login: one family of refresh tokens, each used once."""

    session_id: str
    account_id: CustomerId
    permissions: tuple[str, ...]


class Reused(Struct, frozen=True):
    """A session that was ended because a refresh token was used twice."""

    session_id: str
    account_id: CustomerId


class RoleOf(Struct, frozen=True):
    """A role and its permissions."""

    role: str
    permissions: tuple[str, ...]


class Granter(Struct, frozen=True):
    """The caller that changes roles, with the permissions of its token.

    Of an account, only the permissions count that its role still has.
    """

    account_id: CustomerId
    permissions: frozenset[str]


class AboveOwn(Struct, frozen=True):
    """A change of roles was refused: the caller does not have this permission itself."""

    permission: str


class LastAdmin(Struct, frozen=True):
    """A change of roles was refused: no administrator would be left."""


class Ended(Struct, frozen=True):
    """An account and those of its sessions that were ended."""

    account_id: CustomerId
    session_ids: tuple[str, ...]
