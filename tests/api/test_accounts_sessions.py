"""Log in, refresh, log out: which token counts when, and for how long."""

import asyncio
import time
from contextlib import suppress
from itertools import count
from types import SimpleNamespace

import jwt
import msgspec
import pytest
from argon2 import PasswordHasher
from httpx2 import ASGITransport, AsyncClient
from prometheus_client import REGISTRY

from api.accounts.passwords import BACKOFF_S_MAX, DUMMY, Passwords
from api.accounts.sessions import ALL_ATTEMPT_EVERY_MS, ALL_ATTEMPTS_BURST
from api.app import create_app
from engine import Engine, Overloaded, Settings
from engine.errors import RateLimited
from engine.limits import Limit, LimitCheck
from persistence.stores.stores import PostgresStores
from tests.api.account_cases import ANN, PASSWORD
from tests.api.client import AUTH, SECRET, Api, token
from tests.api.visitor import Visitor, calling_from
from tests.support.waiting import until


async def _code(visitor: Visitor, answer_of: str = "log_in", *args: str) -> str:
    answer = await getattr(visitor, answer_of)(*args)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    return str(answer.json()["code"])


async def test_login_wrong_unknown_and_unverified_answer_the_same(
    ann: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[str] = []
    verify = PasswordHasher.verify

    def noted(self: PasswordHasher, stored: str, password: str) -> bool:
        compared.append(stored)
        return bool(verify(self, stored, password))

    monkeypatch.setattr(PasswordHasher, "verify", noted)
    await ann.join()
    bob = Visitor(ann.api, ann.mailbox, "bob@example.org")
    await bob.register()
    eve = Visitor(ann.api, ann.mailbox, "eve@example.org")
    del compared[:]

    answers = [await ann.log_in("wrong password"), await bob.log_in(), await eve.log_in()]

    assert {(answer.status_code, answer.content) for answer in answers} == {
        (401, answers[0].content)
    }
    assert answers[0].json()["code"] == "login_refused"
    assert len({frozenset(answer.headers) for answer in answers}) == 1
    assert [stored == DUMMY for stored in compared] == [False, True, True]


def test_dummy_hash_costs_what_a_real_one_does() -> None:
    passwords = Passwords(1, 1)
    assert not passwords.outdated(DUMMY)
    assert passwords.outdated(PasswordHasher(time_cost=1, memory_cost=1024).hash("x"))


async def test_access_token_carries_account_session_and_permissions(ann: Visitor) -> None:
    await ann.join()
    claims = jwt.decode(ann.tokens["accessToken"], SECRET, algorithms=["HS256"])
    assert claims["sub"].startswith("acc_")
    assert ANN not in str(claims)
    assert claims["exp"] - claims["iat"] == 900
    assert claims["typ"] == "access"
    assert claims["sid"]
    assert "booking:create:own" in claims["permissions"]


async def test_refresh_needs_no_access_token_and_rotates(ann: Visitor) -> None:
    await ann.join()
    first = dict(ann.tokens)

    assert (await ann.refresh()).status_code == 200

    assert ann.tokens["refreshToken"] != first["refreshToken"]
    assert await ann.may_call()
    assert (await ann.refresh()).status_code == 200


async def test_refresh_token_used_twice_ends_its_session_and_no_other(ann: Visitor) -> None:
    await ann.join()
    stolen = ann.tokens["refreshToken"]
    other = Visitor(ann.api, ann.mailbox)
    await other.log_in()
    await ann.refresh()
    assert await ann.may_call()

    assert await _code(ann, "refresh", stolen) == "session_ended"

    assert not await ann.may_call()
    assert await _code(ann, "refresh") == "session_ended"
    assert await other.may_call()
    assert (await other.refresh()).status_code == 200


async def test_refresh_at_once_has_one_winner_and_ends_the_session(ann: Visitor) -> None:
    await ann.join()
    body = {"refreshToken": ann.tokens["refreshToken"]}

    answers = await asyncio.gather(*(ann.post("refresh", body) for _ in range(8)))

    won = [answer for answer in answers if answer.status_code == 200]
    assert len(won) == 1
    assert {answer.status_code for answer in answers} == {200, 401}
    assert await _code(ann, "refresh", won[0].json()["refreshToken"]) == "session_ended"
    assert not await ann.may_call()


async def test_tokens_of_one_type_are_no_use_as_the_other(ann: Visitor) -> None:
    await ann.join()
    access, refresh_token = ann.tokens["accessToken"], ann.tokens["refreshToken"]
    assert await _code(ann, "refresh", access) == "session_ended"
    assert not await ann.may_call({"authorization": f"Bearer {refresh_token}"})
    refresh_jwt = token("ann", ["booking:read:own"], typ="refresh")
    assert not await ann.may_call({"authorization": f"Bearer {refresh_jwt}"})
    assert await _code(ann, "refresh", refresh_jwt) == "session_ended"
    assert await ann.may_call()


@pytest.mark.parametrize("by", ["access token", "refresh token", "used refresh token"])
async def test_logout_ends_access_and_refresh_token_at_once(ann: Visitor, by: str) -> None:
    await ann.join()
    other = Visitor(ann.api, ann.mailbox)
    await other.log_in()
    body = {"refreshToken": ann.tokens["refreshToken"]}
    if by == "used refresh token":
        await ann.refresh()
    for _ in range(2):  # repeatable, as long as the session is known by the token
        if by == "access token":
            answer = await ann.api.call("POST", f"{AUTH}/logout", ann.bearer)
            assert answer.status_code in (200, 401)
        else:
            answer = await ann.post("logout", body)
            assert answer.json() == {"status": "ended"}
        assert not await ann.may_call()
    assert await _code(ann, "refresh") == "session_ended"
    assert await other.may_call()


async def test_logout_of_no_session_is_refused(ann: Visitor) -> None:
    logout = f"{AUTH}/logout"
    await ann.api.refused(401, "unauthenticated", "POST", logout)
    await ann.api.refused(401, "unauthenticated", "POST", logout, json={})
    caller = {"authorization": f"Bearer {token('ann')}"}
    await ann.api.refused(409, "no_session", "POST", logout, caller)
    unknown = await ann.post("logout", {"refreshToken": "x" * 43})
    assert unknown.status_code == 200  # it does not reveal what exists


async def test_session_that_was_not_refreshed_in_time_is_over(
    ann: Visitor, stores: PostgresStores
) -> None:
    await ann.join()
    async with stores.connection() as connection:
        await connection.execute("UPDATE sessions SET expires_at = now()")
    assert await _code(ann, "refresh") == "session_ended"
    await ann.log_in()  # clears away what is over
    async with stores.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM sessions") == 1


async def test_login_is_throttled_by_account_known_or_not(
    settings: Settings, engine: Engine, ann: Visitor, stores: PostgresStores
) -> None:
    await ann.join()
    limited = msgspec.structs.replace(settings, rate_limits="on")
    app = create_app(limited, stores)
    transport = ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        AsyncClient(transport=transport, base_url="http://api") as http,
    ):
        api = Api(http, ann.api.office, stores)
        for email in (ANN, "nobody@example.org"):
            guesser = Visitor(api, ann.mailbox, email)
            burst = [guesser.log_in("a guess") for _ in range(20)]
            codes = [answer.status_code for answer in await asyncio.gather(*burst)]
            assert (codes.count(401), codes.count(429)) == (10, 10)
            answer = await guesser.log_in(PASSWORD)
            assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
            assert 1 <= int(answer.headers["retry-after"]) <= 30
        assert (await Visitor(api, ann.mailbox).refresh(ann.tokens["refreshToken"])).is_success


async def test_guesses_of_a_stranger_do_not_lock_the_owner_out_and_all_together_are_bounded(
    settings: Settings, engine: Engine, ann: Visitor
) -> None:
    await ann.join()
    limited = msgspec.structs.replace(settings, rate_limits="on")
    async with calling_from("198.51.100.7", limited, ann) as stranger:
        codes = [(await stranger.log_in("a guess")).status_code for _ in range(12)]
    assert codes == [401] * 10 + [429] * 2
    async with calling_from("203.0.113.9", limited, ann) as owner:
        assert (await owner.log_in()).status_code == 200
    full = Limit("login", ANN, ALL_ATTEMPT_EVERY_MS, ALL_ATTEMPTS_BURST)
    for _ in range(ALL_ATTEMPTS_BURST - 11):
        await engine.take_limits(LimitCheck((full,)))
    async with calling_from("203.0.113.10", limited, ann) as third:

        async def is_refused() -> bool:
            with suppress(RateLimited):  # while a password is hashed, another attempt is due
                while True:
                    await engine.take_limits(LimitCheck((full,)))
            return (await third.log_in("a guess")).status_code == 429

        await until(is_refused)


async def test_storm_of_logins_is_rejected_before_it_costs_anything(ann: Visitor) -> None:
    await ann.join()
    answers = await asyncio.gather(*(Visitor(ann.api, ann.mailbox).log_in() for _ in range(60)))
    codes = [answer.status_code for answer in answers]
    assert set(codes) == {200, 503}
    assert codes.count(200) >= 33
    refused = next(answer for answer in answers if answer.status_code == 503)
    assert refused.json()["code"] == "overloaded"
    assert refused.headers["retry-after"]


async def test_waiting_passwords_are_bounded_and_a_cancelled_call_frees_its_place() -> None:
    passwords = Passwords(1, 2)
    waiting = [asyncio.create_task(passwords.verify("x", None)) for _ in range(3)]
    await asyncio.wait(waiting, timeout=0)
    with pytest.raises(Overloaded):
        await passwords.verify("x", None)
    waiting[2].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)

    async def has_room() -> bool:
        return await passwords.verify("x", None) is False

    await until(has_room)
    passwords.close()


async def test_password_hashed_with_other_parameters_is_rehashed_at_login(
    ann: Visitor, stores: PostgresStores
) -> None:
    await ann.join()
    old = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    async with stores.connection() as connection:
        await connection.execute("UPDATE accounts SET password_hash = $1", old)
    assert (await ann.log_in()).status_code == 200
    async with stores.connection() as connection:
        stored = await connection.fetchval("SELECT password_hash FROM accounts")
    assert "m=19456,t=2,p=1" in stored
    assert (await ann.log_in()).status_code == 200


def _outcomes() -> dict[str, float]:
    return {
        name: REGISTRY.get_sample_value("logins_total", {"outcome": name}) or 0
        for name in ("granted", "refused")
    }


async def test_logins_are_counted_by_outcome(ann: Visitor) -> None:
    before = _outcomes()
    await ann.join()
    await ann.log_in("wrong password")
    after = _outcomes()
    assert {name: after[name] - before[name] for name in after} == {"granted": 1, "refused": 1}


async def test_access_token_outlives_nothing(ann: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    await ann.join()
    assert await ann.may_call()
    later = time.time() + 900
    monkeypatch.setattr("api.http.tokens.time.time", lambda: later)
    assert not await ann.may_call()


async def test_hashing_backs_off_while_the_process_is_busy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    passwords, slept_s, ticks = Passwords(1, 1), list[float](), count()
    clock = SimpleNamespace(
        sleep=slept_s.append,
        monotonic=lambda: next(ticks) / 100,
        process_time=lambda: 0.0,
        thread_time=lambda: 0.0,
    )
    monkeypatch.setattr("api.accounts.passwords.time", clock)

    async def backoff_s() -> float:
        """Before the second of two hashes."""
        slept_s.clear()
        for _ in range(2):
            await passwords.verify("x", None)
        return slept_s[1]

    monkeypatch.setattr("api.accounts.passwords.BUSY", 100)
    assert await backoff_s() == 0
    monkeypatch.setattr("api.accounts.passwords.BUSY", -100)
    assert 0 < await backoff_s() <= BACKOFF_S_MAX
    passwords.close()
