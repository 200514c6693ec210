"""A Valkey of the test's own, an engine on it, and the count at the end."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest

from engine import Engine, Settings
from persistence.database import Pool, connect
from tests.support.own_valkey import OwnValkey


@pytest.fixture
def own(tmp_path: Path) -> Iterator[OwnValkey]:
    """A Valkey that a trial may kill; it is not started before it is asked to."""
    valkey = OwnValkey(tmp_path / "own")
    yield valkey
    if valkey.pid and valkey.is_running():
        valkey.kill()
    valkey.stop()


@pytest.fixture
def plain() -> Settings:
    """Settings of no server yet; a writer that claims and fills its batches at once."""
    return Settings(
        jwt_secret="s" * 48,
        rate_limits="off",
        payment_webhook_secret="p" * 32,
        payments="demo",
        writer_claim_idle_ms=50,
        writer_batch_wait_ms=1,
        journal_keep_ms=3_600_000,
    )


@pytest.fixture
def own_settings(own: OwnValkey, plain: Settings) -> Settings:
    """Settings of the own Valkey, which is started."""
    own.start()
    return msgspec.structs.replace(plain, redis_url=own.url)


@pytest.fixture
async def own_engine(own_settings: Settings) -> AsyncIterator[Engine]:
    """An engine on the own Valkey."""
    async with await Engine.connect(own_settings) as engine:
        yield engine


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """A pool on the test's own database."""
    async with await connect(database_url) as pool:
        yield pool
