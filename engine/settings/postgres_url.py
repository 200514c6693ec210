"""The parameters of DATABASE_URL: libpq's, as providers put them into the URLs they hand out.

asyncpg knows some of them and sends any other to the server as a setting, which the server rejects.
So each of libpq's is either given to asyncpg, mapped to it, or left out for a reason; a parameter
that would promise something asyncpg cannot keep is refused, and so is an unknown one.
"""

from typing import NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from engine.settings import checks

_ASYNCPG = {
    "host",
    "port",
    "dbname",
    "database",
    "user",
    "password",
    "passfile",
    "sslmode",
    "sslcert",
    "sslkey",
    "sslpassword",
    "sslrootcert",
    "sslcrl",
    "sslnegotiation",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
    "target_session_attrs",
    "krbsrvname",
    "gsslib",
}
"""asyncpg reads these as libpq does; `database` is its own word for `dbname`."""

_STARTUP = {"application_name", "options"}
"""The server takes these at the start of a connection."""

_LEFT_OUT = {
    # The pool's own timeouts find a dead connection.
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
    # asyncpg always sends the name of the host, and text as UTF-8.
    "sslsni",
    "client_encoding",
    # asyncpg tries the hosts in sequence, never compresses and has one protocol version.
    "load_balance_hosts",
    "sslcompression",
    "min_protocol_version",
    "max_protocol_version",
    # For libpq itself and its own tools.
    "fallback_application_name",
    "sslkeylogfile",
    "gssdelegation",
}

_PREFERENCES = {"channel_binding": ("disable", "prefer"), "gssencmode": ("disable", "prefer")}
"""Left out with these values. asyncpg has neither, so it cannot require one."""

_REFUSED = {
    "hostaddr",
    "replication",
    "service",
    "servicefile",
    "requirepeer",
    "require_auth",
    "requiressl",
    "sslcertmode",
    "sslcrldir",
}
"""libpq's, but asyncpg cannot do what they ask for."""

_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_SESSIONS = ("any", "read-write", "primary")
"""The writer needs a server that takes writes."""


class PostgresAddress(NamedTuple):
    """A URL for asyncpg, and how long a connection may take to open, if the URL says so."""

    url: str
    connect_timeout_s: float | None


def check(text: str) -> None:
    """The form of DATABASE_URL. Raises ValueError with what is wanted, without any value."""
    checks.url("postgresql", "postgres")(text)
    address_of(text)


def address_of(url: str) -> PostgresAddress:
    """The URL without the parameters that asyncpg does not know. Raises ValueError."""
    kept, timeout_s = [], None
    for name, value in parse_qsl(urlsplit(url).query, keep_blank_values=True):
        _check_parameter(name, value)
        if name == "connect_timeout":
            timeout_s = _seconds(value)
        elif name in _ASYNCPG | _STARTUP:
            kept.append((name, value))
    before = url.partition("?")[0]
    return PostgresAddress(
        f"{before}?{urlencode(kept, quote_via=quote)}" if kept else before, timeout_s
    )


def _check_parameter(name: str, value: str) -> None:
    if name in _REFUSED:
        raise ValueError(f"the parameter {name} is not supported: leave it out")
    if name in _PREFERENCES and value not in _PREFERENCES[name]:
        raise ValueError(
            f"{name} can only be {' or '.join(_PREFERENCES[name])}: asyncpg cannot require it. "
            "sslmode=verify-full protects the connection"
        )
    if name == "sslmode" and value not in _SSL_MODES:
        raise ValueError(f"sslmode wants one of {', '.join(_SSL_MODES)}")
    if name == "target_session_attrs" and value not in _SESSIONS:
        raise ValueError(f"target_session_attrs wants one of {', '.join(_SESSIONS)}")
    known = _ASYNCPG | _STARTUP | _LEFT_OUT | set(_PREFERENCES) | {"connect_timeout"}
    if name not in known:
        raise ValueError(
            f"the parameter {_shown(name)} is unknown; a setting of the server is written "
            "options=-c%20name%3Dvalue"
        )


def _seconds(value: str) -> float | None:
    """None for 0 and below: libpq waits without end then, the pool as long as it does by itself."""
    try:
        return float(max(2, int(value))) if int(value) > 0 else None
    except ValueError:
        raise ValueError("connect_timeout wants whole seconds") from None


def _shown(name: str) -> str:
    """A name as it is; anything else may be a piece of a password."""
    return name if name.isidentifier() and len(name) <= 40 else "(not a name)"
