"""What accounts need of Postgres; `persistence` fulfils it. Every method raises Unavailable."""

from typing import Protocol

from engine.ports.accounts import Addressee, Credentials, Ended, NewLink, Reused, RoleOf, Session


class AccountStore(Protocol):
    """Who registered, who is verified, and the links that were mailed."""

    async def register(self, email: str, link: NewLink) -> Addressee | None:
        """Note that somebody wants an account; None: no mail is to be sent."""

    async def verify(self, token_hash: bytes) -> bool:
        """Follow the link of a registration; again does no harm."""

    async def begin_reset(self, email: str, link: NewLink) -> Addressee | None:
        """Make a link to choose another password; None: no mail is to be sent."""

    async def reset_password(self, token_hash: bytes, password_hash: str) -> Ended | None:
        """Follow the link of a reset, once, and end every session."""

    async def find_credentials(self, email: str) -> Credentials | None:
        """What a login is checked with; None for an address that is unknown or not verified."""

    async def replace_hash(self, known: Credentials, password_hash: str) -> None:
        """Keep the same password, hashed anew."""


class SessionStore(Protocol):
    """Families of refresh tokens, each token used once."""

    async def open_session(
        self, known: Credentials, token_hash: bytes, ttl_s: int
    ) -> Session | None:
        """Begin a session; None if the password was changed meanwhile."""

    async def rotate(
        self, token_hash: bytes, next_hash: bytes, ttl_s: int
    ) -> Session | Reused | None:
        """Use a refresh token and put the next in its place; Reused ended its session."""

    async def end_session(self, session_id: str) -> None:
        """End a session; repeatable."""

    async def end_session_of(self, token_hash: bytes) -> str | None:
        """End the session of a refresh token and say which it is; repeatable."""


class RoleStore(Protocol):
    """What roles permit, and who has which."""

    async def list_roles(self) -> list[RoleOf]:
        """Every role with its permissions."""

    async def read_role(self, role: str) -> RoleOf | None:
        """One role; None if there is no such role."""

    async def add_permission(self, role: str, permission: str) -> None:
        """Let a role that exists permit something; repeatable."""

    async def remove_permission(self, role: str, permission: str) -> None:
        """Let a role no longer permit something; repeatable."""

    async def assign_role(self, email: str, role: str) -> Ended | None:
        """Give an account another role; None if there is no such account."""
