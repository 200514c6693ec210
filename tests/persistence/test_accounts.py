"""Accounts, sessions and roles in Postgres: what is stored, and which calls are serialised."""

import asyncio
from collections.abc import AsyncIterator
from secrets import token_bytes

import asyncpg
import pytest

from engine import Unavailable
from engine.ports.accounts import (
    AboveOwn,
    Account,
    Credentials,
    Ended,
    Granter,
    LastAdmin,
    LinkPurpose,
    NewLink,
    Reused,
    Session,
)
from persistence.database import Connection
from persistence.stores.accounts import MAILS_MAX, QUERIES, SENDER_MAILS_MAX, end_sessions
from persistence.stores.stores import PostgresStores

ANN = "ann@example.org"
HASHED = "$argon2id$ann"
DAY_S = 86_400
HOUR_S = 3_600


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
    addressee = await stores.accounts.register(ANN, NewLink(b"1", DAY_S, "a"))
    assert addressee
    assert (addressee.email, addressee.verified) == (ANN, False)
    assert await stores.accounts.find_credentials(ANN) is None
    async with stores.connection() as connection:
        row = await connection.fetchrow("SELECT * FROM accounts")
        assert row
        assert (row["password_hash"], row["verified_at"]) == (None, None)
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute("UPDATE accounts SET verified_at = now()")
    assert await stores.accounts.set_password(b"1", LinkPurpose.VERIFY, HASHED)
    found = await stores.accounts.find_credentials(ANN)
    assert found
    assert found.password_hash == HASHED


async def test_register_at_once_makes_one_account_and_as_many_links(
    stores: PostgresStores,
) -> None:
    links = [NewLink(bytes([n]), DAY_S, "a") for n in range(8)]
    found = await asyncio.gather(*(stores.accounts.register(ANN, link) for link in links))
    assert len(list(filter(None, found))) == SENDER_MAILS_MAX
    assert await stores.accounts.register(ANN, NewLink(b"more", DAY_S, "a")) is None
    async with stores.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM accounts") == 1
        assert await connection.fetchval("SELECT count(*) FROM account_links") == 5
        await connection.execute("UPDATE account_mails SET sent_at = now() - interval '2 hours'")
    assert await stores.accounts.register(ANN, NewLink(b"more", DAY_S, "a"))
    async with stores.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM account_mails") == 1


async def test_mails_of_one_sender_leave_room_for_another_and_all_together_are_bounded(
    stores: PostgresStores, ann: Credentials
) -> None:
    async def ask(sender: str) -> bool:
        link = NewLink(token_bytes(32), HOUR_S, sender)
        return bool(await stores.accounts.begin_reset(ANN, link))

    assert [await ask("stranger") for _ in range(7)].count(True) == SENDER_MAILS_MAX
    assert await ask("ann")
    asked = [await ask(f"botnet {n}") for n in range(40)]
    assert asked.count(True) == MAILS_MAX - SENDER_MAILS_MAX - 1
    assert not await ask("ann again")

    async with stores.connection() as connection:  # each mail of this hour has a link that works
        valid = await connection.fetch("SELECT token_hash FROM account_links")
    assert len(valid) == MAILS_MAX
    assert await stores.accounts.set_password(valid[0]["token_hash"], LinkPurpose.RESET, "new")
    assert await ask("ann again")
    async with stores.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM account_links") == 1


async def test_reset_against_verify_has_one_winner_and_no_deadlock(stores: PostgresStores) -> None:
    for n in range(20):
        email, verify, reset = f"{n}@example.org", token_bytes(32), token_bytes(32)
        await stores.accounts.register(email, NewLink(verify, DAY_S, "a"))
        await stores.accounts.begin_reset(email, NewLink(reset, DAY_S, "a"))
        done = await asyncio.gather(
            stores.accounts.set_password(verify, LinkPurpose.VERIFY, "by verify"),
            stores.accounts.set_password(reset, LinkPurpose.RESET, "by reset"),
        )
        found = await stores.accounts.find_credentials(email)
        assert [bool(one) for one in done].count(True) == 1
        assert found
        assert found.password_hash == ("by verify" if done[0] else "by reset")


async def test_accounts_left_unverified_are_deleted(stores: PostgresStores) -> None:
    await stores.accounts.register("old@example.org", NewLink(b"1", 0, "a"))
    async with stores.connection() as connection:
        await connection.execute("UPDATE accounts SET created_at = now() - interval '8 days'")
    await stores.accounts.register(ANN, NewLink(b"2", DAY_S, "a"))
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
        assert isinstance(ended, Ended)
        has_new_role = ("event:create:own" in session.permissions) == (role == "ORGANIZER")
        assert has_new_role or session.session_id in ended.session_ids


async def _two_admins(stores: PostgresStores) -> list[str]:
    emails = [f"{name}@example.org" for name in ("root", "toor")]
    for email in emails:
        if not await stores.accounts.add_account(email, HASHED, "ADMIN"):
            await stores.roles.assign_role(email, "ADMIN")
    return emails


async def _admins(stores: PostgresStores) -> int:
    return [one.role for one in await stores.accounts.list_accounts()].count("ADMIN")


async def test_admins_who_demote_each_other_at_once_leave_one(stores: PostgresStores) -> None:
    for _ in range(10):
        emails = await _two_admins(stores)
        found = await asyncio.gather(*(stores.roles.assign_role(one, "USER") for one in emails))
        assert LastAdmin() in found
        assert await _admins(stores) == 1


async def test_control_without_the_lock_of_roles_loses_the_last_admin(
    stores: PostgresStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    emails = await _two_admins(stores)
    both_counted = asyncio.Barrier(2)
    monkeypatch.setitem(QUERIES, "lock_roles", "SELECT")

    async def wait_for_the_other(connection: Connection, account_id: str) -> tuple[str, ...]:
        await both_counted.wait()
        return await end_sessions(connection, account_id)

    monkeypatch.setattr("persistence.stores.roles.end_sessions", wait_for_the_other)
    await asyncio.gather(*(stores.roles.assign_role(email, "USER") for email in emails))
    assert await _admins(stores) == 0


async def test_role_is_changed_only_within_what_the_granter_may_now(
    stores: PostgresStores, ann: Credentials
) -> None:
    await _two_admins(stores)
    everything = frozenset((await stores.roles.list_roles())[0].permissions)
    stale = Granter(ann.account_id, everything)  # ann's token is from when she was an admin
    for change in (
        stores.roles.assign_role("root@example.org", "USER", stale),
        stores.roles.assign_role(ANN, "ADMIN", stale),
        stores.roles.add_permission("USER", "role:assign", stale),
        stores.roles.remove_permission("ADMIN", "event:update:any", stale),
    ):
        assert isinstance(await change, AboveOwn)
    assert await _admins(stores) == 2
    assert isinstance(await stores.roles.assign_role(ANN, "USER", stale), Ended)


async def test_admin_who_is_not_verified_does_not_count(stores: PostgresStores) -> None:
    [root, _] = await _two_admins(stores)
    await stores.accounts.register(ANN, NewLink(b"1", DAY_S, "a"))
    assert isinstance(await stores.roles.assign_role(ANN, "ADMIN"), Ended)
    assert isinstance(await stores.roles.assign_role("toor@example.org", "USER"), Ended)
    assert await stores.roles.assign_role(root, "USER") == LastAdmin()
    assert isinstance(await stores.roles.assign_role(ANN, "USER"), Ended)


async def test_account_is_added_once_and_listed(stores: PostgresStores, ann: Credentials) -> None:
    assert await stores.accounts.add_account(ANN, HASHED, "ADMIN") is None
    [account] = await stores.accounts.list_accounts()
    assert isinstance(account, Account)
    assert (account.email, account.role) == (ANN, "USER")
    assert account.verified_at_ms is not None
    assert await stores.accounts.list_accounts(after=ANN) == []


async def test_account_that_is_added_takes_the_place_of_a_strangers_registration(
    stores: PostgresStores,
) -> None:
    await stores.accounts.register(ANN, NewLink(b"1", DAY_S, "stranger"))
    account_id = await stores.accounts.add_account(ANN, HASHED, "ADMIN")
    assert account_id
    assert await stores.accounts.find_credentials(ANN) == Credentials(account_id, HASHED)
    assert await stores.accounts.set_password(b"1", LinkPurpose.VERIFY, "another") is None
    [account] = await stores.accounts.list_accounts()
    assert (account.account_id, account.role) == (account_id, "ADMIN")


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
        PostgresStores("").accounts.find_link(b"1", LinkPurpose.VERIFY),
    ):
        with pytest.raises(Unavailable) as caught:
            await call
        assert "secret" not in str(caught.value)
