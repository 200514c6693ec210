"""Sends mails with links over SMTP, in the background.

A request never waits for a mail, and never fails because of one: mails wait in a bounded queue, two
are sent at a time, and errors are logged without the link. Without SMTP_URL a mail is written to
the log instead, so that a developer can follow its link. This is the only place where a token is
ever logged, and only on an installation that sends no mail.

The SMTP password is sent only over TLS, except to the local machine.
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
from engine.metrics import metrics
from engine.settings import checks
from engine.settings.settings import Settings

WAITING_MAX = 200
_CONCURRENT_MAX = 2
_TIMEOUT_S = 15.0
_RETRY_AFTER_S = (2.0, 15.0)
_DRAIN_S = 5.0
_LOCAL = ("localhost", "127.0.0.1", "::1")

_log = logs.get("mail")


class Mail(Struct, frozen=True):
    """One mail, with its optional link."""

    to: str
    subject: str
    text: str
    link: str = ""


class Mailer:
    """Sends mails in the background. Raises Misconfigured for an invalid SMTP_URL."""

    def __init__(self, settings: Settings) -> None:
        self._server = _server_of(settings.smtp_url) if settings.smtp_url else None
        self._sender = settings.mail_from
        self._slots = asyncio.Semaphore(_CONCURRENT_MAX)
        self._waiting: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()

    def send(self, mail: Mail) -> None:
        """Queue a mail and return immediately."""
        if self._server is None:
            metrics.mails.labels("printed").inc()
            _log.warning("mail_printed", to=mail.to, subject=mail.subject, link=mail.link)
            return
        if len(self._waiting) >= WAITING_MAX:
            metrics.mails.labels("dropped").inc()
            _log.error("mail_dropped", why=f"{WAITING_MAX} mails are queued")
            return
        task = asyncio.create_task(self._deliver(mail, self._server))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def close(self) -> None:
        """Send the queued mails without retry delays, for a few seconds, then drop the rest."""
        self._closing.set()
        if not self._waiting:
            return
        _, late = await asyncio.wait(self._waiting, timeout=_DRAIN_S)
        for task in late:
            task.cancel()
        if late:
            _log.error("mail_dropped", why=f"shutdown with {len(late)} mails still queued")

    async def _deliver(self, mail: Mail, server: Mapping[str, Any]) -> None:
        for retry_after_s in (*_RETRY_AFTER_S, None):
            try:
                async with self._slots:
                    await aiosmtplib.send(self._message(mail), timeout=_TIMEOUT_S, **server)
            except (aiosmtplib.SMTPException, MessageError, OSError, ValueError) as error:
                _log.error("mail_not_sent", error=type(error).__name__, retry_after_s=retry_after_s)
                if retry_after_s is None:
                    metrics.mails.labels("failed").inc()
                    return
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._closing.wait(), retry_after_s)
            else:
                metrics.mails.labels("sent").inc()
                return

    def _message(self, mail: Mail) -> EmailMessage:
        message = EmailMessage(SMTP)
        message["From"], message["To"], message["Subject"] = self._sender, mail.to, mail.subject
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(f"{mail.text}\n\n{mail.link}\n" if mail.link else f"{mail.text}\n")
        return message


def _server_of(url: str) -> Mapping[str, Any]:
    """The arguments of `aiosmtplib.send` that describe the server."""
    checks.refuse("SMTP_URL", url, checks.mail_server)
    parts = urlsplit(url)
    secret = parts.password is not None and parts.hostname not in _LOCAL
    return MappingProxyType(
        {
            "hostname": parts.hostname,
            "port": parts.port,
            "username": unquote(parts.username) if parts.username else None,
            "password": unquote(parts.password) if parts.password else None,
            "use_tls": parts.scheme == "smtps",
            # None: TLS if the server offers it
            "start_tls": True if secret and parts.scheme == "smtp" else None,
        }
    )
