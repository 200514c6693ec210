"""Roles over HTTP: what each permits, and who has which. For those who administer accounts.

Nobody hands out what they may not do themselves: neither by a role nor into one. And whoever
locked the administrators out of the roles could not be undone by anybody, so that is refused.
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
_KEPT = "role:"


async def list_roles(call: Call[NoQuery, None]) -> Response:
    """Every role with what it permits."""
    found = await call.services.stores.roles.list_roles()
    shown = [RoleView(id=one.role, permissions=one.permissions) for one in found]
    return Response(encode(RoleList(shown)))


async def list_permissions(call: Call[NoQuery, None]) -> Response:
    """What a role permits."""
    return Response(encode(PermissionList((await _read(call)).permissions)))


async def add_permission(call: Call[NoQuery, PermissionBody]) -> Response:
    """Let a role permit something more, from each account's next refresh on. Repeatable."""
    role = await _read(call)
    _refuse_more_than_own(call, [call.body.permission])
    await call.services.stores.roles.add_permission(role.role, call.body.permission)
    return Response(encode(PermissionList((await _read(call)).permissions)))


async def remove_permission(call: Call[NoQuery, None]) -> Response:
    """Let a role no longer permit something, from each account's next refresh on. Repeatable."""
    role = await _read(call)
    permission = payloads.permission(call.path["permission"])
    if role.role == ADMIN and permission.startswith(_KEPT):
        raise Problem("role_protected", "without it nobody could administer roles any more")
    await call.services.stores.roles.remove_permission(role.role, permission)
    return Response(encode(PermissionList((await _read(call)).permissions)))


async def assign_role(call: Call[NoQuery, AssignBody]) -> Response:
    """Give an account a role in place of its own; its sessions end. Repeatable."""
    role = await _read(call)
    _refuse_more_than_own(call, role.permissions)
    email = address(call.body.email)
    ended = await call.services.stores.roles.assign_role(email, role.role)
    if ended is None:
        raise Problem("account_not_found", "nobody has registered this address")
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
            detail = f"you may not hand out {permission}, as you do not have it"
            raise Problem("forbidden", detail, {"permission": permission})
