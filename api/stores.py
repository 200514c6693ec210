"""What the API needs of Postgres, as protocols; `persistence` implements them, `cli` passes it in.

No hold and no confirmation needs Postgres: the API starts and sells while it is down. Every method
raises `engine.Unavailable` in that case.
"""

from typing import Any, Protocol

from engine.errors import Unavailable
from engine.ids import EventId
from engine.ports.accounts import (
    AboveOwn,
    Addressee,
    Credentials,
    Ended,
    Granter,
    LastAdmin,
    LinkPurpose,
    NewLink,
    Reused,
    RoleOf,
    Session,
)
from engine.ports.payments import Notice, NoticeOutcome, Refund
from engine.ports.webhooks import Delivery, DeliveryState, Replayed, Webhook


class AccountStore(Protocol):
    """Registered accounts, and the links in their mails."""

    async def register(self, email: str, link: NewLink) -> Addressee | None:
        """Record a registration; None: send no mail."""

    async def begin_reset(self, email: str, link: NewLink) -> Addressee | None:
        """Create a link to reset the password; None: send no mail."""

    async def find_link(self, token_hash: bytes, purpose: LinkPurpose) -> str | None:
        """The address that a valid link was sent to."""

    async def set_password(
        self, token_hash: bytes, purpose: LinkPurpose, password_hash: str
    ) -> Ended | None:
        """Use a link, once: verify the account, set its password, end every session."""

    async def find_credentials(self, email: str) -> Credentials | None:
        """The credentials to check a login with; None for an unknown or unverified address."""

    async def replace_hash(self, known: Credentials, password_hash: str) -> None:
        """Replace the hash of an unchanged password."""


class SessionStore(Protocol):
    """Families of refresh tokens; each token is used once."""

    async def open_session(
        self, known: Credentials, token_hash: bytes, ttl_s: int
    ) -> Session | None:
        """Begin a session; None if the password was changed in the meantime."""

    async def rotate(
        self, token_hash: bytes, next_hash: bytes, ttl_s: int
    ) -> Session | Reused | None:
        """Replace a refresh token with the next one. Reused: this ended its session."""

    async def end_session(self, session_id: str) -> None:
        """End a session; repeatable."""

    async def end_session_of(self, token_hash: bytes) -> str | None:
        """End the session of a refresh token and return its id; repeatable."""


class RoleStore(Protocol):
    """The permissions of each role, and the role of each account."""

    async def list_roles(self) -> list[RoleOf]:
        """Every role with its permissions."""

    async def read_role(self, role: str) -> RoleOf | None:
        """One role; None if it does not exist."""

    async def add_permission(self, role: str, permission: str, by: Granter) -> AboveOwn | None:
        """Add a permission that the caller has to an existing role; repeatable."""

    async def remove_permission(self, role: str, permission: str, by: Granter) -> AboveOwn | None:
        """Remove a permission from a role that is not above the caller; repeatable."""

    async def assign_role(
        self, email: str, role: str, by: Granter
    ) -> Ended | AboveOwn | LastAdmin | None:
        """Replace the role of an account; None if the account does not exist.

        Neither the old nor the new role may permit what the caller is not permitted.
        """


class PaymentStore(Protocol):
    """Notices of the payment provider, and refund obligations."""

    async def record_notice(self, notice: Notice) -> None:
        """Record a notice once, by its id and booking; owe what no record in Redis keeps."""

    async def find_booking(self, payment_id: str) -> str | None:
        """The booking that a payment was for, if Postgres has it."""

    async def find_owner(self, event: EventId) -> str | None:
        """The organiser of an event; None if Postgres does not have the event."""

    async def list_notices(
        self, event: EventId, outcome: NoticeOutcome | None, below: int | None, limit: int
    ) -> list[Notice]:
        """The notices of an event with numbers below `below`, newest first."""

    async def list_refunds(
        self, event: EventId | None, settled: bool | None, after: tuple[int, str] | None, limit: int
    ) -> list[Refund]:
        """The refund obligations of an event after (due_at_ms, id), oldest first.

        None: those of every event that is not known.
        """

    async def find_refunds(self, refund_or_booking: str) -> list[Refund]:
        """The obligation with this id, or all those of a booking."""

    async def settle_refund(self, refund: Refund, settled_by: str, reference: str | None) -> Refund:
        """Mark an obligation as settled, once."""


class WebhookStore(Protocol):
    """The webhooks of organisers, and their deliveries.

    `owner_id` "" stands for every organiser. A webhook is found by its owner and by the owner of
    its event.
    """

    async def create_webhook(self, new: Webhook, secret: str, webhooks_max: int) -> Webhook | None:
        """Create a webhook, repeatable under its id; None: its owner has `webhooks_max` others."""

    async def list_webhooks(
        self, owner_id: str, event_id: EventId | None, after: str, limit: int
    ) -> list[Webhook]:
        """The webhooks of one owner after an id, or all of that owner's event, sorted by id."""

    async def read_webhook(self, webhook_id: str, owner_id: str) -> Webhook | None:
        """One webhook."""

    async def delete_webhook(self, webhook_id: str, owner_id: str) -> Webhook | None:
        """Delete a webhook and its deliveries."""

    async def list_deliveries(
        self, webhook_id: str, state: DeliveryState | None, below: int | None, limit: int
    ) -> list[Delivery]:
        """The deliveries of a webhook with numbers below `below`, newest first."""

    async def replay_delivery(self, webhook_id: str, message_id: str) -> bool:
        """Send one message again in any state, and enable the webhook. False: unknown message."""

    async def replay_from(self, webhook_id: str, from_ms: int) -> Replayed:
        """Send a batch of the journal since a time again, and enable the webhook."""


class Stores(Protocol):
    """Everything that the API keeps in Postgres, one attribute per noun."""

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
        """Raises Unavailable while Postgres does not reply."""

    async def close(self) -> None:
        """Close the connections."""


class _Unconfigured:
    """A store of an API without Postgres: every method raises Unavailable."""

    def __getattr__(self, name: str) -> Any:
        async def refuse(*_: object, **__: object) -> None:
            raise Unavailable("DATABASE_URL is not set")

        return refuse


_UNCONFIGURED: Any = _Unconfigured()


class NoStores:
    """The stores of an API without Postgres."""

    accounts: AccountStore = _UNCONFIGURED
    sessions: SessionStore = _UNCONFIGURED
    roles: RoleStore = _UNCONFIGURED
    payments: PaymentStore = _UNCONFIGURED
    webhooks: WebhookStore = _UNCONFIGURED

    async def ping(self) -> None:
        """Raises Unavailable: Postgres is not configured."""
        raise Unavailable("DATABASE_URL is not set")

    async def close(self) -> None:
        """Does nothing."""
