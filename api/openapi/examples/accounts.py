"""Examples of accounts: Ann registers, logs in, and is made an organiser."""

from typing import Any

from api.accounts import payloads as told

_SECRET = "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_AbCdE"  # noqa: S105 - of nobody
_EMAIL = "ann@example.org"
_PASSWORD = "correct horse battery staple"  # noqa: S105 - nobody's
_PERMITTED = ["booking:create:own", "booking:read:own"]

ACCOUNTS: dict[type, Any] = {
    told.RegisterBody: {"email": _EMAIL, "password": _PASSWORD},
    told.VerifyBody: {"token": _SECRET},
    told.LoginBody: {"email": _EMAIL, "password": _PASSWORD},
    told.RefreshBody: {"refreshToken": _SECRET},
    told.LogoutBody: {"refreshToken": _SECRET},
    told.ForgotBody: {"email": _EMAIL},
    told.ResetBody: {"token": _SECRET, "password": _PASSWORD},
    told.PermissionBody: {"permission": "event:create:own"},
    told.AssignBody: {"email": _EMAIL},
    told.MailPromised: {
        "status": "accepted",
        "detail": "if the address can be used, a mail with a link is on its way",
    },
    told.Verified: {"status": "verified"},
    told.PasswordChanged: {"status": "changed"},
    told.SessionEnded: {"status": "ended"},
    told.TokensView: {
        "accessToken": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhY2NfMDEifQ.c2lnbmF0dXJl",
        "refreshToken": _SECRET,
        "expiresIn": 900,
    },
    told.AssignedView: {
        "accountId": "acc_01JDTESTTESTTESTTESTTESTTE",
        "email": _EMAIL,
        "role": "ORGANIZER",
    },
    told.RoleList: {"data": [{"id": "USER", "permissions": _PERMITTED}], "next": None},
    told.PermissionList: {"data": _PERMITTED, "next": None},
}
