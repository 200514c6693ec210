"""The format of a setting's text: one check a format, run before anything starts.

A wrong text fails the start, not the first mail, proxy or token. No check quotes the text:
any variable may hold a secret by mistake.
"""

import re
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

SECRET_BYTES_MIN = 32
PARTS = ("expirer", "writer", "deliverer", "reconciler")
"""The parts that beat, by their names in READY_PARTS."""

Form = Callable[[str], None]
"""Raises ValueError with what is wanted."""

_ORIGIN = re.compile(r"https?://[a-zA-Z0-9.:\[\]-]+")


def url(*schemes: str) -> Form:
    """A URL with one of these schemes, and a port that is a number."""
    wanted = " or ".join(f"{scheme}://…" for scheme in schemes)

    def check(text: str) -> None:
        try:
            parts = urlsplit(text)
            _ = parts.port
        except ValueError:
            parts = urlsplit("")
        rest = f"{parts.path}{parts.query}{parts.fragment}"
        whole = parts.scheme in schemes and bool(parts.netloc or parts.path.strip("/"))
        if not whole or parts.fragment or "@" in rest:
            raise ValueError(
                f"wants {wanted}; `/`, `@`, `:`, `?` and `#` in a password are written by percent"
            )

    return check


def keys_url(text: str) -> None:
    """https, or this machine: no host in between can answer in place of the provider."""
    url("https", "http")(text)
    parts = urlsplit(text)
    if parts.scheme == "http" and not _is_this_machine(parts.hostname or ""):
        raise ValueError("must begin with https://")


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
        for part in text.split(","):
            if part.strip():
                form(part.strip())

    return check


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
