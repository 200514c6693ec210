"""The format of a setting's text: one check a format, run before anything starts.

A wrong text fails the start, not the first mail, proxy or token. No check quotes the text:
any variable may hold a secret by mistake. What uses a setting calls the same check by `refuse`,
because a program may make its `Settings` without reading the environment.
"""

import re
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from engine.errors import Misconfigured

SECRET_BYTES_MIN = 32
PARTS = ("expirer", "writer", "deliverer", "reconciler")
"""The parts that beat, by their names in READY_PARTS."""

Form = Callable[[str], None]
"""Raises ValueError with what is wanted."""

_ORIGIN = re.compile(r"https?://[a-zA-Z0-9.:\[\]-]+")


def refuse(variable: str, text: str, form: Form) -> None:
    """Raise Misconfigured, with the name of the variable, if the text has not this form."""
    try:
        form(text)
    except ValueError as error:
        raise Misconfigured(f"{variable}: {error}") from None


def parts(text: str) -> list[str]:
    """The values of a list that is separated by commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def url(*schemes: str) -> Form:
    """A URL with one of these schemes, and a port that is a number."""
    wanted = " or ".join(f"{scheme}://…" for scheme in schemes)

    def check(text: str) -> None:
        try:
            found = urlsplit(text)
            _ = found.port
        except ValueError:
            found = urlsplit("")
        rest = f"{found.path}{found.query}{found.fragment}"
        whole = found.scheme in schemes and bool(found.netloc or found.path.strip("/"))
        if not whole or found.fragment or "@" in rest:
            raise ValueError(
                f"wants {wanted}; `/`, `@`, `:`, `?` and `#` in a password are written by percent"
            )

    return check


def keys_url(text: str) -> None:
    """https, or this machine: no host in between can answer in place of the provider."""
    url("https", "http")(text)
    found = urlsplit(text)
    if found.scheme == "http" and not _is_this_machine(found.hostname or ""):
        raise ValueError("must begin with https://")


def mail_server(text: str) -> None:
    """`smtp://` or `smtps://` with a host."""
    url("smtp", "smtps")(text)
    if not urlsplit(text).hostname:
        raise ValueError("wants smtp://user:password@host:port or smtps://…")


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def secret(text: str) -> None:
    """Too long to be guessed."""
    if len(text.encode()) < SECRET_BYTES_MIN:
        raise ValueError(f"must have at least {SECRET_BYTES_MIN} bytes")


def listed(form: Form) -> Form:
    """Values of that form, separated by commas."""

    def check(text: str) -> None:
        for value in parts(text):
            form(value)

    return check


def secrets(text: str) -> None:
    """One secret or several, separated by commas."""
    for value in parts(text) or [""]:
        secret(value)


def network(text: str) -> None:
    """An address or a network: `10.0.0.7`, `10.0.0.0/8`, `fd00::/8`."""
    try:
        ip_network(text)
    except ValueError:
        raise ValueError("wants addresses or networks, by comma: 10.0.0.7, 10.0.0.0/8") from None


def origin(text: str) -> None:
    """Scheme, host and port of a page, or `*`."""
    if text != "*" and not _ORIGIN.fullmatch(text):
        raise ValueError("wants https://host or https://host:port with no path, by comma, or *")


def part(text: str) -> None:
    """The name of a part."""
    if text not in PARTS:
        raise ValueError(f"wants names of {', '.join(PARTS)}, by comma")


def address(text: str) -> None:
    """A mail address, with or without a name."""
    if not re.fullmatch(r"[^\r\n]*[^\s<@]+@[^\s>@]+>?", text):
        raise ValueError("wants a mail address: tickets@example.org")
