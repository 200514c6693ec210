"""What the API needs of Postgres, as protocols: `engine.cli` hands in what fulfils them.

Never on the path of a hold or a confirm. The API starts and sells while Postgres is away; a call
that needs it then raises `engine.Unavailable`.
"""

from typing import Protocol


class Stores(Protocol):
    """Everything behind the API that lives in Postgres."""

    async def close(self) -> None:
        """Give the connections back."""


class NoStores:
    """For an API with no Postgres at all."""

    async def close(self) -> None:
        """There is nothing to close."""
