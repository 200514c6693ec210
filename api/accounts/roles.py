"""Roles over HTTP, for administrators: the permissions of a role, and the role of an account.

A caller can only grant permissions that it has, whether to a role or through a role. Removing the
role permissions from administrators could not be undone by any account, so it is refused.
"""

from collections.abc import Iterable
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
from engine.ports.accounts import RoleOf

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
    _refuse_more_than_own(call, [call.body.permission])
    await call.services.stores.roles.add_permission(role.role, call.body.permission)
    return Response(encode(PermissionList((await _read(call)).permissions)))


async def remove_permission(call: Call[NoQuery, None]) -> Response:
    """Remove a permission from a role, effective at each account's next refresh. Repeatable."""
    role = await _read(call)
    permission = payloads.permission(call.path["permission"])
    if role.role == ADMIN and permission.startswith(_PROTECTED):
        raise Problem("role_protected", "without this permission no account could administer roles")
    await call.services.stores.roles.remove_permission(role.role, permission)
    return Response(encode(PermissionList((await _read(call)).permissions)))


async def assign_role(call: Call[NoQuery, AssignBody]) -> Response:
    """Replace the role of an account, and end its sessions. Repeatable."""
    role = await _read(call)
    _refuse_more_than_own(call, role.permissions)
    email = address(call.body.email)
    ended = await call.services.stores.roles.assign_role(email, role.role)
    if ended is None:
        raise Problem("account_not_found", "no account has this address")
    ttl_s = call.services.settings.access_ttl_s
    await call.engine.revocations.revoke(ended.session_ids, ttl_s)
    return Response(encode(AssignedView(account_id=ended.account_id, email=email, role=role.role)))


async def _read(call: Call[Any, Any]) -> RoleOf:
    name = call.path["role_id"]
    role = await call.services.stores.roles.read_role(name)
    if role is None:
        raise Problem("role_not_found", f"there is no role {name}")
    return role


def _refuse_more_than_own(call: Call[Any, Any], permissions: Iterable[str]) -> None:
    for permission in permissions:
        if permission not in call.caller.permissions:
            detail = f"you cannot grant {permission}, because you do not have it"
            raise Problem("forbidden", detail, {"permission": permission})
