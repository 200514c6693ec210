"""Sessions in Postgres: families of refresh tokens, each token used once.

Only hashes are here. A token that comes a second time was stolen, or its thief's answer was: its
session ends (RFC 9700, 4.14.2). No grace for a second call that comes at once: whoever lost that
race cannot be told from a thief who won it.
"""

from secrets import token_urlsafe

from engine.ids import CustomerId
from engine.ports.accounts import Credentials, Ended, Reused, Session
from persistence.database import Connect
from persistence.stores.accounts import QUERIES, end_sessions, transaction


class SessionStore:
    """Fulfils `api.stores.SessionStore`. Every method raises Unavailable."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    async def open_session(
        self, known: Credentials, token_hash: bytes, ttl_s: int
    ) -> Session | None:
        """Begin a session with its first refresh token; None if the password was changed."""
        session_id = token_urlsafe(16)
        async with self._connect() as connection:
            row = await connection.fetchrow(
                QUERIES["open_session"],
                session_id,
                known.account_id,
                known.password_hash,
                token_hash,
                ttl_s,
            )
        return Session(session_id, known.account_id, tuple(row["permissions"])) if row else None

    async def rotate(
        self, token_hash: bytes, next_hash: bytes, ttl_s: int
    ) -> Session | Reused | None:
        """Use a refresh token and put the next in its place.

        Reused: it had been used, and its session was ended. None: there is no such session now.
        """
        async with transaction(self._connect) as connection:
            row = await connection.fetchrow(QUERIES["lock_session"], token_hash)
            if row is None or not row["alive"]:
                return None
            session_id, account_id = row["session_id"], row["account_id"]
            if await connection.fetchval(QUERIES["use_refresh_token"], token_hash) is None:
                await connection.execute(QUERIES["end_session"], session_id)
                return Reused(session_id, account_id)
            await connection.execute(QUERIES["extend_session"], session_id, ttl_s)
            await connection.execute(QUERIES["forget_used_tokens"], session_id, ttl_s)
            await connection.execute(QUERIES["add_refresh_token"], next_hash, session_id)
            rows = await connection.fetch(QUERIES["read_permissions"], account_id)
            return Session(session_id, account_id, tuple(row["permission"] for row in rows))

    async def end_session(self, session_id: str) -> None:
        """End a session; repeatable."""
        async with self._connect() as connection:
            await connection.execute(QUERIES["end_session"], session_id)

    async def end_session_of(self, token_hash: bytes) -> str | None:
        """End the session of a refresh token, used or not, and say which it is; repeatable."""
        async with transaction(self._connect) as connection:
            row = await connection.fetchrow(QUERIES["lock_session"], token_hash)
            if row is None:
                return None
            session_id: str = row["session_id"]
            await connection.execute(QUERIES["end_session"], session_id)
            return session_id

    async def end_sessions(self, account_id: CustomerId) -> Ended:
        """End every session of an account."""
        async with transaction(self._connect) as connection:
            return Ended(account_id, await end_sessions(connection, account_id))
