"""The proxy that breaks connections: it must not hang where it should break."""

import asyncio
from pathlib import Path

import pytest

from tests.support.proxy import Proxy
from tests.support.waiting import until


@pytest.mark.parametrize("ticks", range(1, 12))
async def test_cut_ends_a_connection_that_is_just_being_made(tmp_path: Path, ticks: int) -> None:
    answering: set[asyncio.StreamWriter] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answering.add(writer)
        await reader.read()
        writer.close()
        await writer.wait_closed()
        answering.discard(writer)

    async def all_ended() -> bool:
        return not answering

    behind = await asyncio.start_unix_server(answer, tmp_path / "behind.sock")
    async with Proxy(f"unix://{tmp_path}/behind.sock", tmp_path) as proxy:
        reader, writer = await asyncio.open_unix_connection(tmp_path / "proxy.sock")
        for _ in range(ticks):
            await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await proxy.cut()
            assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
    await until(all_ended)
    behind.close()
    await behind.wait_closed()
