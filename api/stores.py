"""What the API needs of Postgres, as protocols: `cli` hands in what fulfils them.

Never on the path of a hold or a confirm. The API starts and sells while Postgres is away; a call
that needs it then raises `engine.Unavailable`.
"""

from typing import Any, Protocol

from api.accounts.store import AccountStore, RoleStore, SessionStore
from api.payment_store import PaymentStore
from api.webhook_store import WebhookStore
from engine.errors import Unavailable


class Stores(Protocol):
    """Everything behind the API that lives in Postgres, one attribute a noun."""

    @property
    def accounts(self) -> AccountStore: ...
    @property
    def sessions(self) -> SessionStore: ...
    @property
    def roles(self) -> RoleStore: ...
    @property
    def payments(self) -> PaymentStore: ...
    @property
    def webhooks(self) -> WebhookStore: ...

    async def ping(self) -> None:
        """Raises Unavailable while Postgres does not answer."""

    async def close(self) -> None:
        """Give the connections back."""


class _Absent:
    """A noun of an API with no Postgres: whatever is asked of it raises Unavailable."""

    def __getattr__(self, name: str) -> Any:
        async def refuse(*_: object, **__: object) -> None:
            raise Unavailable("DATABASE_URL is not set")

        return refuse


_ABSENT: Any = _Absent()


class NoStores:
    """For an API with no Postgres at all."""

    accounts: AccountStore = _ABSENT
    sessions: SessionStore = _ABSENT
    roles: RoleStore = _ABSENT
    payments: PaymentStore = _ABSENT
    webhooks: WebhookStore = _ABSENT

    async def ping(self) -> None:
        """Raises Unavailable: there is none."""
        raise Unavailable("DATABASE_URL is not set")

    async def close(self) -> None:
        """There is nothing to close."""
