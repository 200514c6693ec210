"""`engine user` against real servers: what it prints, and whether the accounts work."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from secrets import token_bytes

import click.testing
import msgspec
import pytest
import redis as sync_redis
from argon2 import PasswordHasher

from api.http.permissions import ROLES
from cli.commands import main
from engine import Settings
from persistence.stores.stores import PostgresStores

PASSWORD = "correct horse battery staple"
Command = Callable[..., str]


@pytest.fixture
def user(settings: Settings, database_url: str, tmp_path: Path) -> Command:
    """Runs `engine user …` as a person would."""
    env = {"REDIS_URL": settings.redis_url, "DATABASE_URL": database_url, "JWT_SECRET": "s" * 48}

    def run(*arguments: str, exit_code: int = 0, typed: str = "", **over: str) -> str:
        command = ["user", *arguments, "--data", str(tmp_path / "none")]
        runner = click.testing.CliRunner()
        result = runner.invoke(main, command, env=env | over, input=typed)
        assert result.exit_code == exit_code, result.output
        return result.output

    return run


def _add(user: Command, email: str = "ann@example.org", *options: str) -> str:
    return user("add", email, "--password-stdin", *options, typed=f"{PASSWORD}\n")


def test_add_makes_an_account_and_list_shows_it(user: Command) -> None:
    assert user("list", "--json") == "[]\n"
    said = _add(user, "Ann@Example.org", "--role", "admin")
    assert "ann@example.org is ADMIN: acc_" in said
    _add(user, "bob@example.org")
    [ann, bob] = msgspec.json.decode(user("list", "--json"))
    assert (ann["email"], ann["role"], bob["role"]) == ("ann@example.org", "ADMIN", "USER")
    assert ann["verified_at_ms"]
    assert "bob@example.org" in user("list")


async def _credentials_of(database_url: str, email: str) -> tuple[str, frozenset[str]]:
    stores = PostgresStores(database_url)
    known = await stores.accounts.find_credentials(email)
    assert known
    session = await stores.sessions.open_session(known, token_bytes(32), 60)
    assert session
    await stores.close()
    return known.password_hash, frozenset(session.permissions)


async def test_add_asks_for_the_password_and_the_account_can_log_in(
    user: Command, database_url: str
) -> None:
    typed = f"{PASSWORD}\n{PASSWORD}\n"
    said = await asyncio.to_thread(
        user, "add", "ann@example.org", "--role", "ORGANIZER", typed=typed
    )
    assert PASSWORD not in said
    stored, permissions = await _credentials_of(database_url, "ann@example.org")
    assert PasswordHasher().verify(stored, PASSWORD)
    assert permissions == ROLES["organizer"]


def test_add_of_what_the_api_would_refuse_is_refused(user: Command) -> None:
    assert "email: " in user("add", "ann", "--password-stdin", typed="x\n", exit_code=2)
    short = user("add", "ann@example.org", "--password-stdin", typed="short\n", exit_code=2)
    assert "password: must have 8 to 128" in short
    assert "short" not in short
    _add(user)
    again = user("add", "ANN@example.org", "--password-stdin", typed=PASSWORD, exit_code=2)
    assert "has an account already" in again
    assert "Invalid value" in user("add", "bob@example.org", "--role", "EMPEROR", exit_code=2)


async def test_grant_gives_the_role_and_ends_the_sessions(
    user: Command, settings: Settings, database_url: str
) -> None:
    await asyncio.to_thread(_add, user)
    await _credentials_of(database_url, "ann@example.org")  # logs in

    said = await asyncio.to_thread(user, "grant", "ann@example.org", "admin")

    assert said == "ann@example.org is ADMIN: log in again\n"
    with sync_redis.Redis.from_url(settings.redis_url) as raw:
        assert raw.xlen("revoked") == 1
    assert "event:update:any" in (await _credentials_of(database_url, "ann@example.org"))[1]


def test_grant_leaves_the_last_administrator(user: Command) -> None:
    _add(user, "ann@example.org", "--role", "admin")
    assert "last administrator" in user("grant", "ann@example.org", "USER", exit_code=2)
    _add(user, "bob@example.org", "--role", "admin")
    assert "ann@example.org is USER" in user("grant", "ann@example.org", "USER")


def test_grant_to_an_unknown_account_is_refused_and_without_redis_says_what_remains(
    user: Command,
) -> None:
    assert "has no account" in user("grant", "ann@example.org", "ADMIN", exit_code=2)
    _add(user)
    said = user("grant", "ann@example.org", "ADMIN", REDIS_URL="redis://127.0.0.1:1")
    assert "is ADMIN" in said


@pytest.mark.parametrize("command", ["add ann@example.org", "grant ann@example.org USER", "list"])
def test_user_commands_with_no_postgres_say_so(user: Command, command: str) -> None:
    assert "no Postgres" in user(*command.split(), exit_code=2, DATABASE_URL="")
    away = "postgresql://u:secret@127.0.0.1:1/none"
    said = user(*command.split(), exit_code=2, typed=f"{PASSWORD}\n" * 2, DATABASE_URL=away)
    assert "cannot be reached" in said
    assert "secret" not in said
