"""Our own tokens: which are refused, what is cached, rotation of the secret, cost of a check."""

import base64
import json
import time
from collections.abc import Callable

import jwt
import pytest

from api.app import create_app
from api.http.permissions import ROLES, Role
from api.http.problems import Problem
from api.http.tokens import TOKEN_BYTES_MAX, Tokens, issue_token
from engine import Misconfigured, Settings
from engine.ids import CustomerId, InvalidId
from engine.ports.accounts import Session
from tests.api.client import BOOKING, SECRET, Api, token

SEAT = {"seatId": "gala:A-1-1"}
MAY_HOLD = ["booking:create:own"]


def _unsigned(claims: dict[str, object]) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims)}."


def _good(**claims: object) -> dict[str, object]:
    now_s = int(time.time())
    usual = {"sub": "ann", "iat": now_s, "exp": now_s + 60, "typ": "access"}
    return usual | {"permissions": MAY_HOLD} | claims


BAD_TOKENS: dict[str, Callable[[], str]] = {
    "unsigned": lambda: _unsigned(_good()),
    "another secret": lambda: jwt.encode(_good(), "t" * 48, algorithm="HS256"),
    "another algorithm": lambda: jwt.encode(_good(), SECRET + SECRET, algorithm="HS512"),
    "same secret, another algorithm": lambda: jwt.encode(_good(), SECRET, algorithm="HS384"),
    "expired": lambda: token("ann", MAY_HOLD, exp=int(time.time()) - 1),
    "issued in the future": lambda: token("ann", MAY_HOLD, iat=int(time.time()) + 600),
    "no subject": lambda: token(None, MAY_HOLD),
    "no expiry": lambda: token("ann", MAY_HOLD, exp=None),
    "no issue time": lambda: token("ann", MAY_HOLD, iat=None),
    "no type": lambda: token("ann", MAY_HOLD, typ=None),
    "a refresh token": lambda: token("ann", MAY_HOLD, typ="refresh"),
    "subject with a space": lambda: token("ann lee", MAY_HOLD),
    "subject with a newline": lambda: token("ann\n", MAY_HOLD),
    "subject too long": lambda: token("a" * 129, MAY_HOLD),
    "permissions not a list": lambda: jwt.encode(_good(permissions=MAY_HOLD[0]), SECRET),
    "permissions not text": lambda: jwt.encode(_good(permissions=[1]), SECRET),
    "cut": lambda: token("ann", MAY_HOLD)[:-3],
    "not a token": lambda: "nonsense",
    "empty": lambda: "",
}


@pytest.mark.parametrize("name", BAD_TOKENS)
async def test_hold_seats_with_a_forged_or_expired_token_is_401(api: Api, name: str) -> None:
    await api.office.open()
    caller = {"authorization": f"Bearer {BAD_TOKENS[name]()}"}
    await api.refused(401, "unauthenticated", "POST", BOOKING, caller, json=SEAT)
    answer = await api.call("POST", BOOKING, caller, json=SEAT)
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'


@pytest.mark.parametrize("header", ["", "Bearer", "Basic YTpi", "Bearer \xe9", "token {}", "{}"])
async def test_hold_seats_with_another_scheme_is_401(api: Api, header: str) -> None:
    await api.office.open()
    value = header.format(token("ann", MAY_HOLD)).encode("latin-1")
    headers = {"authorization": value}
    await api.refused(401, "unauthenticated", "POST", BOOKING, headers, json=SEAT)


async def test_hold_seats_takes_the_customer_from_the_token(api: Api) -> None:
    await api.office.open()
    caller = {"authorization": f"bearer {token('user:7@example.org', MAY_HOLD)}"}
    booking = (await api.call("POST", BOOKING, caller, json=SEAT)).json()
    assert (await api.office.kept(booking["id"])).customer_id == "user:7@example.org"


@pytest.mark.parametrize("role", ["customer", "organizer", "admin"])
def test_issue_token_carries_the_permissions_of_its_role(role: Role) -> None:
    caller = Tokens(SECRET).caller(f"Bearer {issue_token(SECRET, 'ann', role)}".encode())
    assert (caller.customer_id, caller.permissions) == ("ann", ROLES[role])


def test_issue_token_for_a_subject_that_is_no_customer_id_is_refused() -> None:
    with pytest.raises(InvalidId, match="customer id"):
        issue_token(SECRET, "ann lee", "customer")


@pytest.mark.parametrize("secret", ["", "s" * 31, "\u00e9" * 15])
def test_app_with_a_short_secret_refuses_to_start(secret: str) -> None:
    with pytest.raises(Misconfigured, match=r"JWT_SECRET: .* at least 32"):
        create_app(Settings(redis_url="redis://nowhere", jwt_secret=secret))
    with pytest.raises(Misconfigured, match="JWT_SECRET"):
        issue_token(secret, "ann", "customer")


def test_cached_token_still_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = Tokens(SECRET)
    header = f"Bearer {token('ann')}".encode()
    caller = tokens.caller(header)
    assert tokens.caller(header) is caller
    monkeypatch.setattr("api.http.tokens.time.time", lambda: caller.expires_at_s)
    with pytest.raises(Problem, match="expired"):
        tokens.caller(header)


def test_cached_token_costs_at_most_10_us() -> None:
    tokens = Tokens(SECRET)
    header = f"Bearer {issue_token(SECRET, 'ann', 'customer')}".encode()
    tokens.caller(header)

    def cost_s() -> float:
        began = time.perf_counter()
        for _ in range(1000):
            assert "booking:create:own" in tokens.caller(header).permissions
        return (time.perf_counter() - began) / 1000

    assert min(cost_s() for _ in range(5)) < 10e-6


def test_of_two_secrets_the_first_signs_and_both_verify() -> None:
    old, new, other = ("o" * 32, "n" * 32, "x" * 32)
    before = Tokens(f"{old},{new}")
    after = Tokens(f"{new}, {old}")
    signed = {secret: issue_token(secret, "ann", "customer") for secret in (old, new, other)}
    for tokens in (before, after):
        for secret in (old, new):
            assert tokens.caller(f"Bearer {signed[secret]}".encode()).customer_id == "ann"
        with pytest.raises(Problem):
            tokens.caller(f"Bearer {signed[other]}".encode())
    session = Session(account_id=CustomerId("acc_1"), session_id="s", permissions=())
    assert Tokens(new).caller(f"Bearer {after.issue(session, 60)}".encode()).session_id == "s"
    with pytest.raises(Problem):
        Tokens(old).caller(f"Bearer {after.issue(session, 60)}".encode())
    with pytest.raises(Misconfigured, match="JWT_SECRET: must have at least 32 bytes"):
        Tokens(f"{new},short")


def test_a_token_is_cached_once_however_the_header_spells_it() -> None:
    tokens = Tokens(SECRET)
    text = token("ann").encode()
    for spaces in range(1, 500):
        tokens.caller(b"Bearer" + b" " * spaces + text + b" " * (spaces % 7))
        tokens.caller(b"bEaReR " + text)
    assert len(tokens._verified) == 1


def test_a_token_that_is_too_long_is_refused_before_it_is_read() -> None:
    tokens = Tokens(SECRET)
    long = jwt.encode(_good(padding="x" * TOKEN_BYTES_MAX), SECRET, algorithm="HS256")
    with pytest.raises(Problem, match="more than"):
        tokens.caller(b"Bearer " + long.encode())
    assert not tokens._verified


def test_tokens_occupy_no_more_than_their_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.http.tokens.CACHE_BYTES_MAX", 20_000)
    tokens = Tokens(SECRET)
    for number in range(100):
        assert tokens.caller(f"Bearer {token(f'c{number}')}".encode()).customer_id == f"c{number}"
    assert 0 < tokens._verified.currsize <= 20_000
    assert len(tokens._verified) < 20
