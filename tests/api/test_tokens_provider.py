"""S2: tokens of an external identity provider, and forgeries of them."""

import base64
import hashlib
import hmac
import json
import time
import warnings
from collections.abc import AsyncIterator, Iterator
from typing import Any

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from httpx2 import ASGITransport, AsyncClient
from redis.asyncio import Redis

from api.app import create_app
from api.http import jwks
from engine import Engine, Misconfigured, Settings
from tests.api.client import BOOKING, EVENT, SECRET, Api, token
from tests.support.box_office import BoxOffice
from tests.support.key_server import KeyServer

ISSUER = "https://login.example.org/"
AUDIENCE = "https://tickets.example.org"
SEAT = {"seatId": "gala:A-1-1"}

RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
ATTACKER = rsa.generate_private_key(65537, 2048)
SHORT = rsa.generate_private_key(65537, 1024)
PRIVATE: dict[str, Any] = {"RS256": RSA, "ES256": EC, "EdDSA": ED}


def _jwk(key: Any, kid: str, **more: str) -> dict[str, Any]:
    kind = {RSA: "RS256", ATTACKER: "RS256", SHORT: "RS256", EC: "ES256", ED: "EdDSA"}[key]
    algorithm = jwt.get_algorithm_by_name(kind)
    shown: dict[str, Any] = algorithm.to_jwk(key.public_key(), as_dict=True)
    return {**shown, "kid": kid, **more}


def _signed(key: Any = RSA, algorithm: str = "RS256", kid: object = "RS256", **claims: Any) -> str:
    now_s = int(time.time())
    usual = {"sub": "auth0|ann", "iss": ISSUER, "aud": AUDIENCE, "iat": now_s, "exp": now_s + 60}
    stated = {name: value for name, value in (usual | claims).items() if value is not None}
    headers = {} if kid is None else {"kid": kid}
    with warnings.catch_warnings(action="ignore"):  # of a key that is too short
        return jwt.encode(stated, key, algorithm=algorithm, headers=headers)


@pytest.fixture
def provider() -> Iterator[KeyServer]:
    server = KeyServer(
        [
            *(_jwk(key, name, use="sig") for name, key in PRIVATE.items()),
            _jwk(SHORT, "short"),
            {"kty": "oct", "kid": "shared", "k": base64.urlsafe_b64encode(b"k" * 48).decode()},
            {"kty": "RSA", "kid": "broken"},
            _jwk(ATTACKER, "for encryption", use="enc"),
        ]
    )
    yield server
    server.close()


@pytest.fixture
async def theirs(
    settings: Settings, engine: Engine, redis: Redis, provider: KeyServer
) -> AsyncIterator[Api]:
    """An API that trusts the provider; the gala is open."""
    app = create_app(
        msgspec.structs.replace(
            settings, jwks_url=provider.url, jwt_issuer=ISSUER, jwt_audience=AUDIENCE
        )
    )
    transport = ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        AsyncClient(transport=transport, base_url="http://api") as http,
    ):
        api = Api(http, BoxOffice(engine, redis))
        await api.office.open()
        yield api


async def _hold(api: Api, text: str) -> int:
    caller = {"authorization": f"Bearer {text}"}
    return (await api.call("POST", BOOKING, caller, json=SEAT)).status_code


@pytest.mark.parametrize("algorithm", PRIVATE)
async def test_token_of_the_provider_holds_as_a_customer(theirs: Api, algorithm: str) -> None:
    text = _signed(PRIVATE[algorithm], algorithm, algorithm)
    caller = {"authorization": f"Bearer {text}"}
    booking = (await theirs.call("POST", BOOKING, caller, json=SEAT)).json()
    assert (await theirs.office.kept(booking["id"])).customer_id == "auth0|ann"
    assert (await theirs.call("POST", EVENT, caller, json={})).status_code == 403


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"scope": "openid profile"}, 403),
        ({"scope": "openid event:create:own"}, 422),
        ({"permissions": ["event:create:own", "something:else"]}, 422),
        ({"permissions": [], "scope": "event:create:own"}, 403),
        ({"aud": ["other", AUDIENCE], "typ": "Bearer", "scope": "event:create:own"}, 422),
    ],
)
async def test_token_of_the_provider_carries_its_permissions(
    theirs: Api, claims: dict[str, Any], status: int
) -> None:
    caller = {"authorization": f"Bearer {_signed(**claims)}"}
    assert (await theirs.call("POST", EVENT, caller, json={})).status_code == status


def _public_pem() -> bytes:
    return RSA.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _hmac_with(key: bytes, **header: object) -> str:
    """HS256 by hand: PyJWT itself refuses to sign with a public key."""

    def part(value: object) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

    now_s = int(time.time())
    claims = {"sub": "ann", "iss": ISSUER, "aud": AUDIENCE, "iat": now_s, "exp": now_s + 60}
    claims |= {"typ": "access", "permissions": ["booking:create:own"]}
    text = part({"alg": "HS256", "typ": "JWT", **header}) + b"." + part(claims)
    signature = base64.urlsafe_b64encode(hmac.digest(key, text, hashlib.sha256)).rstrip(b"=")
    return (text + b"." + signature).decode()


def _with_header(text: str, **header: object) -> str:
    """The same signature under another header."""
    encoded = base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")
    return ".".join([encoded, *text.split(".")[1:]])


NOW_S = int(time.time())
FORGED = {
    "unsigned": lambda: _with_header(_signed(), alg="none", kid="RS256").rpartition(".")[0] + ".",
    "none in capitals": lambda: _with_header(_signed(), alg="NONE").rpartition(".")[0] + ".",
    "public key as a shared secret": lambda: _hmac_with(_public_pem(), kid="RS256"),
    "key set's shared secret": lambda: _hmac_with(b"k" * 48, kid="shared"),
    "empty secret": lambda: _hmac_with(b"", kid="RS256"),
    "another private key": lambda: _signed(ATTACKER),
    "key of its own in the header": lambda: jwt.encode(
        {"sub": "eve", "iss": ISSUER, "aud": AUDIENCE, "exp": NOW_S + 600},
        ATTACKER,
        algorithm="RS256",
        headers={"kid": "RS256", "jwk": _jwk(ATTACKER, "RS256"), "jku": "http://127.0.0.1:1/keys"},
    ),
    "another algorithm of the same key": lambda: _signed(algorithm="RS512"),
    "algorithm of another key": lambda: _signed(EC, "ES256", "RS256"),
    "key for encryption": lambda: _signed(ATTACKER, kid="for encryption"),
    "key that is too short": lambda: _signed(SHORT, kid="short"),
    "unknown key": lambda: _signed(kid="unknown"),
    "no key": lambda: _signed(kid=None),
    "key by path": lambda: _signed(kid="../../../dev/null"),
    "key by SQL": lambda: _signed(kid="x' UNION SELECT 'k"),
    "key by URL": lambda: _signed(kid="http://127.0.0.1:1/keys"),
    "key that is a number": lambda: _with_header(_signed(), alg="RS256", kid=7),
    "key that is a list": lambda: _with_header(_signed(), alg="RS256", kid=["RS256"]),
    "algorithm that is a list": lambda: _with_header(_signed(), alg=["RS256"], kid="RS256"),
    "critical extension": lambda: jwt.encode(
        {"sub": "a", "iss": ISSUER, "aud": AUDIENCE, "exp": NOW_S + 600},
        RSA,
        algorithm="RS256",
        headers={"kid": "RS256", "crit": ["b64"], "b64": False},
    ),
    "for another audience": lambda: _signed(aud="https://other.example.org"),
    "without an audience": lambda: _signed(aud=None),
    "by another issuer": lambda: _signed(iss="https://evil.example.org/"),
    "issuer that begins alike": lambda: _signed(iss=ISSUER + "evil"),
    "without an issuer": lambda: _signed(iss=None),
    "expired": lambda: _signed(exp=int(time.time()) - 60),
    "no end": lambda: _signed(exp=None),
    "not yet": lambda: _signed(nbf=int(time.time()) + 600),
    "issued in the future": lambda: _signed(iat=int(time.time()) + 600),
    "id token": lambda: _signed(typ="ID"),
    "refresh token": lambda: _signed(typ="Refresh"),
    "account of ours": lambda: _signed(sub="acc_01JDTESTTESTTESTTESTTESTTE"),
    "no subject": lambda: _signed(sub=None),
    "subject with a space": lambda: _signed(sub="ann lee"),
    "changed": lambda: _signed()[:-8] + "AAAAAAAA",
    "ours with their algorithm": lambda: _with_header(token("ann"), alg="RS256", kid="RS256"),
}


@pytest.mark.parametrize("name", FORGED)
async def test_forged_token_of_the_provider_is_401(theirs: Api, name: str) -> None:
    assert await _hold(theirs, _signed()) == 201, "the keys are there"
    caller = {"authorization": f"Bearer {FORGED[name]()}"}
    await theirs.refused(401, "unauthenticated", "POST", BOOKING, caller, json=SEAT)


@pytest.mark.parametrize("algorithm", PRIVATE)
async def test_token_of_a_provider_is_401_where_none_is_trusted(api: Api, algorithm: str) -> None:
    await api.office.open()
    assert await _hold(api, _signed(PRIVATE[algorithm], algorithm, algorithm)) == 401


async def test_tokens_of_ours_count_beside_the_providers(theirs: Api) -> None:
    assert await _hold(theirs, token("ann", ["booking:create:own"])) == 201


async def test_clocks_may_differ_by_the_leeway(theirs: Api) -> None:
    now_s = int(time.time())
    assert await _hold(theirs, _signed(iat=now_s + 5, nbf=now_s + 5)) == 201
    assert await _hold(theirs, _signed(exp=now_s - 5)) == 409
    assert await _hold(theirs, token("ann", ["booking:create:own"], iat=now_s + 5)) == 409
    assert await _hold(theirs, token("ann", ["booking:create:own"], exp=now_s - 1)) == 401


async def test_new_key_is_learned_at_its_first_token_and_an_old_one_forgotten(
    theirs: Api, provider: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = _signed()
    assert await _hold(theirs, old) == 201
    provider.keys = [_jwk(ATTACKER, "new")]
    assert await _hold(theirs, _signed(ATTACKER, kid="new")) == 401, "asked just now"

    monkeypatch.setattr(jwks, "REFETCH_S", 0)

    assert await _hold(theirs, _signed(ATTACKER, kid="new")) == 409
    assert await _hold(theirs, old) == 401, "though it had been seen"


async def test_made_up_keys_ask_the_provider_once(theirs: Api, provider: KeyServer) -> None:
    assert await _hold(theirs, _signed()) == 201
    asked_count = provider.asked_count
    for number in range(50):
        assert await _hold(theirs, _signed(kid=f"made up {number}")) == 401
    assert provider.asked_count == asked_count == 1


async def test_provider_that_is_away_leaves_the_keys_as_they_were(
    theirs: Api, provider: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await _hold(theirs, _signed()) == 201
    monkeypatch.setattr(jwks, "REFETCH_S", 0)
    provider.away = True
    assert await _hold(theirs, _signed(kid="unknown")) == 401
    provider.away, provider.keys = False, [{"kty": "oct", "kid": "x", "k": "eA"}]
    assert await _hold(theirs, _signed(kid="unknown")) == 401
    assert await _hold(theirs, _signed(ED, "EdDSA", "EdDSA")) == 409


@pytest.mark.parametrize(
    ("over", "says"),
    [
        ({"jwks_url": "https://login.example.org/keys"}, "JWT_ISSUER and JWT_AUDIENCE"),
        ({"jwks_url": "https://login.example.org/keys", "jwt_issuer": ISSUER}, "JWT_AUDIENCE"),
        ({"jwks_url": "http://login.example.org/keys"}, "https://"),
        ({"jwks_url": "file:///etc/passwd"}, "https://"),
        ({"jwks_url": "keys"}, "https://"),
    ],
)
def test_app_with_a_provider_anybody_could_be_refuses_to_start(
    over: dict[str, str], says: str
) -> None:
    complete = {"jwt_issuer": ISSUER, "jwt_audience": AUDIENCE} if says == "https://" else {}
    found = Settings(redis_url="redis://nowhere", jwt_secret=SECRET)
    with pytest.raises(Misconfigured, match=says):
        create_app(msgspec.structs.replace(found, **over, **complete))
