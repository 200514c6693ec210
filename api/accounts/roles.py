"""Roles over HTTP, for administrators: the permissions of a role, and the role of an account.

A caller can neither grant permissions that it does not have nor take a role from an account that
has more, whether by a change of the role or of the account's role. Removing the role permissions
from administrators could not be undone by any account, so it is refused, and so is demoting the
last administrator.
"""

from typing import Any

from api.accounts import payloads
from api.accounts.payloads import (
    AssignBody,
    AssignedView,
    PermissionBody,
    PermissionList,
    RoleList,
    RoleView,
    address,
)
from api.http.calls import Call
from api.http.payloads import NoQuery, encode
from api.http.problems import Problem
from api.http.responses import Response
from engine.ports.accounts import AboveOwn, Granter, LastAdmin, RoleOf

ADMIN = "ADMIN"
_PROTECTED = "role:"


async def list_roles(call: Call[NoQuery, None]) -> Response:
    """Every role with its permissions."""
    found = await call.services.stores.roles.list_roles()
    roles = [RoleView(id=one.role, permissions=one.permissions) for one in found]
    return Response(encode(RoleList(roles)))


async def list_permissions(call: Call[NoQuery, None]) -> Response:
    """The permissions of a role."""
    return Response(encode(PermissionList((await _read(call)).permissions)))


async def add_permission(call: Call[NoQuery, PermissionBody]) -> Response:
    """Add a permission to a role, effective at each account's next refresh. Repeatable."""
    role = await _read(call)
    store = call.services.stores.roles
    above = await store.add_permission(role.role, call.body.permission, _granter(call))
    if above:
        raise _above_own(above)
    return Response(encode(PermissionList((await _read(call)).permissions)))


async def remove_permission(call: Call[NoQuery, None]) -> Response:
    """Remove a permission from a role, effective at each account's next refresh. Repeatable."""
    role = await _read(call)
    permission = payloads.permission(call.path["permission"])
    if role.role == ADMIN and permission.startswith(_PROTECTED):
        raise Problem("role_protected", "without this permission no account could administer roles")
    store = call.services.stores.roles
    above = await store.remove_permission(role.role, permission, _granter(call))
    if above:
        raise _above_own(above)
    return Response(encode(PermissionList((await _read(call)).permissions)))


async def assign_role(call: Call[NoQuery, AssignBody]) -> Response:
    """Replace the role of an account, and end its sessions. Repeatable."""
    role = await _read(call)
    email = address(call.body.email)
    ended = await call.services.stores.roles.assign_role(email, role.role, _granter(call))
    match ended:
        case None:
            raise Problem("account_not_found", "no account has this address")
        case AboveOwn():
            raise _above_own(ended)
        case LastAdmin():
            raise Problem("role_protected", "this account is the last administrator")
    ttl_s = call.services.settings.access_ttl_s
    await call.engine.revocations.revoke(ended.session_ids, ttl_s)
    return Response(encode(AssignedView(account_id=ended.account_id, email=email, role=role.role)))


async def _read(call: Call[Any, Any]) -> RoleOf:
    name = call.path["role_id"]
    role = await call.services.stores.roles.read_role(name)
    if role is None:
        raise Problem("role_not_found", f"there is no role {name}")
    return role


def _granter(call: Call[Any, Any]) -> Granter:
    return Granter(call.caller.customer_id, call.caller.permissions)


def _above_own(refused: AboveOwn) -> Problem:
    permission = refused.permission
    detail = f"you cannot grant or take {permission}, because you do not have it"
    return Problem("forbidden", detail, {"permission": permission})
