"""The rows of the route table for accounts: registration, login, recovery and roles."""

from api.accounts import recovery, registration, roles, sessions
from api.accounts.links import RESET_PATH, VERIFY_PATH
from api.accounts.payloads import (
    AssignBody,
    AssignedView,
    ForgotBody,
    LinkQuery,
    LoginBody,
    LogoutBody,
    MailPromised,
    PasswordChanged,
    PermissionBody,
    PermissionList,
    RefreshBody,
    RegisterBody,
    ResetBody,
    RoleList,
    SessionEnded,
    TokensView,
    Verified,
    VerifyBody,
)
from api.http.calls import V1, Route
from api.http.decoding import FormBody, JsonBody
from api.http.limits import LimitClass
from api.http.permissions import Permission as May

AUTH = f"{V1}/auth"
ROLE = f"{AUTH}/admin/roles/{{role_id}}"
HTML = "text/html"

_OPEN: tuple[Route, ...] = (
    Route(
        method="POST",
        path=f"{AUTH}/register",
        endpoint=registration.register,
        body=JsonBody(RegisterBody),
        status=202,
        response=MailPromised,
        limit=LimitClass.ACCOUNT,
    ),
    Route(
        method="GET",
        path=VERIFY_PATH,
        endpoint=registration.show_verification,
        query=LinkQuery,
        response=str,
        produces=HTML,
    ),
    Route(
        method="POST",
        path=VERIFY_PATH,
        endpoint=registration.verify,
        body=FormBody(VerifyBody),
        response=Verified,
        limit=LimitClass.ACCOUNT,
        refusals=("link_invalid",),
    ),
    Route(
        method="POST",
        path=f"{AUTH}/login",
        endpoint=sessions.log_in,
        body=JsonBody(LoginBody),
        response=TokensView,
        limit=LimitClass.ACCOUNT,
        refusals=("login_refused",),
    ),
    Route(
        method="POST",
        path=f"{AUTH}/refresh",
        endpoint=sessions.refresh,
        body=JsonBody(RefreshBody),
        response=TokensView,
        refusals=("session_ended",),
    ),
    Route(
        method="POST",
        path=f"{AUTH}/logout",
        endpoint=sessions.log_out,
        body=JsonBody(LogoutBody, optional=True),
        response=SessionEnded,
        refusals=("unauthenticated", "no_session"),
    ),
    Route(
        method="POST",
        path=f"{AUTH}/password/forgot",
        endpoint=recovery.forgot_password,
        body=JsonBody(ForgotBody),
        status=202,
        response=MailPromised,
        limit=LimitClass.ACCOUNT,
    ),
    Route(
        method="GET",
        path=RESET_PATH,
        endpoint=recovery.show_reset,
        query=LinkQuery,
        response=str,
        produces=HTML,
    ),
    Route(
        method="POST",
        path=RESET_PATH,
        endpoint=recovery.reset_password,
        body=FormBody(ResetBody),
        response=PasswordChanged,
        limit=LimitClass.ACCOUNT,
        refusals=("link_invalid",),
    ),
)

_ADMIN: tuple[Route, ...] = (
    Route(
        method="GET",
        path=f"{AUTH}/admin/roles",
        endpoint=roles.list_roles,
        permission=May.ROLE_PERMISSION_READ_ALL,
        response=RoleList,
    ),
    Route(
        method="GET",
        path=f"{ROLE}/permissions",
        endpoint=roles.list_permissions,
        permission=May.ROLE_PERMISSION_READ_ALL,
        response=PermissionList,
        refusals=("role_not_found",),
    ),
    Route(
        method="POST",
        path=f"{ROLE}/permissions",
        endpoint=roles.add_permission,
        permission=May.ROLE_PERMISSION_ADD,
        body=JsonBody(PermissionBody),
        response=PermissionList,
        repeatable=True,
        refusals=("role_not_found",),
    ),
    Route(
        method="DELETE",
        path=f"{ROLE}/permissions/{{permission}}",
        endpoint=roles.remove_permission,
        permission=May.ROLE_PERMISSION_REMOVE,
        response=PermissionList,
        refusals=("role_not_found", "permission_not_found", "role_protected"),
    ),
    Route(
        method="POST",
        path=f"{ROLE}/accounts",
        endpoint=roles.assign_role,
        permission=May.ROLE_ASSIGN,
        body=JsonBody(AssignBody),
        response=AssignedView,
        repeatable=True,
        refusals=("role_not_found", "account_not_found", "role_protected"),
    ),
)

ROUTES = (*_OPEN, *_ADMIN)
