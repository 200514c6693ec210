"""Register and verify: the same answer to all, an account for the reader of the mail."""

import asyncio
import base64
from typing import Any

import pytest
from structlog.testing import capture_logs

from api.accounts import passwords as password_rules
from engine import Settings
from tests.api.account_cases import ANN, PASSWORD
from tests.api.client import AUTH, Api
from tests.api.visitor import Mailbox, Visitor, calling_from


async def test_register_mails_a_link_that_verifies_and_then_login_works(ann: Visitor) -> None:
    answer = await ann.register()
    assert (answer.status_code, answer.json()["status"]) == (202, "accepted")
    [mail] = ann.mailbox.mails
    assert mail.to == ANN
    assert mail.link.startswith("/api/v1/auth/verify?token=")
    assert (await ann.log_in()).status_code == 401

    assert (await ann.verify()).json() == {"status": "verified"}

    answer = await ann.log_in()
    assert answer.status_code == 200
    assert answer.json().keys() == {"accessToken", "refreshToken", "expiresIn"}
    assert answer.json()["expiresIn"] == 900
    assert answer.headers["cache-control"] == "no-store"
    assert await ann.may_call()


async def test_link_of_the_mail_shows_a_page_that_asks_for_the_password(ann: Visitor) -> None:
    await ann.register()
    link = ann.mailbox.mails[0].link
    for method in ("GET", "HEAD", "GET"):  # a mail scanner follows it, and nothing happens
        page = await ann.api.call(method, link)
        assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert page.headers["cache-control"] == "no-store"
    assert '<form method="post">' in page.text
    assert 'type="password"' in page.text
    assert "script" not in page.text
    assert (await ann.log_in()).status_code == 401

    path, form = link.partition("?")[0], {"token": ann.mailbox.last_token(), "password": PASSWORD}
    weak = await ann.api.http.post(path, data={**form, "password": "password"})
    assert (weak.status_code, "Choose another" in weak.text) == (422, True)
    done = await ann.api.http.post(path, data=form)

    assert (done.status_code, "log in" in done.text) == (200, True)
    assert (await ann.log_in()).status_code == 200
    gone = await ann.api.http.post(path, data=form)
    assert gone.status_code == 410
    assert gone.headers["content-type"].startswith("text/html")


async def test_verify_sets_one_password_once_and_a_made_up_token_is_refused(ann: Visitor) -> None:
    await ann.register()
    token = ann.mailbox.last_token()
    weak = await ann.verify(token, "password")
    assert (weak.status_code, weak.json()["field"]) == (422, "password")
    assert (await ann.verify(token)).status_code == 200
    for refused in (await ann.verify(token, "another password"), await ann.verify("x" * 43)):
        assert (refused.status_code, refused.json()["code"]) == (410, "link_invalid")
    assert (await ann.log_in("another password")).status_code == 401
    assert (await ann.log_in()).status_code == 200
    for token in ("", "x" * 42, "x" * 44, "x" * 42 + "\n", "'; DROP TABLE accounts; --" + "x" * 17):
        answer = await ann.post("verify", {"token": token, "password": PASSWORD})
        assert (answer.status_code, answer.json()["field"]) == (422, "token")


async def test_register_known_address_answers_the_same_and_mails_its_owner(ann: Visitor) -> None:
    first = await ann.register()
    await ann.verify()

    again = await Visitor(ann.api, ann.mailbox, ANN.upper()).register()

    assert (again.status_code, again.content) == (first.status_code, first.content)
    mail = ann.mailbox.mails[-1]
    assert (mail.to, mail.link) == (ANN, "")
    assert (await ann.log_in()).status_code == 200


async def test_password_of_a_stranger_who_registered_the_address_never_logs_in(
    ann: Visitor,
) -> None:
    strangers = {"email": ANN, "password": "chosen by a stranger"}
    assert (await ann.post("register", strangers)).status_code == 202
    strangers_link = ann.mailbox.last_token()
    await ann.register()
    own_link = ann.mailbox.last_token()

    assert (await ann.verify(strangers_link)).status_code == 200

    assert (await ann.log_in("chosen by a stranger")).status_code == 401
    assert (await ann.log_in()).status_code == 200
    assert (await ann.verify(own_link, "chosen by a stranger")).status_code == 410
    assert (await ann.post("register", strangers)).status_code == 202
    assert (await ann.log_in("chosen by a stranger")).status_code == 401


async def test_verify_without_a_password_is_refused_and_keeps_the_link(ann: Visitor) -> None:
    await ann.register()
    token = ann.mailbox.last_token()
    answer = await ann.post("verify", {"token": token})
    assert (answer.status_code, answer.json()["field"]) == (422, "password")
    assert (await ann.verify(token)).status_code == 200


async def test_register_over_and_over_mails_five_times_an_hour(ann: Visitor) -> None:
    for _ in range(7):
        assert (await ann.register()).status_code == 202
    assert len(ann.mailbox.mails) == 5


async def test_registrations_of_a_stranger_leave_the_owner_every_mail(
    ann: Visitor, settings: Settings
) -> None:
    await ann.join()
    async with calling_from("198.51.100.7", settings, ann) as stranger:
        for _ in range(7):
            await stranger.register()
            await stranger.forget()
    told = len(ann.mailbox.mails)
    assert told == 1 + 5 + 5

    await ann.forget()
    await ann.register()

    assert [mail.subject for mail in ann.mailbox.mails[told:]] == [
        "Choose a new password",
        "You already have an account",
    ]


async def test_registrations_of_an_unverified_address_leave_its_owner_a_link(
    ann: Visitor, settings: Settings
) -> None:
    async with calling_from("198.51.100.7", settings, ann) as stranger:
        for _ in range(7):
            await stranger.register()
    await ann.register()
    assert len(ann.mailbox.mails) == 6
    assert (await ann.verify()).status_code == 200
    assert (await ann.log_in()).status_code == 200


async def test_register_twice_at_once_makes_one_account(ann: Visitor) -> None:
    answers = await asyncio.gather(*(ann.register() for _ in range(4)))
    assert {answer.status_code for answer in answers} == {202}
    assert (await ann.verify()).status_code == 200
    assert (await ann.log_in()).status_code == 200


BAD_ADDRESSES = (
    *("", "ann", "@example.org", "ann@", "a@b@c.org", "ann@exa mple.org", "ann @example.org"),
    *("ann@example.org\n", "ann@example.org\r\nBcc: all@example.org", "\x00@example.org"),
    *("m\u0131ke@example.org", "\uff41nn@example.org", "ann@ex\u00e4mple.org", "ann@-a.org"),
    *("a" * 65 + "@example.org", "ann@" + "a" * 260, "<ann@example.org>", "ann@example..org"),
)


@pytest.mark.parametrize("email", BAD_ADDRESSES)
@pytest.mark.parametrize("path", ["register", "login", "password/forgot"])
async def test_address_that_is_none_is_refused_and_named(api: Api, path: str, email: str) -> None:
    body = {"email": email} | ({"password": PASSWORD} if path == "login" else {})
    problem = await api.refused(422, "invalid", "POST", f"{AUTH}/{path}", json=body)
    assert problem["field"] == "email"


BAD_PASSWORDS = (
    *("", "short", "x" * 7, "x" * 129, "aaaaaaaaaa", "password", "PassWord", "qwertyuiop"),
    *(ANN, "e\u0301" * 4, "\ufdfa" * 8, "x" * 5000),
)


@pytest.mark.parametrize("password", BAD_PASSWORDS)
@pytest.mark.parametrize("purpose", ["verify", "password/reset"])
async def test_password_that_is_refused_is_named_and_not_shown(
    ann: Visitor, purpose: str, password: str
) -> None:
    await (ann.register() if purpose == "verify" else ann.join())
    if purpose != "verify":
        await ann.forget()
    body = {"token": ann.mailbox.last_token(), "password": password}
    problem = await ann.api.refused(422, "invalid", "POST", f"{AUTH}/{purpose}", json=body)
    assert problem["field"] == "password"
    assert not password or password not in problem["detail"]


@pytest.mark.parametrize(
    "password",
    ["x1" * 64, "pass word", "\U0001f600" * 4 + "\u00df\u6f22\u00e9\u00e9", "\x00" * 7 + "a"],
)
def test_password_with_any_letters_is_taken(password: str) -> None:
    assert password_rules.checked(password, ANN) == password_rules.normal(password)


async def test_password_typed_in_another_form_of_unicode_fits(ann: Visitor) -> None:
    await ann.register()
    await ann.verify(password="caf\u00e9 \u212b \ufb01rst")
    assert (await ann.log_in("cafe\u0301 \u00c5 first")).status_code == 200


EVERY_BODY: dict[str, dict[str, Any]] = {
    "register": {"email": ANN},
    "verify": {"token": "x" * 43, "password": PASSWORD},
    "login": {"email": ANN, "password": PASSWORD},
    "refresh": {"refreshToken": "x" * 43},
    "logout": {"refreshToken": "x" * 43},
    "password/forgot": {"email": ANN},
    "password/reset": {"token": "x" * 43, "password": PASSWORD},
}


@pytest.mark.parametrize("path", EVERY_BODY)
async def test_body_with_a_field_missing_extra_or_of_another_type_is_refused(
    api: Api, path: str
) -> None:
    good = EVERY_BODY[path]
    for name in ("role", "permissions", "isAdmin", "verified", "accountId"):
        body = {**good, name: "ADMIN"}
        problem = await api.refused(422, "invalid", "POST", f"{AUTH}/{path}", json=body)
        assert problem["field"] == name
    for name in good:
        for wrong in (None, 7, 1.5, True, [good[name]], {"a": good[name]}, ""):
            body = good | {name: wrong}
            problem = await api.refused(422, "invalid", "POST", f"{AUTH}/{path}", json=body)
            assert problem["field"] == name
        if path != "logout":
            body = {other: good[other] for other in good if other != name}
            problem = await api.refused(422, "invalid", "POST", f"{AUTH}/{path}", json=body)
            assert problem["field"] == name


async def test_text_that_is_no_unicode_is_refused(api: Api) -> None:
    for text in (rb"\ud800", b"\xff\xfe", rb"\u0000\ud83d"):
        body = b'{"email": "ann@example.org", "password": "longenough' + text + b'"}'
        headers = {"content-type": "application/json"}
        answer = await api.call("POST", f"{AUTH}/register", headers, content=body)
        assert answer.status_code in (400, 422)


async def test_nothing_secret_is_in_logs_or_answers(ann: Visitor) -> None:
    with capture_logs() as logged:
        await ann.join()
        await ann.log_in("a wrong password of ann")
        await ann.refresh()
        await ann.post("logout", {"refreshToken": ann.tokens["refreshToken"]})
        await ann.refresh()
        await ann.post("password/forgot", {"email": ANN})
    told = str(logged)
    secrets = [PASSWORD, "a wrong password of ann", *map(str, ann.tokens.values())]
    secrets += [mail.link for mail in ann.mailbox.mails]
    assert not [secret for secret in secrets if secret in told and len(secret) > 8]
    assert base64.b64encode(PASSWORD.encode()).decode() not in told


async def test_accounts_without_postgres_are_503_and_the_sale_goes_on(
    api: Api, mailbox: Mailbox
) -> None:
    await api.office.open()
    visitor = Visitor(api, mailbox)
    for answer in (
        await visitor.register(),
        await visitor.log_in(),
        await visitor.verify("x" * 43),
    ):
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert await api.held("ann", "A-1-1")
