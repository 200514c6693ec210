"""A forgotten password: one link, one use, and every other session ends."""

import asyncio
import time

import pytest

from engine.ports.accounts import Credentials
from persistence.stores.stores import PostgresStores
from tests.api.account_cases import ANN
from tests.api.visitor import Visitor

NEW = "a completely new password"


async def _ask(visitor: Visitor) -> None:
    answer = await visitor.post("password/forgot", {"email": visitor.email})
    assert (answer.status_code, answer.json()["status"]) == (202, "accepted")


async def _reset(visitor: Visitor, token: str, password: str = NEW) -> int:
    body = {"token": token, "password": password}
    return (await visitor.post("password/reset", body)).status_code


async def test_reset_sets_the_password_once_and_ends_every_session(ann: Visitor) -> None:
    await ann.join()
    thief = Visitor(ann.api, ann.mailbox)
    await thief.log_in()
    await _ask(ann)
    token = ann.mailbox.last_token()

    assert await _reset(ann, token) == 200

    assert not await thief.may_call()
    assert (await thief.refresh()).status_code == 401
    assert (await thief.log_in()).status_code == 401
    assert (await ann.log_in(NEW)).status_code == 200
    assert await _reset(ann, token, "and yet another one") == 410
    assert (await ann.log_in(NEW)).status_code == 200


async def test_forgot_for_an_unknown_address_answers_the_same_and_sends_no_mail(
    ann: Visitor,
) -> None:
    await _ask(ann)
    assert ann.mailbox.mails == []


async def test_forgot_takes_as_long_for_an_unknown_address(
    ann: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.accounts.links.CONSTANT_TIME_S", 0.2)
    await ann.register()
    for email in (ANN, "nobody@example.org"):
        began = time.monotonic()
        await ann.post("password/forgot", {"email": email})
        assert time.monotonic() - began >= 0.2


async def test_reset_of_an_unverified_account_verifies_it(ann: Visitor) -> None:
    await ann.register()
    foreign_link = ann.mailbox.last_token()
    await _ask(ann)
    assert await _reset(ann, ann.mailbox.last_token()) == 200
    assert (await ann.log_in(NEW)).status_code == 200
    assert (await ann.verify(foreign_link)).status_code == 410
    assert (await ann.log_in()).status_code == 401


async def test_links_of_one_purpose_are_no_use_for_the_other(ann: Visitor) -> None:
    await ann.register()
    verify_token = ann.mailbox.last_token()
    assert await _reset(ann, verify_token) == 410
    assert (await ann.verify(verify_token)).status_code == 200
    await _ask(ann)
    assert (await ann.verify()).status_code == 410


async def test_reset_with_a_refused_password_keeps_the_link(ann: Visitor) -> None:
    await ann.join()
    await _ask(ann)
    token = ann.mailbox.last_token()
    assert await _reset(ann, token, "password") == 422
    assert await _reset(ann, token) == 200


async def test_link_that_is_too_old_is_refused(ann: Visitor, stores: PostgresStores) -> None:
    await ann.register()
    verify_token = ann.mailbox.last_token()
    await _ask(ann)
    async with stores.connection() as connection:
        await connection.execute("UPDATE account_links SET expires_at = now()")
    assert await _reset(ann, ann.mailbox.last_token()) == 410
    assert (await ann.verify(verify_token)).status_code == 410
    await ann.register()  # clears away what is over
    async with stores.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM account_links") == 1


async def test_reset_by_one_link_at_once_has_one_winner(ann: Visitor) -> None:
    await ann.join()
    await _ask(ann)
    token = ann.mailbox.last_token()
    choices = [f"choice number {n} of many" for n in range(4)]
    codes = await asyncio.gather(*(_reset(ann, token, choice) for choice in choices))
    assert sorted(codes) == [200, 410, 410, 410]
    assert (await ann.log_in(choices[codes.index(200)])).status_code == 200


async def test_page_of_a_reset_shows_a_form_that_works(ann: Visitor) -> None:
    await ann.join()
    await _ask(ann)
    link = ann.mailbox.mails[-1].link
    page = await ann.api.call("GET", link)
    assert 'type="password"' in page.text
    path, token = link.partition("?")[0], ann.mailbox.last_token()
    weak = await ann.api.http.post(path, data={"token": token, "password": "password"})
    assert (weak.status_code, weak.headers["content-type"]) == (422, "text/html; charset=utf-8")
    done = await ann.api.http.post(path, data={"token": token, "password": NEW})
    assert (done.status_code, "log in" in done.text) == (200, True)
    again = await ann.api.http.post(path, data={"token": token, "password": NEW})
    assert again.status_code == 410
    assert (await ann.log_in(NEW)).status_code == 200


async def test_login_that_a_reset_overtook_opens_no_session(
    ann: Visitor, stores: PostgresStores
) -> None:
    await ann.join()
    known = await stores.accounts.find_credentials(ANN)
    assert known
    await _ask(ann)
    assert await _reset(ann, ann.mailbox.last_token()) == 200
    assert await stores.sessions.open_session(known, b"x" * 32, 60) is None
    forged = Credentials(known.account_id, "")
    assert await stores.sessions.open_session(forged, b"x" * 32, 60) is None
