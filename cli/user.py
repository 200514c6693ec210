"""`engine user`: accounts from the terminal, the first administrator's among them."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click

from cli import output
from cli.sources import data_option, find_settings, json_option, refuse_without_database
from engine.engine import Engine
from engine.errors import EngineError, Misconfigured
from engine.ports.accounts import Account, Ended, LastAdmin
from engine.settings.settings import Settings

PAGE = 1000
_ROLE = click.Choice(["USER", "ORGANIZER", "ADMIN"], case_sensitive=False)

T = TypeVar("T")


@click.group()
def user() -> None:
    """Add accounts, give them roles, list them.

    \b
    engine user add ann@example.org --role ADMIN
    echo "$PASSWORD" | engine user add bob@example.org --role ORGANIZER --password-stdin
    engine user grant ann@example.org ORGANIZER
    """


@user.command()
@click.argument("email")
@click.option("--role", type=_ROLE, default="USER", show_default=True, help="What it may do.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@data_option
def add(email: str, role: str, password_stdin: bool, data: Path) -> None:
    """Add an account for EMAIL; it needs no verification.

    \b
    engine user add ann@example.org --role ADMIN
    """
    from api.accounts.passwords import checked
    from api.accounts.payloads import address

    settings = _settings(data)
    known = _valid("email", lambda: address(email))
    password = sys.stdin.readline().rstrip("\r\n") if password_stdin else _asked()
    text = _valid("password", lambda: checked(password, known))
    account_id = asyncio.run(_add(settings, known, text, role.upper()))
    if account_id is None:
        raise Misconfigured(f"{known} has an account already: engine user grant {known} {role}")
    click.echo(f"{known} is {role.upper()}: {account_id}")


@user.command()
@click.argument("email")
@click.argument("role", type=_ROLE)
@data_option
def grant(email: str, role: str, data: Path) -> None:
    """Give the account of EMAIL the ROLE in place of its own; its sessions end.

    \b
    engine user grant ann@example.org ORGANIZER
    """
    from api.accounts.payloads import address

    settings = _settings(data)
    known = _valid("email", lambda: address(email))
    ended = asyncio.run(_grant(settings, known, role.upper()))
    if isinstance(ended, LastAdmin):
        raise Misconfigured(f"{known} is the last administrator: give another account ADMIN first")
    if ended is None:
        raise Misconfigured(f"{known} has no account: engine user add {known} --role {role}")
    click.echo(f"{known} is {role.upper()}: log in again")


@user.command(name="list")
@data_option
@json_option
def list_users(data: Path, as_json: bool) -> None:
    """List every account.

    \b
    engine user list --json
    """
    accounts = asyncio.run(_list(_settings(data)))
    if as_json:
        output.show_json(accounts)
        return
    rows = [
        (one.email, one.role, "yes" if one.verified_at_ms else "no", one.account_id)
        for one in accounts
    ]
    output.show_table("accounts", ("address", "role", "verified", "account"), rows)


async def _add(settings: Settings, email: str, password: str, role: str) -> str | None:
    from api.accounts.passwords import Passwords

    passwords = Passwords(1, 1)
    try:
        hashed = await passwords.hash(password)
    finally:
        passwords.close()
    return await _with_stores(
        settings, lambda stores: stores.accounts.add_account(email, hashed, role)
    )


async def _grant(settings: Settings, email: str, role: str) -> Ended | LastAdmin | None:
    ended: Ended | LastAdmin | None = await _with_stores(
        settings, lambda stores: stores.roles.assign_role(email, role)
    )
    if isinstance(ended, Ended) and ended.session_ids:
        await _revoke(settings, ended)
    return ended


async def _revoke(settings: Settings, ended: Ended) -> None:
    """Tell the API processes. Without Redis the tokens there are end by themselves."""
    told = False
    try:
        async with await Engine.connect(settings) as engine:
            told = await engine.revocations.revoke(ended.session_ids, settings.access_ttl_s)
    except EngineError as error:
        click.echo(str(error), err=True)
    if not told:
        click.echo(f"tokens with the old role count for {settings.access_ttl_s} s more", err=True)


async def _list(settings: Settings) -> list[Account]:
    async def read(stores: Any) -> list[Account]:
        found: list[Account] = []
        while page := await stores.accounts.list_accounts(found[-1].email if found else "", PAGE):
            found += page
        return found

    return await _with_stores(settings, read)


async def _with_stores(settings: Settings, work: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
    from persistence.stores.stores import PostgresStores

    stores = PostgresStores(settings.database_url)
    try:
        return await work(stores)
    finally:
        await stores.close()


def _settings(data: Path) -> Settings:
    settings = find_settings(data)
    refuse_without_database(settings, data)
    return settings


def _asked() -> str:
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return password


def _valid(name: str, check: Callable[[], str]) -> str:
    """What the API would take; its "no" in one line."""
    from api.http.problems import Problem

    try:
        return check()
    except Problem as error:
        raise Misconfigured(f"{name}: {error.detail}") from error
