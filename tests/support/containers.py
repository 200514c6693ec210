"""docker-compose.yml without containers: its command lines and environment as processes here.

Only places change: /run/secrets is the folder deploy/secrets.sh filled, a host's name is this
machine, a port is a free one. What a service is told otherwise stands in the file alone.
"""

import asyncio
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import redis as sync_redis
import yaml
from redis.backoff import NoBackoff
from redis.retry import Retry

from bench.rig.stand import free_port
from embedded import valkey

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
_COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = _COMPOSE["services"]


def make_secrets(folder: Path) -> str:
    """Run deploy/secrets.sh on a folder; what it said."""
    command = ("sh", DEPLOY / "secrets.sh", folder)
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Containers:
    """Redis and the parts, as compose would start them."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.folder = folder
        self.secrets = folder / "secrets"
        self.ports = {service: free_port() for service in ("redis", *SERVICES)}
        self._server_url = database_url
        self._has_database = False
        self._processes: list[asyncio.subprocess.Process] = []
        make_secrets(self.secrets)
        self._point("redis_url", "@redis:6379", f"@127.0.0.1:{self.ports['redis']}")
        host = urlsplit(database_url).query
        self._point("database_url", "@postgres:5432/engine", f"@/engine?{host}")

    def secret(self, name: str) -> str:
        """What a file of secrets says."""
        return (self.secrets / name).read_text()

    def client(self, user: str) -> sync_redis.Redis:
        """Redis as one of its users."""
        known = self.secrets / f"redis_{user}_password"
        return self.stranger(user, known.read_text() if known.exists() else "any")

    def stranger(self, user: str | None, password: str | None) -> sync_redis.Redis:
        """Redis as the given user; a refused login is tried once."""
        return sync_redis.Redis(
            port=self.ports["redis"],
            username=user,
            password=password,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
        )

    async def start_redis(self) -> None:
        """Start the server on the configuration and the users of compose."""
        command = SERVICES["redis"]["command"]
        assert command[:2] == ["valkey-server", "/etc/valkey/valkey.conf"]
        data = self.folder / "data"
        data.mkdir()
        await self._spawn(
            *(valkey._find_binary(), str(DEPLOY / "redis" / "valkey.conf")),
            *[word.replace("/data", str(data)) for word in command[2:]],
            *("--aclfile", str(self.secrets / "users.acl")),
            *("--bind", "127.0.0.1", "--port", str(self.ports["redis"])),
        )

    async def make_database(self) -> None:
        """What deploy/postgres/roles.sh has psql do, with psql's two variables put in."""
        script = (DEPLOY / "postgres" / "roles.sh").read_text(encoding="utf-8")
        sql = script.partition("<<'SQL'\n")[2].rpartition("SQL\n")[0]
        for name in ("engine", "monitor"):
            secret = self.secret(f"postgres_{name}_password")
            sql = sql.replace(f":'{name}_password'", f"'{secret}'")
        lines = [line for line in sql.splitlines() if not line.startswith("\\")]
        self._has_database = True
        await self._on_postgres(*"\n".join(lines).split(";"))

    async def start(self, service: str, **over: str) -> asyncio.subprocess.Process:
        """Start one service of ours: its command, its environment."""
        command = [self._here(service, word) for word in SERVICES[service]["command"]]
        env = self.environment(service) | over
        return await self._spawn(sys.executable, "-m", "engine", *command, env=env)

    async def run(self, service: str, *command: str, exit_code: int = 0) -> str:
        """`docker compose exec SERVICE engine …`: what it printed."""
        env = self.environment(service)
        process = await self._spawn(sys.executable, "-m", "engine", *command, env=env)
        said, wrong = await process.communicate()
        assert process.returncode == exit_code, said.decode() + wrong.decode()
        return said.decode()

    async def is_healthy(self, service: str) -> bool:
        """Whether the service's health check, run unchanged, succeeds."""
        kind, program, *words = SERVICES[service]["healthcheck"]["test"]
        assert (kind, program) == ("CMD", "python")
        here = [self._here(service, word) for word in words]
        process = await self._spawn(sys.executable, *here, env={})
        await process.communicate()
        return process.returncode == 0

    def environment(self, service: str) -> dict[str, str]:
        """The variables of a service; compose's default where one is not set."""
        written = SERVICES[service].get("environment", {})
        filled = {k: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", v) for k, v in written.items()}
        found = {k: v.replace("/run/secrets", str(self.secrets)) for k, v in filled.items()}
        return found | {"PYTHONPATH": str(ROOT)}

    async def end(self) -> None:
        """SIGTERM to all, as `docker compose down` sends it; the database is removed."""
        for process in reversed(self._processes):
            if process.returncode is None:
                process.terminate()
                await process.wait()
        if not self._has_database:
            return
        drop = ("DROP DATABASE engine WITH (FORCE)", "DROP ROLE engine", "DROP ROLE monitor")
        await self._on_postgres(*drop)

    def _here(self, service: str, word: str) -> str:
        port = str(self.ports[service])
        return re.sub(r"\b(8000|9100)\b", port, word.replace("0.0.0.0", "127.0.0.1"))

    def _point(self, secret: str, there: str, here: str) -> None:
        path = self.secrets / secret
        text = path.read_text()
        assert there in text
        path.unlink()
        path.write_text(text.replace(there, here))

    async def _spawn(
        self, *command: str, env: dict[str, str] | None = None
    ) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=self.folder,
            env=env,
            stdout=asyncio.subprocess.PIPE if env is not None else None,
            stderr=asyncio.subprocess.PIPE if env is not None else None,
        )
        self._processes.append(process)
        return process

    async def _on_postgres(self, *statements: str) -> None:
        connection = await asyncpg.connect(self._server_url)
        try:
            for statement in statements:
                if statement.strip():
                    await connection.execute(statement)
        finally:
            await connection.close()
