"""The permissions of the route table, and the roles that grant them.

A token carries its permissions, so a check needs no look-up. `…:own` covers what belongs to the
caller; `…:any` and `…:all` cover what belongs to any customer or organiser.
"""

from enum import StrEnum
from typing import Literal

Role = Literal["customer", "organizer", "admin"]


class Permission(StrEnum):
    """The permissions a token may carry. Those of `role:` are for administering accounts."""

    BOOKING_CREATE_OWN = "booking:create:own"
    BOOKING_READ_OWN = "booking:read:own"
    BOOKING_READ_ALL = "booking:read:all"
    BOOKING_UPDATE_OWN = "booking:update:own"
    BOOKING_UPDATE_ANY = "booking:update:any"
    PAYMENT_CONFIRM = "payment:confirm"
    PAYMENT_CONFIRM_ANY = "payment:confirm:any"
    EVENT_CREATE_OWN = "event:create:own"
    EVENT_UPDATE_ANY = "event:update:any"
    ROLE_ASSIGN = "role:assign"
    ROLE_PERMISSION_READ_ALL = "role:permission:read:all"
    ROLE_PERMISSION_ADD = "role:permission:add"
    ROLE_PERMISSION_REMOVE = "role:permission:remove"


_CUSTOMER = frozenset(
    {
        Permission.BOOKING_CREATE_OWN,
        Permission.BOOKING_READ_OWN,
        Permission.BOOKING_UPDATE_OWN,
        Permission.PAYMENT_CONFIRM,
    }
)

ROLES: dict[Role, frozenset[Permission]] = {
    "customer": _CUSTOMER,
    "organizer": _CUSTOMER | {Permission.EVENT_CREATE_OWN},
    "admin": frozenset(Permission),
}
