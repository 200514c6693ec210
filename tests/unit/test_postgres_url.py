"""The parameters of DATABASE_URL: each of libpq's is known, and any other is a wrong setting."""

import pytest

from engine import Misconfigured
from engine.settings import postgres_url, settings

BASE = "postgresql://ada:hunter2@db:5432/tickets"


@pytest.mark.parametrize(
    ("query", "given"),
    [
        ("", ""),
        ("channel_binding=prefer", ""),
        ("channel_binding=disable&gssencmode=prefer", ""),
        ("keepalives=1&keepalives_idle=30&keepalives_interval=5&keepalives_count=3", ""),
        ("tcp_user_timeout=1000&sslsni=1&load_balance_hosts=disable", ""),
        ("client_encoding=utf8&fallback_application_name=x&sslcompression=0", ""),
        ("sslmode=require&channel_binding=prefer", "?sslmode=require"),
        ("sslmode=verify-full&sslrootcert=%2Fca.pem", "?sslmode=verify-full&sslrootcert=%2Fca.pem"),
        ("target_session_attrs=read-write", "?target_session_attrs=read-write"),
        ("application_name=shop%20one", "?application_name=shop%20one"),
        ("options=-c%20search_path%3Dtickets", "?options=-c%20search_path%3Dtickets"),
        ("host=/run/pg&port=5433&user=a&dbname=d", "?host=%2Frun%2Fpg&port=5433&user=a&dbname=d"),
    ],
)
def test_libpq_parameters_are_given_on_or_left_out(query: str, given: str) -> None:
    url = f"{BASE}?{query}" if query else BASE
    assert postgres_url.address_of(url) == (f"{BASE}{given}", None)
    assert settings.load({"DATABASE_URL": url}).database_url == url


@pytest.mark.parametrize(
    ("value", "timeout_s"), [("10", 10.0), ("1", 2.0), ("0", None), ("-1", None)]
)
def test_connect_timeout_is_that_of_libpq(value: str, timeout_s: float | None) -> None:
    assert postgres_url.address_of(f"{BASE}?connect_timeout={value}") == (BASE, timeout_s)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("conect_timeout=10", "parameter conect_timeout is unknown"),
        ("search_path=tickets", "search_path is unknown; .* options=-c"),
        ("pgbouncer=true", "parameter pgbouncer is unknown"),
        ("connect_timeout=soon", "connect_timeout wants whole seconds"),
        ("channel_binding=require", "channel_binding can only be disable or prefer"),
        ("gssencmode=require", "gssencmode can only be"),
        ("sslmode=on", "sslmode wants one of"),
        ("target_session_attrs=standby", "target_session_attrs wants one of any"),
        ("hostaddr=10.0.0.7", "hostaddr is not supported"),
        ("service=shop", "service is not supported"),
        ("hunter2%26x=1", r"\(not a name\)"),
    ],
)
def test_other_parameters_are_a_wrong_setting(query: str, says: str) -> None:
    with pytest.raises(Misconfigured, match=f"DATABASE_URL: .*{says}") as caught:
        settings.load({"DATABASE_URL": f"{BASE}?{query}"})
    assert "hunter2" not in str(caught.value)
