"""Who may do what: the permissions of the route table and the roles that carry them.

A token carries its permissions itself, so that checking one costs no look-up. `…:own` reaches
what is the caller's; `…:any` and `…:all` reach everybody's.
"""

from enum import StrEnum
from typing import Literal

Role = Literal["customer", "organizer", "admin"]


class Permission(StrEnum):
    """What a token may carry. The `role:` ones are for the administration of accounts."""

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
