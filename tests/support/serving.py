"""A real `engine serve` on a port of its own, for trials that need sockets or a foreign client."""

import asyncio
import os
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from engine import Settings
from tests.support.waiting import until

_ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def serving(settings: Settings, data: Path, **over: str) -> AsyncIterator[int]:
    """Serve the API with these settings until the block ends. Yields its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    process = await launched(settings, data, port, **over)
    try:
        yield port
    finally:
        process.terminate()
        await process.wait()


async def launched(settings: Settings, data: Path, port: int, **over: str) -> Process:
    """Start it on a port and wait until it listens; the caller ends it."""
    environ = environ_of(settings) | over
    command = ["-m", "engine", "serve", "--port", str(port), "--data", str(data)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd=_ROOT, env={**os.environ, **environ}
    )
    try:
        await until(lambda: listens(port))
    except BaseException:
        with suppress(ProcessLookupError):  # it may have ended by itself
            process.kill()
        await process.wait()
        raise
    return process


def environ_of(settings: Settings) -> dict[str, str]:
    """The environment of a part with these settings."""
    return {
        "REDIS_URL": settings.redis_url,
        "DATABASE_URL": settings.database_url,
        "JWT_SECRET": settings.jwt_secret,
        "PAYMENT_WEBHOOK_SECRET": settings.payment_webhook_secret,
        "STRIPE_WEBHOOK_SECRET": settings.stripe_webhook_secret,
        "PAYMENTS": settings.payments,
        "REDIS_TIMEOUT_MS": str(settings.redis_timeout_ms),
        "RATE_LIMITS": "off",
    }


async def listens(port: int) -> bool:
    """Whether a server accepts connections there."""
    with suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        return True
    return False
