"""A way to Postgres that breaks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.support.proxy import Proxy


@asynccontextmanager
async def through_a_proxy(database_url: str, folder: Path) -> AsyncIterator[tuple[Proxy, str]]:
    """A way to Postgres that breaks, and its URL."""
    folder.mkdir()  # noqa: ASYNC240  # a test can wait for a disk
    host = parse_qs(urlsplit(database_url).query)["host"][0]
    async with Proxy(f"unix://{host}/.s.PGSQL.5432", folder) as proxy:
        (folder / ".s.PGSQL.5432").symlink_to(urlsplit(proxy.url).path)
        yield proxy, urlsplit(database_url)._replace(query=f"host={folder}").geturl()
