"""The cases of accounts: ann@example.org is verified, bob@example.org has a link in the mail."""

from collections.abc import Awaitable, Callable

from api.accounts.links import hash_of
from engine.ids import CustomerId
from engine.ports.accounts import Credentials, NewLink
from persistence.stores.stores import PostgresStores
from tests.api.case import Case, Prepare
from tests.api.client import AUTH, Api

ANN = "ann@example.org"
BOB = "bob@example.org"
PASSWORD = "correct horse battery staple"
HASHED = "$argon2id$v=19$m=19456,t=2,p=1$SN0i24UYj+EGGU27dyKLiA$yi3eKT1Xs8MDhmACJGJ5DgEjJV2ZqcgWkNSygj/z6fk"  # noqa: E501
SECRET = "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_AbCdE"

ROLES = f"{AUTH}/admin/roles"


async def add_ann(api: Api) -> CustomerId:
    """A verified account, whose password is PASSWORD."""
    assert isinstance(api.stores, PostgresStores)
    account_id = await api.stores.accounts.add_account(ANN, HASHED, "USER")
    assert account_id
    return account_id


async def _registered(api: Api) -> None:
    await api.stores.accounts.register(BOB, NewLink(hash_of(SECRET), 60, ""))


async def _forgotten(api: Api) -> None:
    await add_ann(api)
    await api.stores.accounts.begin_reset(ANN, NewLink(hash_of(SECRET), 60, ""))


async def _logged_in(api: Api) -> None:
    account_id = await add_ann(api)
    await api.stores.sessions.open_session(Credentials(account_id, HASHED), hash_of(SECRET), 60)


async def _nothing(api: Api) -> None:
    pass


def _case(
    path: str, body: object = None, prepare: Callable[[Api], Awaitable[object]] = _nothing
) -> Prepare:
    async def case(api: Api) -> Case:
        await prepare(api)
        return Case(path, body)

    return case


_LOGIN = {"email": ANN, "password": PASSWORD}
_ONE = ROLES + "/{role_id}"

ACCOUNT_CASES: dict[tuple[str, str], Prepare] = {
    ("register", f"{AUTH}/register"): _case(f"{AUTH}/register", {"email": ANN}),
    ("show_verification", f"{AUTH}/verify"): _case(f"{AUTH}/verify?token={SECRET}"),
    ("verify", f"{AUTH}/verify"): _case(
        f"{AUTH}/verify", {"token": SECRET, "password": PASSWORD}, _registered
    ),
    ("log_in", f"{AUTH}/login"): _case(f"{AUTH}/login", _LOGIN, add_ann),
    ("refresh", f"{AUTH}/refresh"): _case(f"{AUTH}/refresh", {"refreshToken": SECRET}, _logged_in),
    ("log_out", f"{AUTH}/logout"): _case(f"{AUTH}/logout", {"refreshToken": SECRET}, _logged_in),
    ("forgot_password", f"{AUTH}/password/forgot"): _case(
        f"{AUTH}/password/forgot", {"email": ANN}, add_ann
    ),
    ("show_reset", f"{AUTH}/password/reset"): _case(f"{AUTH}/password/reset?token={SECRET}"),
    ("reset_password", f"{AUTH}/password/reset"): _case(
        f"{AUTH}/password/reset", {"token": SECRET, "password": "another " + PASSWORD}, _forgotten
    ),
    ("list_roles", ROLES): _case(ROLES),
    ("list_permissions", f"{_ONE}/permissions"): _case(f"{ROLES}/USER/permissions"),
    ("add_permission", f"{_ONE}/permissions"): _case(
        f"{ROLES}/USER/permissions", {"permission": "event:create:own"}
    ),
    ("remove_permission", _ONE + "/permissions/{permission}"): _case(
        f"{ROLES}/USER/permissions/booking:create:own"
    ),
    ("assign_role", f"{_ONE}/accounts"): _case(
        f"{ROLES}/ORGANIZER/accounts", {"email": ANN}, add_ann
    ),
}
