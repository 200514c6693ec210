"""Errors for a Postgres that is away, wrong or too old: they name the fix, not the password."""

from urllib.parse import urlsplit

import pytest

from engine import EngineError, Misconfigured, Unavailable
from persistence import database
from persistence.database import connect

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("url", "kind", "says"),
    [
        ("", Misconfigured, "DATABASE_URL is not of the form"),
        (f"redis://ada:{SECRET}@db/0", Misconfigured, "DATABASE_URL is not of the form"),
        (f"postgresql://ada:{SECRET}/@db/tickets", Misconfigured, "not of the form"),
        (f"postgresql://ada:{SECRET}", Misconfigured, "not of the form"),
        (f"postgresql://[ada:{SECRET}@db/tickets", Misconfigured, "not of the form"),
        (f"postgresql://ada:{SECRET}@127.0.0.1:1/tickets", Unavailable, "127.0.0.1:1/tickets"),
        (f"postgresql://ada:{SECRET}@nowhere.invalid/tickets", Unavailable, "nowhere.invalid"),
        (f"postgresql://ada:{SECRET}@/tickets?host=/nowhere", Unavailable, "/nowhere/tickets"),
    ],
)
async def test_connect_wrong_url_names_it_without_the_password(
    url: str, kind: type[EngineError], says: str
) -> None:
    with pytest.raises(kind) as caught:
        await connect(url)
    assert says in str(caught.value)
    assert SECRET not in str(caught.value)


async def test_connect_absent_database_says_how_to_make_it(database_url: str) -> None:
    url = urlsplit(database_url)._replace(path="/absent").geturl()
    with pytest.raises(Misconfigured, match='"absent" does not exist; create it with createdb'):
        await connect(url)


async def test_connect_unknown_user_names_the_login(database_url: str) -> None:
    url = database_url.replace("postgres@", f"nobody:{SECRET}@")
    with pytest.raises(
        Misconfigured, match=r'refused the login .*"nobody".*DATABASE_URL'
    ) as caught:
        await connect(url)
    assert SECRET not in str(caught.value)


async def test_connect_old_server_says_which_was_found(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "VERSION_MIN", 1000)
    with pytest.raises(Misconfigured, match=r"Postgres \d+ found at .*: 1000 or newer is needed"):
        await connect(database_url)


async def test_connect_with_the_parameters_of_providers(database_url: str) -> None:
    """Asked of a real server: it would reject a parameter that it is given and does not know."""
    more = (
        "sslmode=prefer&channel_binding=prefer&connect_timeout=10&keepalives=1&gssencmode=disable"
        "&target_session_attrs=read-write&application_name=shop&options=-c%20lock_timeout%3D5s"
    )
    async with await connect(f"{database_url}&{more}") as pool:
        assert await pool.fetchval("SHOW application_name") == "shop"
        assert await pool.fetchval("SHOW lock_timeout") == "5s"


async def test_connect_with_an_unknown_parameter_names_it(database_url: str) -> None:
    with pytest.raises(Misconfigured, match="DATABASE_URL: the parameter sslmod is unknown"):
        await connect(f"{database_url}&sslmod=require")
