"""`engine war` in a process of its own, and what it printed."""

import asyncio
import os
import sys
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from bench.rig.stand import Stand
from bench.war.verdict import WarVerdict


class EndedWar(NamedTuple):
    """A war that has ended: its exit code and its output."""

    code: int
    stdout: str
    stderr: str

    @property
    def outcome(self) -> WarVerdict:
        """The verdict of a war with --json."""
        return msgspec.json.decode(self.stdout, type=WarVerdict)


async def run_war(stand: Stand, *options: str, variables: Mapping[str, str]) -> EndedWar:
    """Run a war at this stand until it ends. A cancellation ends its process too."""
    place = ("--url", stand.url, "--data", str(stand.data))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "engine", "war", *place, *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **variables},
    )
    try:
        out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return EndedWar(process.returncode or 0, out.decode(), err.decode())
