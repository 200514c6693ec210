"""Accounts, sessions and roles, as the API and Postgres exchange them.

An account's id is the customer id of its tokens. It has a prefix, so that no subject of an external
identity provider can be an account id: a subject with this prefix is refused.
"""

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


class NewLink(Struct, frozen=True):
    """A link for a mail, as stored: the hash of its token, and how long it is valid.

    A verification sets `password_hash`: the password of the registration that sent this link. So a
    second registration of the same address cannot replace the password.
    """

    token_hash: bytes
    ttl_s: int
    password_hash: str | None = None


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


class Ended(Struct, frozen=True):
    """An account and those of its sessions that were ended."""

    account_id: CustomerId
    session_ids: tuple[str, ...]
