"""Where a command finds Redis, Postgres and the token secret.

REDIS_URL, DATABASE_URL and JWT_SECRET win; without them, what `engine up --data DIR` runs.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from embedded import servers
from engine import ids
from engine.errors import Misconfigured
from engine.ids import EventId, InvalidId
from engine.settings import settings as all_settings
from engine.settings.settings import Settings

DATA = Path(".ticketing")

F = TypeVar("F", bound=Callable[..., Any])


def data_option(command: F) -> F:
    """`--data DIR`: the folder of `engine up`."""
    return click.option(
        "--data",
        type=click.Path(path_type=Path, file_okay=False),
        default=DATA,
        show_default=True,
        help="The folder `engine up` runs in; finds its servers and its token secret.",
    )(command)


def json_option(command: F) -> F:
    """`--json`: for programs."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")(command)


def event_id_of(text: str) -> EventId:
    """The event a command was told. Raises Misconfigured."""
    try:
        return ids.event_id(text)
    except InvalidId as error:
        raise Misconfigured(str(error)) from error


def settings_for(data: Path | None, redis_url: str | None = None) -> Settings:
    """The settings, completed by what runs in `data`. Raises Misconfigured with no Redis."""
    found = find_settings(data, redis_url)
    if not found.redis_url:
        raise Misconfigured(
            f"no Redis: nothing runs in {data}; start `engine up --data {data}` or set REDIS_URL"
        )
    return found


def find_settings(data: Path | None, redis_url: str | None = None) -> Settings:
    """The settings, completed by what `data` has; what neither says stays empty."""
    found = all_settings.load()
    running = servers.find(data) if data else None
    return msgspec.structs.replace(
        found,
        redis_url=redis_url or found.redis_url or (running.redis_url if running else ""),
        database_url=found.database_url or (running.database_url if running else ""),
        jwt_secret=found.jwt_secret or _secret_in(data),
    )


def refuse_without_database(settings: Settings, data: Path) -> None:
    """Raise Misconfigured, saying what is missing."""
    if not settings.database_url:
        raise Misconfigured(f"no Postgres: nothing runs in {data}; set DATABASE_URL")


def _secret_in(data: Path | None) -> str:
    if data is None or not (data / "jwt_secret").exists():
        return ""
    return servers.jwt_secret(data)
