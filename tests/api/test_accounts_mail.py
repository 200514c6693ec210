"""Mails: handed to an SMTP server beside the requests, printed where there is none."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from email import message_from_bytes, policy

import pytest
from structlog.testing import capture_logs

from api.accounts import mail
from api.accounts.links import VERIFY_PATH, link_of
from api.accounts.mail import Mail, Mailer
from engine import Misconfigured, Settings
from tests.support.waiting import until

LINK = "https://tickets.example.org/api/v1/auth/verify?token=abc"
MAIL = Mail("ann@example.org", "Confirm", "Follow this link.", LINK)


class SmtpServer:
    """Takes every mail, or refuses it, or never answers."""

    def __init__(self) -> None:
        self.mails: list[bytes] = []
        self.refusals = 0
        self.silent = False
        self.port = 0
        self.serving: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, up to its end."""
        task = asyncio.create_task(self._serve(reader, writer))
        self.serving.add(task)
        await asyncio.wait({task})
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:

        async def say(text: str) -> None:
            writer.write(text.encode() + b"\r\n")
            await writer.drain()

        if self.silent:
            await reader.read()
            return
        await say("220 ready")
        while line := (await reader.readline()).strip().upper():
            if line == b"DATA":
                await say("354 go on")
                body = await reader.readuntil(b"\r\n.\r\n")
                if self.refusals:
                    self.refusals -= 1
                    await say("451 not now, try token=abc later")
                    continue
                self.mails.append(body)
            await say("250 fine" if line != b"QUIT" else "221 bye")


@pytest.fixture
async def smtp() -> AsyncIterator[SmtpServer]:
    server = SmtpServer()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    yield server
    listening.close()
    await asyncio.gather(*server.serving)


def _mailer(server: SmtpServer) -> Mailer:
    url = f"smtp://127.0.0.1:{server.port}"
    return Mailer(Settings(smtp_url=url, mail_from="Tickets <tickets@example.org>"))


async def test_mail_is_handed_to_the_server_with_its_link(smtp: SmtpServer) -> None:
    mailer = _mailer(smtp)
    mailer.send(MAIL)
    await mailer.close()
    [sent] = smtp.mails
    message = message_from_bytes(sent, policy=policy.default)
    assert (message["to"], message["subject"]) == ("ann@example.org", "Confirm")
    assert message["from"] == "Tickets <tickets@example.org>"
    assert message["auto-submitted"] == "auto-generated"
    content = message.get_body()
    assert content
    assert LINK in content.get_content()


async def test_mail_that_is_refused_is_tried_again_and_the_link_stays_out_of_the_log(
    smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail, "_RETRY_AFTER_S", (0.0, 0.0))
    mailer = _mailer(smtp)
    smtp.refusals = 2
    with capture_logs() as logged:
        mailer.send(MAIL)
        await mailer.close()
    assert len(smtp.mails) == 1
    assert [entry["event"] for entry in logged] == ["mail_not_sent"] * 2
    assert "abc" not in str(logged)
    smtp.refusals = 3
    mailer.send(MAIL)
    await mailer.close()
    assert len(smtp.mails) == 1


async def test_mails_beyond_what_may_wait_are_dropped_and_requests_never_wait(
    smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail, "WAITING_MAX", 3)
    monkeypatch.setattr(mail, "_DRAIN_S", 0.05)
    smtp.silent = True
    mailer = _mailer(smtp)
    with capture_logs() as logged:
        for _ in range(5):
            mailer.send(MAIL)
        await mailer.close()
    assert [entry["event"] for entry in logged] == ["mail_dropped"] * 3
    assert "abc" not in str(logged)


async def test_mail_to_a_server_that_is_not_there_fails_no_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mail, "_RETRY_AFTER_S", ())
    mailer = Mailer(Settings(smtp_url="smtp://127.0.0.1:1"))
    with capture_logs() as logged:
        mailer.send(MAIL)
        await mailer.close()
    assert [entry["event"] for entry in logged] == ["mail_not_sent"]


async def test_mail_with_no_server_is_printed_with_its_link() -> None:
    mailer = Mailer(Settings())
    with capture_logs() as logged:
        mailer.send(MAIL)
        await mailer.close()
    [entry] = logged
    assert (entry["event"], entry["to"], entry["link"]) == ("mail_printed", MAIL.to, LINK)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.example.org", {"port": None, "use_tls": False, "start_tls": None}),
        ("smtp://a:b%40c@mail.example.org:587", {"password": "b@c", "start_tls": True}),
        ("smtp://a:b@localhost", {"username": "a", "start_tls": None}),
        ("smtps://a:b@mail.example.org", {"use_tls": True, "start_tls": None}),
    ],
)
def test_password_is_said_over_tls_only(url: str, expected: dict[str, object]) -> None:
    found = mail._server_of(url)
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    "url", ["mail.example.org", "http://mail", "smtp://", "smtp://a:hunter2@:x"]
)
def test_smtp_url_that_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(Misconfigured, match="SMTP_URL") as caught:
        Mailer(Settings(smtp_url=url))
    assert "hunter2" not in str(caught.value)


def test_link_begins_with_the_public_url_and_nothing_else() -> None:
    found = Settings(public_url="https://tickets.example.org/")
    assert link_of(found, VERIFY_PATH, "abc") == LINK


async def test_smtp_server_of_these_tests_serves_several_mails(smtp: SmtpServer) -> None:
    mailer = _mailer(smtp)
    for _ in range(5):
        mailer.send(MAIL)

    async def all_came() -> bool:
        return len(smtp.mails) == 5

    await until(all_came)
    await mailer.close()
