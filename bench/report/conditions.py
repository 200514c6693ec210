"""Under which conditions something was measured: a figure without them says nothing."""

import os
import platform
from importlib.metadata import version

from engine import Engine


async def read_conditions(engine: Engine) -> dict[str, str]:
    """Machine, versions and durability of a measurement, by name."""
    info = await engine.client.info("server")
    config = await engine.client.config_get("append*")
    server = info.get("server_name", "redis")
    server_version = info.get(f"{server}_version", info["redis_version"])
    load_1m, _, _ = os.getloadavg()
    return {
        "cores": str(os.cpu_count()),
        "load average before": f"{load_1m:.2f}",
        "python": platform.python_version(),
        "server": f"uvicorn {version('uvicorn')}, starlette {version('starlette')}",
        "redis": f"{server} {server_version}",
        "appendfsync": config["appendfsync"] if config["appendonly"] == "yes" else "off",
    }
