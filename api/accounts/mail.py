"""Mails with links, handed to an SMTP server beside the requests.

A request never waits for a mail and never fails for one: mails wait in a bounded queue, two go out
at a time, and what went wrong is logged without the link in it. With no SMTP_URL a mail is printed
to the log instead, so that a developer can follow its link. That is the one place where a token
of ours is ever in a log, and only on an installation that sends no mail.

A password is only ever said to the SMTP server over TLS, unless it is this very machine.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from email.errors import MessageError
from email.message import EmailMessage
from email.policy import SMTP
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote, urlsplit

import aiosmtplib
from msgspec import Struct

from engine import logs
from engine.errors import Misconfigured
from engine.metrics import metrics
from engine.settings.settings import Settings

WAITING_MAX = 200
_AT_ONCE_MAX = 2
_TIMEOUT_S = 15.0
_AGAIN_AFTER_S = (2.0, 15.0)
_DRAIN_S = 5.0
_LOCAL = ("localhost", "127.0.0.1", "::1")

_log = logs.get("mail")


class Mail(Struct, frozen=True):
    """One mail: to whom, about what, and the link it is for."""

    to: str
    subject: str
    text: str
    link: str = ""


class Mailer:
    """Sends mails in the background. Raises Misconfigured for an SMTP_URL that is none."""

    def __init__(self, settings: Settings) -> None:
        self._server = _server_of(settings.smtp_url) if settings.smtp_url else None
        self._sender = settings.mail_from
        self._places = asyncio.Semaphore(_AT_ONCE_MAX)
        self._waiting: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()

    def send(self, mail: Mail) -> None:
        """See to it that the mail goes out; returns at once."""
        if self._server is None:
            metrics.mails.labels("printed").inc()
            _log.warning("mail_printed", to=mail.to, subject=mail.subject, link=mail.link)
            return
        if len(self._waiting) >= WAITING_MAX:
            metrics.mails.labels("dropped").inc()
            _log.error("mail_dropped", why=f"{WAITING_MAX} mails are waiting")
            return
        task = asyncio.create_task(self._deliver(mail, self._server))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def close(self) -> None:
        """Give the mails that wait a moment, then drop them. None waits to be tried again now."""
        self._closing.set()
        if not self._waiting:
            return
        _, late = await asyncio.wait(self._waiting, timeout=_DRAIN_S)
        for task in late:
            task.cancel()
        if late:
            _log.error("mail_dropped", why=f"the process ends, {len(late)} mails were waiting")

    async def _deliver(self, mail: Mail, server: Mapping[str, Any]) -> None:
        for again_after_s in (*_AGAIN_AFTER_S, None):
            try:
                async with self._places:
                    await aiosmtplib.send(self._written(mail), timeout=_TIMEOUT_S, **server)
            except (aiosmtplib.SMTPException, MessageError, OSError, ValueError) as error:
                _log.error("mail_not_sent", error=type(error).__name__, again_s=again_after_s)
                if again_after_s is None:
                    metrics.mails.labels("failed").inc()
                    return
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._closing.wait(), again_after_s)
            else:
                metrics.mails.labels("sent").inc()
                return

    def _written(self, mail: Mail) -> EmailMessage:
        message = EmailMessage(SMTP)
        message["From"], message["To"], message["Subject"] = self._sender, mail.to, mail.subject
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(f"{mail.text}\n\n{mail.link}\n" if mail.link else f"{mail.text}\n")
        return message


def _server_of(url: str) -> Mapping[str, Any]:
    """What `aiosmtplib.send` is to know of the server."""
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        if parts.scheme in ("smtp", "smtps") and parts.hostname:
            secret = parts.password is not None and parts.hostname not in _LOCAL
            return MappingProxyType(
                {
                    "hostname": parts.hostname,
                    "port": parts.port,
                    "username": unquote(parts.username) if parts.username else None,
                    "password": unquote(parts.password) if parts.password else None,
                    "use_tls": parts.scheme == "smtps",
                    # None: as the server offers it
                    "start_tls": True if secret and parts.scheme == "smtp" else None,
                }
            )
    raise Misconfigured("SMTP_URL is not of the form smtp://user:password@host:port or smtps://…")
