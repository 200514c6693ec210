"""Roles: what each permits, who has which, and who may change that."""

import pytest

from api.http.permissions import ROLES, Permission
from engine.ids import CustomerId
from engine.ports.accounts import Ended
from persistence.stores.stores import PostgresStores
from tests.api.account_cases import ANN, HASHED
from tests.api.client import AUTH, Api, Headers, bearer, token
from tests.api.visitor import Visitor

ADMIN_ROLES = f"{AUTH}/admin/roles"
ROOT = bearer("root", "admin")


def _with(*permissions: str) -> Headers:
    return {"authorization": f"Bearer {token('eve', permissions)}"}


async def _assign(api: Api, role: str, caller: Headers = ROOT, email: str = ANN) -> int:
    path = f"{ADMIN_ROLES}/{role}/accounts"
    return (await api.call("POST", path, caller, json={"email": email})).status_code


async def test_roles_of_a_new_installation_are_those_of_the_tokens_we_sign(
    stores: PostgresStores, database_url: str
) -> None:
    names = {"customer": "USER", "organizer": "ORGANIZER", "admin": "ADMIN"}
    expected = {names[name]: set(permissions) for name, permissions in ROLES.items()}
    found = {one.role: set(one.permissions) for one in await stores.roles.list_roles()}
    await stores.close()
    assert found == expected


async def test_list_roles_and_their_permissions(ann: Visitor) -> None:
    listed = (await ann.api.call("GET", ADMIN_ROLES, ROOT)).json()
    assert [role["id"] for role in listed["data"]] == ["ADMIN", "ORGANIZER", "USER"]
    assert listed["next"] is None
    one = (await ann.api.call("GET", f"{ADMIN_ROLES}/USER/permissions", ROOT)).json()
    assert one["data"] == sorted(ROLES["customer"])


async def test_permission_added_and_removed_counts_from_the_next_refresh_on(ann: Visitor) -> None:
    await ann.join()
    path = f"{ADMIN_ROLES}/USER/permissions"

    async def create() -> int:
        answer = await ann.api.call("POST", "/api/v1/event", ann.bearer, json={})
        return answer.status_code

    assert await create() == 403
    for _ in range(2):
        body = {"permission": "event:create:own"}
        added = await ann.api.call("POST", path, ROOT, json=body)
        assert "event:create:own" in added.json()["data"]
    assert await create() == 403
    await ann.refresh()
    assert await create() == 422  # permitted; the plan is none

    for _ in range(2):
        removed = await ann.api.call("DELETE", f"{path}/event:create:own", ROOT)
        assert "event:create:own" not in removed.json()["data"]
    await ann.refresh()
    assert await create() == 403


async def test_assign_role_ends_the_sessions_and_the_next_login_has_it(ann: Visitor) -> None:
    await ann.join()
    assert await _assign(ann.api, "USER") == 200
    assert await ann.may_call(), "it had that role already"
    assert await _assign(ann.api, "ORGANIZER") == 200
    assert not await ann.may_call()
    assert (await ann.refresh()).status_code == 401
    await ann.log_in()
    plan = await ann.api.call("POST", "/api/v1/event", ann.bearer, json={})
    assert plan.status_code == 422
    assert await _assign(ann.api, "USER") == 200
    assert not await ann.may_call()


async def test_assign_role_to_an_unknown_account_or_of_an_unknown_role_is_404(ann: Visitor) -> None:
    body = {"email": ANN}
    path = f"{ADMIN_ROLES}/USER/accounts"
    await ann.api.refused(404, "account_not_found", "POST", path, ROOT, json=body)
    path = f"{ADMIN_ROLES}/EMPEROR/accounts"
    await ann.api.refused(404, "role_not_found", "POST", path, ROOT, json=body)


async def test_assign_role_beyond_the_callers_own_permissions_is_refused(ann: Visitor) -> None:
    await ann.join()
    assert await _assign(ann.api, "ADMIN", _with("role:assign", *ROLES["organizer"])) == 403
    assert await _assign(ann.api, "ORGANIZER", _with("role:assign", *ROLES["organizer"])) == 200
    path, body = f"{ADMIN_ROLES}/USER/permissions", {"permission": "role:assign"}
    caller = _with("role:permission:add")
    problem = await ann.api.refused(403, "forbidden", "POST", path, caller, json=body)
    assert problem["permission"] == "role:assign"


async def test_change_of_an_account_or_role_above_the_caller_is_refused(
    ann: Visitor, stores: PostgresStores
) -> None:
    await ann.join()
    for role in ("ADMIN", "USER"):
        assert await stores.accounts.add_account(f"{role}@a.org".lower(), HASHED, role)
    caller = _with("role:assign", "role:permission:remove", *ROLES["organizer"])
    assert await _assign(ann.api, "USER", caller, "admin@a.org") == 403
    assert await _assign(ann.api, "ADMIN", caller, "admin@a.org") == 403
    assert await _assign(ann.api, "ORGANIZER", caller, "user@a.org") == 200
    path = f"{ADMIN_ROLES}/ADMIN/permissions/event:create:own"
    problem = await ann.api.refused(403, "forbidden", "DELETE", path, caller)
    assert problem["permission"] not in ROLES["organizer"]
    path = path.replace("/ADMIN/", "/ORGANIZER/")
    assert (await ann.api.call("DELETE", path, caller)).status_code == 200


async def test_last_administrator_stays(ann: Visitor, stores: PostgresStores) -> None:
    await ann.join()
    await stores.roles.assign_role(ANN, "ADMIN")
    await ann.log_in()
    path, body = f"{ADMIN_ROLES}/USER/accounts", {"email": ANN}
    await ann.api.refused(409, "role_protected", "POST", path, ann.bearer, json=body)
    assert await ann.may_call()
    assert await _assign(ann.api, "ADMIN", ann.bearer) == 200
    assert await stores.accounts.add_account("bob@example.org", HASHED, "ADMIN")
    assert await _assign(ann.api, "USER", ann.bearer) == 200


@pytest.mark.parametrize("kept", [p for p in Permission if p.startswith("role:")])
async def test_administrators_cannot_be_locked_out_of_the_roles(ann: Visitor, kept: str) -> None:
    path = f"{ADMIN_ROLES}/ADMIN/permissions/{kept}"
    await ann.api.refused(409, "role_protected", "DELETE", path, ROOT)
    answer = await ann.api.call("DELETE", path.replace("/ADMIN/", "/USER/"), ROOT)
    assert answer.status_code == 200


async def test_permission_that_is_none_is_refused(ann: Visitor) -> None:
    path = f"{ADMIN_ROLES}/USER/permissions"
    for name in ("", "everything", "booking:create:own ", "*", "BOOKING:CREATE:OWN"):
        body = {"permission": name}
        problem = await ann.api.refused(422, "invalid", "POST", path, ROOT, json=body)
        assert problem["field"] == "permission"


async def test_account_with_a_token_of_an_old_role_has_no_more_after_a_refresh(
    ann: Visitor, stores: PostgresStores
) -> None:
    await ann.join()
    ended = await stores.roles.assign_role(ANN, "ADMIN")
    assert isinstance(ended, Ended)
    assert len(ended.session_ids) == 1
    assert isinstance(ended.account_id, str)
    assert CustomerId(ended.account_id).startswith("acc_")
    assert (await ann.refresh()).status_code == 401
