"""Accounts in Postgres: who registered, who is verified, and the links that were mailed.

Never on the path of a hold or a confirm. Every method is one transaction, and the row of the
account is its lock: two registrations of one address, or a login and a reset, come one after the
other.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from engine.ids import CustomerId
from engine.ports.accounts import (
    Account,
    Addressee,
    Credentials,
    Ended,
    LinkPurpose,
    NewLink,
    new_account_id,
)
from persistence.database import Connect, Connection
from persistence.sql import named_queries

QUERIES = named_queries("stores/accounts.sql")
SENDER_MAILS_MAX = 5
"""Mails an hour of one purpose to one account, requested from one client address."""
MAILS_MAX = 30
"""Mails an hour of one purpose to one account from all clients. When they are used up, a link of
this hour is still valid, because no link of a mail lives shorter; using it starts the hour again.
"""


@asynccontextmanager
async def transaction(connect: Connect) -> AsyncIterator[Connection]:
    """A connection in a transaction. Raises Unavailable while Postgres is away."""
    async with connect() as connection, connection.transaction():
        yield connection


async def end_sessions(connection: Connection, account_id: str) -> tuple[str, ...]:
    """End every session of an account, and say which were still going on."""
    rows = await connection.fetch(QUERIES["end_sessions"], account_id)
    return tuple(row["session_id"] for row in rows)


class AccountStore:
    """Fulfils `api.stores.AccountStore`. Every method raises Unavailable."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    async def register(self, email: str, link: NewLink) -> Addressee | None:
        """Note that somebody wants an account for an address.

        A verified account stays as it is. None: no mail is to be sent, the address had enough.
        """
        async with transaction(self._connect) as connection:
            await connection.execute(QUERIES["forget_old"])
            await connection.execute(QUERIES["add_unverified"], new_account_id(), email)
            return await _add_link(connection, email, link, LinkPurpose.VERIFY)

    async def begin_reset(self, email: str, link: NewLink) -> Addressee | None:
        """Make a link to choose another password; None when no mail is to be sent."""
        async with transaction(self._connect) as connection:
            await connection.execute(QUERIES["forget_old"])
            return await _add_link(connection, email, link, LinkPurpose.RESET)

    async def find_link(self, token_hash: bytes, purpose: LinkPurpose) -> str | None:
        """The address that a valid link was sent to; None for any other link."""
        async with self._connect() as connection:
            email: str | None = await connection.fetchval(QUERIES["find_link"], token_hash, purpose)
        return email

    async def set_password(
        self, token_hash: bytes, purpose: LinkPurpose, password_hash: str
    ) -> Ended | None:
        """Use a link, once. None: the link is unknown, used or expired.

        The client read the mail, so it owns the address: the account is verified, and everything
        from before ends, that is every session and every other link.
        """
        async with transaction(self._connect) as connection:
            await connection.execute(QUERIES["lock_account_of_link"], token_hash)
            account_id = await connection.fetchval(QUERIES["use_link"], token_hash, purpose)
            if account_id is None:
                return None
            await connection.execute(QUERIES["set_password"], account_id, password_hash)
            return Ended(account_id, await end_sessions(connection, account_id))

    async def find_credentials(self, email: str) -> Credentials | None:
        """What a login is checked with; None for an address that is unknown or not verified."""
        async with self._connect() as connection:
            row = await connection.fetchrow(QUERIES["find_credentials"], email)
        return Credentials(row["account_id"], row["password_hash"]) if row else None

    async def replace_hash(self, known: Credentials, password_hash: str) -> None:
        """Keep the same password, hashed anew."""
        async with self._connect() as connection:
            await connection.execute(
                QUERIES["replace_hash"], known.account_id, known.password_hash, password_hash
            )

    async def add_account(self, email: str, password_hash: str, role: str) -> CustomerId | None:
        """Make a verified account; None if the address has one.

        An unverified account becomes this one, and its links end: a stranger may have registered
        the address.
        """
        async with transaction(self._connect) as connection:
            found: CustomerId | None = await connection.fetchval(
                QUERIES["add_account"], new_account_id(), email, role, password_hash
            )
            if found:
                await connection.execute(QUERIES["end_links"], found)
        return found

    async def list_accounts(self, after: str = "", limit: int = 1000) -> list[Account]:
        """Accounts in the order of their addresses, those behind `after`."""
        async with self._connect() as connection:
            rows = await connection.fetch(QUERIES["list_accounts"], after, limit)
        return [Account(**row) for row in rows]


async def _add_link(
    connection: Connection, email: str, link: NewLink, purpose: LinkPurpose
) -> Addressee | None:
    account = await connection.fetchrow(QUERIES["lock_account"], email)
    if account is None:
        return None
    account_id, verified = account["account_id"], account["verified"]
    notice = verified and purpose == LinkPurpose.VERIFY
    mail = account_id, "notice" if notice else purpose, link.sender
    if not await connection.fetchval(QUERIES["count_mail"], *mail, SENDER_MAILS_MAX, MAILS_MAX):
        return None
    if not notice:
        await connection.execute(
            QUERIES["add_link"], link.token_hash, account_id, purpose, link.ttl_s
        )
    return Addressee(account["email"], verified)
