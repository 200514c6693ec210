"""Accounts, sessions and roles in Postgres: what is stored, and which calls are serialised."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from engine import Unavailable
from engine.ports.accounts import Account, Credentials, NewLink, Reused, Session
from persistence.stores.stores import PostgresStores

ANN = "ann@example.org"
HASHED = "$argon2id$ann"
DAY_S = 86_400


@pytest.fixture
async def stores(database_url: str) -> AsyncIterator[PostgresStores]:
    stores = PostgresStores(database_url)
    yield stores
    await stores.close()


@pytest.fixture
async def ann(stores: PostgresStores) -> Credentials:
    """A verified account."""
    account_id = await stores.accounts.add_account(ANN, HASHED, "USER")
    assert account_id
    return Credentials(account_id, HASHED)


async def _open(stores: PostgresStores, who: Credentials, token: bytes) -> Session:
    session = await stores.sessions.open_session(who, token, DAY_S)
    assert session
    return session


async def test_unverified_account_has_no_password_at_all(stores: PostgresStores) -> None:
    addressee = await stores.accounts.register(ANN, NewLink(b"1", DAY_S, HASHED))
    assert addressee
    assert (addressee.email, addressee.verified) == (ANN, False)
    assert await stores.accounts.find_credentials(ANN) is None
    async with stores.connection() as connection:
        row = await connection.fetchrow("SELECT * FROM accounts")
        assert row
        assert (row["password_hash"], row["verified_at"]) == (None, None)
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute("UPDATE accounts SET verified_at = now()")
    assert await stores.accounts.verify(b"1")
    found = await stores.accounts.find_credentials(ANN)
    assert found
    assert found.password_hash == HASHED


async def test_register_at_once_makes_one_account_and_as_many_links(
    stores: PostgresStores,
) -> None:
    links = [NewLink(bytes([n]), DAY_S, HASHED) for n in range(5)]
    found = await asyncio.gather(*(stores.accounts.register(ANN, link) for link in links))
    assert all(found)
    assert await stores.accounts.register(ANN, NewLink(b"more", DAY_S, HASHED)) is None
    async with stores.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM accounts") == 1
        assert await connection.fetchval("SELECT count(*) FROM account_links") == 5
        await connection.execute("UPDATE accounts SET mails_since = now() - interval '2 hours'")
    assert await stores.accounts.register(ANN, NewLink(b"more", DAY_S, HASHED))


async def test_accounts_nobody_verified_are_forgotten(stores: PostgresStores) -> None:
    await stores.accounts.register("old@example.org", NewLink(b"1", 0, HASHED))
    async with stores.connection() as connection:
        await connection.execute("UPDATE accounts SET created_at = now() - interval '8 days'")
    await stores.accounts.register(ANN, NewLink(b"2", DAY_S, HASHED))
    assert [account.email for account in await stores.accounts.list_accounts()] == [ANN]


async def test_rotate_at_once_has_one_winner_and_ends_the_session(
    stores: PostgresStores, ann: Credentials
) -> None:
    session = await _open(stores, ann, b"first")
    calls = [stores.sessions.rotate(b"first", bytes([n]), DAY_S) for n in range(4)]
    found = await asyncio.gather(*calls)
    assert len([one for one in found if isinstance(one, Session)]) == 1
    assert Reused(session.session_id, ann.account_id) in found
    for n in range(4):
        assert await stores.sessions.rotate(bytes([n]), b"next", DAY_S) is None


async def test_rotate_against_logout_never_leaves_a_session_alive(
    stores: PostgresStores, ann: Credentials
) -> None:
    for round_number in range(10):
        first, second = f"first {round_number}".encode(), f"second {round_number}".encode()
        session = await _open(stores, ann, first)
        await asyncio.gather(
            stores.sessions.rotate(first, second, DAY_S),
            stores.sessions.end_session(session.session_id),
        )
        assert await stores.sessions.rotate(second, b"third", DAY_S) is None
        assert await stores.sessions.rotate(first, b"third", DAY_S) is None


async def test_used_tokens_are_forgotten_when_they_could_not_count_any_more(
    stores: PostgresStores, ann: Credentials
) -> None:
    await _open(stores, ann, b"0")
    for n in range(3):
        assert isinstance(
            await stores.sessions.rotate(str(n).encode(), str(n + 1).encode(), DAY_S), Session
        )
    async with stores.connection() as connection:
        await connection.execute("UPDATE refresh_tokens SET used_at = used_at - interval '2 days'")
    await stores.sessions.rotate(b"3", b"4", DAY_S)
    async with stores.connection() as connection:
        rows = await connection.fetch("SELECT token_hash FROM refresh_tokens")
    assert {row["token_hash"] for row in rows} == {b"3", b"4"}


async def test_session_has_the_permissions_of_the_role_as_they_are_now(
    stores: PostgresStores, ann: Credentials
) -> None:
    assert "payment:confirm" in (await _open(stores, ann, b"1")).permissions
    await stores.roles.remove_permission("USER", "payment:confirm")
    found = await stores.sessions.rotate(b"1", b"2", DAY_S)
    assert isinstance(found, Session)
    assert "payment:confirm" not in found.permissions
    await stores.roles.add_permission("USER", "payment:confirm")
    found = await stores.sessions.rotate(b"2", b"3", DAY_S)
    assert isinstance(found, Session)
    assert "payment:confirm" in found.permissions


async def test_assign_role_against_a_login_leaves_no_session_with_the_old_role(
    stores: PostgresStores, ann: Credentials
) -> None:
    for n in range(10):
        role = ("ORGANIZER", "USER")[n % 2]
        token = f"token {n}".encode()
        session, ended = await asyncio.gather(
            stores.sessions.open_session(ann, token, DAY_S), stores.roles.assign_role(ANN, role)
        )
        assert session
        assert ended
        has_new_role = ("event:create:own" in session.permissions) == (role == "ORGANIZER")
        assert has_new_role or session.session_id in ended.session_ids


async def test_account_is_added_once_and_listed(stores: PostgresStores, ann: Credentials) -> None:
    assert await stores.accounts.add_account(ANN, HASHED, "ADMIN") is None
    [account] = await stores.accounts.list_accounts()
    assert isinstance(account, Account)
    assert (account.email, account.role) == (ANN, "USER")
    assert account.verified_at_ms is not None
    assert await stores.accounts.list_accounts(after=ANN) == []


async def test_hash_is_replaced_only_while_it_is_the_one_that_was_checked(
    stores: PostgresStores, ann: Credentials
) -> None:
    await stores.accounts.replace_hash(Credentials(ann.account_id, "$argon2id$other"), "new")
    assert await stores.accounts.find_credentials(ANN) == ann
    await stores.accounts.replace_hash(ann, "new")
    assert await stores.accounts.find_credentials(ANN) == Credentials(ann.account_id, "new")


async def test_accounts_while_postgres_is_away_are_unavailable(
    stores: PostgresStores, database_url: str
) -> None:
    assert await stores.accounts.find_credentials(ANN) is None
    away = PostgresStores("postgresql://ada:secret@127.0.0.1:1/none")
    for call in (
        away.accounts.find_credentials(ANN),
        away.sessions.end_session("s"),
        away.roles.list_roles(),
        PostgresStores("").accounts.verify(b"1"),
    ):
        with pytest.raises(Unavailable) as caught:
            await call
        assert "secret" not in str(caught.value)
