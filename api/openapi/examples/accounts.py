"""Examples of accounts: Ann registers, logs in, and is made an organiser."""

from typing import Any

from api.accounts import payloads

_SECRET = "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_AbCdE"  # noqa: S105 - an example
_EMAIL = "ann@example.org"
_PASSWORD = "correct horse battery staple"  # noqa: S105 - an example
_PERMITTED = ["booking:create:own", "booking:read:own"]

ACCOUNTS: dict[type, Any] = {
    payloads.RegisterBody: {"email": _EMAIL},
    payloads.VerifyBody: {"token": _SECRET, "password": _PASSWORD},
    payloads.LoginBody: {"email": _EMAIL, "password": _PASSWORD},
    payloads.RefreshBody: {"refreshToken": _SECRET},
    payloads.LogoutBody: {"refreshToken": _SECRET},
    payloads.ForgotBody: {"email": _EMAIL},
    payloads.ResetBody: {"token": _SECRET, "password": _PASSWORD},
    payloads.PermissionBody: {"permission": "event:create:own"},
    payloads.AssignBody: {"email": _EMAIL},
    payloads.MailPromised: {
        "status": "accepted",
        "detail": "if the address can be used, a mail with a link is on its way",
    },
    payloads.Verified: {"status": "verified"},
    payloads.PasswordChanged: {"status": "changed"},
    payloads.SessionEnded: {"status": "ended"},
    payloads.TokensView: {
        "accessToken": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhY2NfMDEifQ.c2lnbmF0dXJl",
        "refreshToken": _SECRET,
        "expiresIn": 900,
    },
    payloads.AssignedView: {
        "accountId": "acc_01JDTESTTESTTESTTESTTESTTE",
        "email": _EMAIL,
        "role": "ORGANIZER",
    },
    payloads.RoleList: {"data": [{"id": "USER", "permissions": _PERMITTED}], "next": None},
    payloads.PermissionList: {"data": _PERMITTED, "next": None},
}
