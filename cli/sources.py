"""Where a command finds Redis, Postgres, the API and the token secret.

REDIS_URL, DATABASE_URL and JWT_SECRET take precedence over the servers of `engine up --data DIR`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click
import msgspec

from embedded import servers
from engine import ids
from engine.errors import Misconfigured
from engine.ids import EventId, InvalidId
from engine.settings import settings as all_settings
from engine.settings.settings import Settings

DATA = Path(".ticketing")
DEFAULT_API_URL = "http://127.0.0.1:8000"

F = TypeVar("F", bound=Callable[..., Any])


def data_option(command: F) -> F:
    """`--data DIR`: the folder of `engine up`."""
    return click.option(
        "--data",
        type=click.Path(path_type=Path, file_okay=False),
        default=DATA,
        show_default=True,
        help="The folder of `engine up`, with its servers, its API and its token secret.",
    )(command)


def json_option(command: F) -> F:
    """`--json`: output for programs."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")(command)


def event_id_of(text: str) -> EventId:
    """The event id of an argument. Raises Misconfigured."""
    try:
        return ids.event_id(text)
    except InvalidId as error:
        raise Misconfigured(str(error)) from error


def settings_for(data: Path | None, redis_url: str | None = None) -> Settings:
    """The settings, completed by the servers of `data`. Raises Misconfigured without a Redis."""
    found = find_settings(data, redis_url)
    if not found.redis_url:
        raise Misconfigured(
            f"no Redis: nothing runs in {data}; start `engine up --data {data}` or set REDIS_URL"
        )
    return found


def find_settings(data: Path | None, redis_url: str | None = None) -> Settings:
    """The settings, completed by the servers of `data`; a setting of neither stays empty."""
    found = all_settings.load()
    running = servers.find(data) if data else None
    return msgspec.structs.replace(
        found,
        redis_url=redis_url or found.redis_url or (running.redis_url if running else ""),
        database_url=found.database_url or (running.database_url if running else ""),
        jwt_secret=found.jwt_secret or _secret_in(data),
    )


def refuse_without_database(settings: Settings, data: Path) -> None:
    """Raise Misconfigured if no Postgres is known."""
    if not settings.database_url:
        raise Misconfigured(
            f"no Postgres: nothing runs in {data}; start `engine up --data {data}` or set "
            "DATABASE_URL"
        )


def api_url(data: Path) -> str:
    """The URL of the API that `engine up` runs in `data`, or else the default one."""
    running = servers.find(data)
    return (running and running.api_url) or DEFAULT_API_URL


def refuse_wrong_url(url: str) -> None:
    """Raise Misconfigured if an API cannot have this URL."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Misconfigured(f"--url: {url} is not a URL such as {DEFAULT_API_URL}")


def _secret_in(data: Path | None) -> str:
    if data is None or not (data / "jwt_secret").exists():
        return ""
    return servers.jwt_secret(data)
