"""Connections to Postgres for the baselines: more than the engine's own writer needs.

A commit waits for the disk, and those who wait together share one sync: with too few connections a
baseline would be measured by its pool. With the writer's four, each of them here is slower.
"""

import asyncpg

from persistence.database import Pool

CONNECTIONS = 16


async def open_pool(database_url: str, connections: int) -> Pool:
    """All of them open, so that none is opened while it is measured."""
    return await asyncpg.create_pool(database_url, min_size=connections, max_size=connections)
