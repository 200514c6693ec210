"""Roles in Postgres: what each role permits, and which account has which role.

Every change is one transaction that first locks the roles, so changes are serialised: what one
decided is still true when it commits. Two administrators who demote each other leave one.
"""

from collections.abc import Iterable

from engine.ports.accounts import ACCOUNT_PREFIX, AboveOwn, Ended, Granter, LastAdmin, RoleOf
from persistence.database import Connect, Connection
from persistence.stores.accounts import QUERIES, end_sessions, transaction

ADMIN = "ADMIN"


class RoleStore:
    """Fulfils `api.stores.RoleStore`. Every method raises Unavailable.

    Without a Granter (`by` is None: `engine user`) every permission counts as the caller's own.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    async def list_roles(self) -> list[RoleOf]:
        """Every role with its permissions."""
        async with self._connect() as connection:
            return await _read(connection, None)

    async def read_role(self, role: str) -> RoleOf | None:
        """One role; None if it does not exist."""
        async with self._connect() as connection:
            found = await _read(connection, role)
        return found[0] if found else None

    async def add_permission(
        self, role: str, permission: str, by: Granter | None = None
    ) -> AboveOwn | None:
        """Add a permission that the caller has to an existing role; repeatable."""
        async with transaction(self._connect) as connection:
            await connection.execute(QUERIES["lock_roles"])
            if refused := await _above(connection, by, [permission]):
                return refused
            await connection.execute(QUERIES["add_permission"], role, permission)
            return None

    async def remove_permission(
        self, role: str, permission: str, by: Granter | None = None
    ) -> AboveOwn | None:
        """Remove a permission from a role that is not above the caller; repeatable."""
        async with transaction(self._connect) as connection:
            await connection.execute(QUERIES["lock_roles"])
            if refused := await _above(connection, by, await _permissions(connection, role)):
                return refused
            await connection.execute(QUERIES["remove_permission"], role, permission)
            return None

    async def assign_role(
        self, email: str, role: str, by: Granter | None = None
    ) -> Ended | AboveOwn | LastAdmin | None:
        """Replace the role of an account; None if the account does not exist.

        Neither the old nor the new role may permit what the caller is not permitted, and the last
        verified administrator stays. The sessions of the account end: its tokens carry what the
        old role permitted.
        """
        async with transaction(self._connect) as connection:
            await connection.execute(QUERIES["lock_roles"])
            account = await connection.fetchrow(QUERIES["lock_account"], email)
            if account is None:
                return None
            account_id, old_role = account["account_id"], account["role"]
            both = [
                *await _permissions(connection, old_role),
                *await _permissions(connection, role),
            ]
            if refused := await _above(connection, by, both):
                return refused
            if role == old_role:
                return Ended(account_id, ())
            is_admin = old_role == ADMIN and account["verified"]
            if is_admin and not await connection.fetchval(
                QUERIES["count_other_admins"], account_id
            ):
                return LastAdmin()
            await connection.execute(QUERIES["assign_role"], account_id, role)
            return Ended(account_id, await end_sessions(connection, account_id))


async def _read(connection: Connection, role: str | None) -> list[RoleOf]:
    rows = await connection.fetch(QUERIES["list_roles"], role)
    return [RoleOf(row["role"], tuple(row["permissions"])) for row in rows]


async def _permissions(connection: Connection, role: str) -> tuple[str, ...]:
    return tuple(name for one in await _read(connection, role) for name in one.permissions)


async def _above(
    connection: Connection, by: Granter | None, permissions: Iterable[str]
) -> AboveOwn | None:
    """The first of the permissions that the caller does not have; None: it has them all."""
    if by is None:
        return None
    own = by.permissions
    if by.account_id.startswith(ACCOUNT_PREFIX):
        rows = await connection.fetch(QUERIES["read_permissions"], by.account_id)
        own = own.intersection(row["permission"] for row in rows)
    return next((AboveOwn(name) for name in permissions if name not in own), None)
