"""What the API and Postgres say to each other of accounts: plain records, no behaviour.

An account's id is the customer id of its tokens. It has a prefix of its own, so that no subject
of an outside identity provider can be one: those that look like it are refused.
"""

from msgspec import Struct
from ulid import ULID

from engine.ids import CustomerId

ACCOUNT_PREFIX = "acc_"


def new_account_id() -> CustomerId:
    """An account id nobody has; it stays when the e-mail address changes."""
    return CustomerId(f"{ACCOUNT_PREFIX}{ULID()}")


class Account(Struct, frozen=True):
    """An account, as those see it who administer them."""

    account_id: CustomerId
    email: str
    role: str
    created_at_ms: int
    verified_at_ms: int | None


class NewLink(Struct, frozen=True):
    """A link for a mail, as it is stored: the hash of its token, and how long it works.

    `password_hash` is what a verification sets: the password chosen in the very registration that
    sent this link, so that nobody else's registration of the address can slip theirs in.
    """

    token_hash: bytes
    ttl_s: int
    password_hash: str | None = None


class Addressee(Struct, frozen=True):
    """To whom a mail goes: always the stored address, never the one of the request."""

    email: str
    verified: bool


class Credentials(Struct, frozen=True):
    """What a password is checked with. Only a verified account has them."""

    account_id: CustomerId
    password_hash: str


class Session(Struct, frozen=True):
    """A login that goes on: one family of refresh tokens, each used once."""

    session_id: str
    account_id: CustomerId
    permissions: tuple[str, ...]


class Reused(Struct, frozen=True):
    """A refresh token came a second time: its session was ended."""

    session_id: str
    account_id: CustomerId


class RoleOf(Struct, frozen=True):
    """A role and what it permits."""

    role: str
    permissions: tuple[str, ...]


class Ended(Struct, frozen=True):
    """An account whose sessions were ended, and which."""

    account_id: CustomerId
    session_ids: tuple[str, ...]
