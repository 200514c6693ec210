"""What accounts do beside the requests, as long as the app lives."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from api.services import Services


@asynccontextmanager
async def accounts_running(services: Services) -> AsyncIterator[None]:
    """Follow the sessions that end and the provider's keys; at the end see the mails off."""
    revocations = services.engine.revocations
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(revocations.followed())
        services.tokens.revoked = revocations.revoked
        await stack.enter_async_context(services.tokens.kept_fresh())
        stack.callback(services.passwords.close)
        stack.push_async_callback(services.mailer.close)
        yield
