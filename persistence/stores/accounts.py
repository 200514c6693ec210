"""Accounts in Postgres: who registered, who is verified, and the links that were mailed.

Never on the path of a hold or a confirm. Every method is one transaction, and the row of the
account is its lock: two registrations of one address, or a login and a reset, come one after the
other.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from engine.ids import CustomerId
from engine.ports.accounts import Account, Addressee, Credentials, Ended, NewLink, new_account_id
from persistence.database import Connect, Connection
from persistence.sql import named_queries

QUERIES = named_queries("stores/accounts.sql")
MAILS_PER_HOUR_MAX = 5


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
            return await _add_link(connection, email, link, "verify")

    async def verify(self, token_hash: bytes) -> bool:
        """Follow the link of a registration; again does no harm. False: it is none, or old."""
        async with transaction(self._connect) as connection:
            used = await connection.fetchrow(QUERIES["use_link"], token_hash, "verify")
            if used is None:
                return False
            account_id = used["account_id"]
            if used["first"]:
                await connection.execute(
                    QUERIES["verify_account"], account_id, used["password_hash"]
                )
                await connection.execute(QUERIES["drop_other_links"], account_id, token_hash)
            return True

    async def begin_reset(self, email: str, link: NewLink) -> Addressee | None:
        """Make a link to choose another password; None when no mail is to be sent."""
        async with transaction(self._connect) as connection:
            await connection.execute(QUERIES["forget_old"])
            return await _add_link(connection, email, link, "reset")

    async def reset_password(self, token_hash: bytes, password_hash: str) -> Ended | None:
        """Follow the link of a reset, once, and end every session. None: it is none, or old.

        Who could read the mail owns the address, so the account is verified with it.
        """
        async with transaction(self._connect) as connection:
            used = await connection.fetchrow(QUERIES["use_link"], token_hash, "reset")
            if used is None or not used["first"]:
                return None
            account_id = used["account_id"]
            await connection.execute(QUERIES["set_password"], account_id, password_hash)
            await connection.execute(QUERIES["drop_other_links"], account_id, token_hash)
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
        """Make a verified account; None if the address has one."""
        async with self._connect() as connection:
            found: CustomerId | None = await connection.fetchval(
                QUERIES["add_account"], new_account_id(), email, role, password_hash
            )
        return found

    async def list_accounts(self, after: str = "", limit: int = 1000) -> list[Account]:
        """Accounts in the order of their addresses, those behind `after`."""
        async with self._connect() as connection:
            rows = await connection.fetch(QUERIES["list_accounts"], after, limit)
        return [Account(**row) for row in rows]


async def _add_link(
    connection: Connection, email: str, link: NewLink, purpose: str
) -> Addressee | None:
    account = await connection.fetchrow(QUERIES["lock_account"], email)
    if account is None or not await connection.fetchval(
        QUERIES["count_mail"], account["account_id"], MAILS_PER_HOUR_MAX
    ):
        return None
    if purpose == "reset" or not account["verified"]:
        await connection.execute(
            QUERIES["add_link"],
            link.token_hash,
            account["account_id"],
            purpose,
            link.password_hash,
            link.ttl_s,
        )
    return Addressee(account["email"], account["verified"])
