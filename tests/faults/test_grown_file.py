"""A Valkey killed after a long day: its append-only file stays in proportion to its data."""

import asyncio
import time
from pathlib import Path

import redis

from tests.support.own_valkey import OwnValkey
from tests.support.waiting import until

WRITES = 160
VALUE = b"x" * 1_000_000


async def test_a_grown_file_is_rewritten_and_loads_in_three_seconds(tmp_path: Path) -> None:
    """160 MB written over 1 MB of data, with the settings of `engine up`."""
    valkey = OwnValkey(tmp_path / "valkey")
    await asyncio.to_thread(valkey.start)
    try:
        with redis.Redis.from_url(valkey.url) as client:
            for number in range(WRITES):
                client.set("seats", b"%d" % number + VALUE)

            async def rewritten() -> bool:
                info = client.info("persistence")
                return not (info["aof_rewrite_in_progress"] or info["aof_rewrite_scheduled"])

            await until(rewritten)
        files = (valkey.path / "appendonlydir").iterdir()
        assert sum(file.stat().st_size for file in files) < 2 * 48_000_000
        valkey.kill()
        started = time.monotonic()
        await asyncio.to_thread(valkey.start)
        assert time.monotonic() - started < 3
        with redis.Redis.from_url(valkey.url) as client:
            assert client.get("seats") == b"%d" % (WRITES - 1) + VALUE
    finally:
        valkey.stop()
