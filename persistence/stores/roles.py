"""Roles in Postgres: what each permits, and who has which."""

from engine.ports.accounts import Ended, RoleOf
from persistence.database import Connect
from persistence.stores.accounts import QUERIES, end_sessions, transaction


class RoleStore:
    """Fulfils `api.stores.RoleStore`. Every method raises Unavailable."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    async def list_roles(self) -> list[RoleOf]:
        """Every role with its permissions."""
        return await self._read(None)

    async def read_role(self, role: str) -> RoleOf | None:
        """One role; None if there is no such role."""
        found = await self._read(role)
        return found[0] if found else None

    async def add_permission(self, role: str, permission: str) -> None:
        """Let a role that exists permit something; repeatable."""
        async with self._connect() as connection:
            await connection.execute(QUERIES["add_permission"], role, permission)

    async def remove_permission(self, role: str, permission: str) -> None:
        """Let a role no longer permit something; repeatable."""
        async with self._connect() as connection:
            await connection.execute(QUERIES["remove_permission"], role, permission)

    async def assign_role(self, email: str, role: str) -> Ended | None:
        """Give an account another role; None if there is no such account.

        Its sessions end: what it may do is in its tokens.
        """
        async with transaction(self._connect) as connection:
            account = await connection.fetchrow(QUERIES["lock_account"], email)
            if account is None:
                return None
            account_id = account["account_id"]
            done = await connection.execute(QUERIES["assign_role"], account_id, role)
            if done == "UPDATE 0":  # it has this role already
                return Ended(account_id, ())
            return Ended(account_id, await end_sessions(connection, account_id))

    async def _read(self, role: str | None) -> list[RoleOf]:
        async with self._connect() as connection:
            rows = await connection.fetch(QUERIES["list_roles"], role)
        return [RoleOf(row["role"], tuple(row["permissions"])) for row in rows]
