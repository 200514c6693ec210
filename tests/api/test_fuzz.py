"""S4: thousands of malformed requests, made from good ones by seeded chance: never a 5xx.

They go into the app as a server would hand them on, bytes and all, so nothing a client library
refuses to send is left out. What is wrong at the socket is in tests/faults/test_slow_clients.py.
"""

import os
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random
from typing import NamedTuple
from urllib.parse import unquote

import msgspec
import pytest
from httpx2 import AsyncClient
from starlette.types import ASGIApp, Message, Scope

from api.app import create_app
from api.http.decoding import FormBody
from api.http.problems import KINDS
from api.http.router import Resource
from api.routes import ROUTES, refusals_of
from engine import Settings
from engine.errors import Refused
from persistence.stores.stores import PostgresStores
from tests.api.cases import CASES
from tests.api.client import BOOKING, Api, bearer
from tests.api.test_routes import UNKNOWN, _owner
from tests.support.box_office import BoxOffice

SEED = int(os.environ.get("FUZZ_SEED", "20300601"))
REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "4000"))
GROWTH_BYTES_MAX = 64 * 2**20
"""Of the process from the middle to the end: what a leak of a body here and there would exceed."""


class Raw(msgspec.Struct):
    """A request as bytes, before it is spoiled."""

    method: str
    path: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Answered(NamedTuple):
    """What came back, and the path template that answered; "" is no route."""

    path: str
    status: int
    media: bytes
    body: bytes


Spoil = Callable[[Random, Raw], None]
NASTY = (
    *(
        b"",
        b"null",
        b"NaN",
        b"Infinity",
        b"-0",
        b"1e999",
        b"9" * 400,
        b'"\xed\xa0\x80"',
        b"\xff\xfe",
    ),
    *(b'"\\ud800"', b"\xef\xbb\xbf{}", b"[" * 9000, b'{"a":' * 9000, b'"' + b"\\u0000" * 50 + b'"'),
    *(b"-1", b"2.5", b"true", b"[]", b"{}", b'"' + b"x" * 70_000 + b'"', b"\x00", b"/* */"),
)
VALUES = (
    b"",
    b"\x00",
    b"\xff" * 9,
    b"x" * 9000,
    b"Bearer",
    b"Bearer " + b"." * 300,
    b"gzip",
    b"-1",
)
NAMES = (
    *(b"authorization", b"content-type", b"content-length", b"content-encoding", b"if-none-match"),
    *(b"idempotency-key", b"x-request-id", b"accept-encoding", b"x-forwarded-for", b"origin"),
    *(b"transfer-encoding", b"expect", b"host", b"payment-signature", b"last-event-id"),
)


def flip_bits(dice: Random, raw: Raw) -> None:
    """A few bits of the body."""
    body = bytearray(raw.body)
    for _ in range(dice.randint(1, 4)):
        if body:
            body[dice.randrange(len(body))] ^= 1 << dice.randrange(8)
    raw.body = bytes(body)


def cut_body(dice: Random, raw: Raw) -> None:
    """Only a part of the body."""
    raw.body = raw.body[: dice.randint(0, len(raw.body))]


def swap_value(dice: Random, raw: Raw) -> None:
    """One value of the JSON, anywhere in it, becomes something else."""
    places = [at for at in range(len(raw.body)) if raw.body[at : at + 1] in b':[,{"']
    at = dice.choice(places or [0])
    raw.body = raw.body[: at + 1] + dice.choice(NASTY) + raw.body[at + dice.randint(1, 9) :]


def replace_body(dice: Random, raw: Raw) -> None:
    """Another body altogether."""
    raw.body = dice.choice((*NASTY, dice.randbytes(dice.randint(1, 300))))


def spoil_path(dice: Random, raw: Raw) -> None:
    """Bytes in the path, or a part of it twice."""
    at = dice.randint(0, len(raw.path))
    noise = (b"%00", b"%ff", b"/..", b"//", b"%2e%2e%2f", b"{}", b"%7B%7D", b";", b"%", b"x" * 3000)
    raw.path = raw.path[:at] + dice.choice(noise) + raw.path[at:]


def spoil_query(dice: Random, raw: Raw) -> None:
    """Unknown parameters, twice, of no type, or of no text."""
    noise = (
        b"limit=-1",
        b"limit=1e9",
        b"cursor=%00",
        b"cursor=:",
        b"a=1&a=2",
        b"%ff=%ff",
        b"&" * 90,
    )
    raw.path += (b"&" if b"?" in raw.path else b"?") + dice.choice(noise)


def spoil_header(dice: Random, raw: Raw) -> None:
    """A header of any name and value, or one fewer."""
    if raw.headers and dice.random() < 0.3:
        raw.headers.pop(dice.randrange(len(raw.headers)))
    raw.headers.append((dice.choice(NAMES), dice.choice((*VALUES, dice.randbytes(40)))))


def add_headers(dice: Random, raw: Raw) -> None:
    """Many headers, or a huge one."""
    many = dice.choice((90, 5000))
    raw.headers += [(b"x-%d" % number, b"y" * (400_000 // many)) for number in range(many)]


def change_method(dice: Random, raw: Raw) -> None:
    """Another method."""
    raw.method = dice.choice(
        ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "FOO", "get")
    )


SPOILS: tuple[Spoil, ...] = (
    *(flip_bits, cut_body, swap_value, swap_value, replace_body),
    *(spoil_path, spoil_query, spoil_header, add_headers, change_method),
)


async def _good(api: Api) -> list[Raw]:
    """A request of every route that would succeed, or name what is not there."""
    await api.office.open(owner_id="orla", areas={"floor": 5})
    requests = []
    for route in ROUTES:
        try:
            path, body = await CASES[route.name, route.path](api)
        except (Refused, AssertionError):  # an earlier case has made the same booking or account
            path, body = route.path, None
            for name, absent in UNKNOWN.items():
                path = path.replace(f"{{{name}}}", absent)
        headers = [(b"content-type", b"application/json")]
        headers += [(name.encode(), value.encode()) for name, value in _owner(route).items()]
        encoded = b"" if body is None else msgspec.json.encode(body)
        requests.append(Raw(route.method, path.encode(), headers, encoded))
    return requests


async def _ask(app: ASGIApp, raw: Raw) -> Answered:
    """Call the app as a server would."""
    path, _, query = raw.path.partition(b"?")
    scope: Scope = {
        "type": "http",
        "method": raw.method,
        "path": unquote(path.decode("latin-1"), errors="replace"),
        "query_string": query,
        "headers": raw.headers,
        "client": ("127.0.0.1", 1),
    }
    parts: list[Message] = [
        {"type": "http.disconnect"},
        {"type": "http.request", "body": raw.body[7:]},
        {"type": "http.request", "body": raw.body[:7], "more_body": True},
    ]
    answered: list[Message] = []

    async def receive() -> Message:
        return parts.pop() if len(parts) > 1 else parts[0]

    async def send(message: Message) -> None:
        answered.append(message)

    await app(scope, receive, send)
    start, *bodies = answered
    media = dict(start["headers"]).get(b"content-type", b"")
    resource = scope.get("endpoint")
    template = resource.path if isinstance(resource, Resource) else ""
    return Answered(template, start["status"], media, b"".join(part["body"] for part in bodies))


def _is_declared(method: str, answered: Answered) -> bool:
    """Whether a refusal is a problem whose code the route table names for this call."""
    codes = {"not_found", "method_not_allowed", "headers_too_large"}
    for route in ROUTES:
        if (route.path, route.method) == (answered.path, method):
            codes = {*refusals_of(route)}
            if isinstance(route.body, FormBody) and answered.media.startswith(b"text/html"):
                return answered.status in {KINDS[code].status for code in codes}
    problem = msgspec.json.decode(answered.body)
    told = problem["status"] == answered.status and problem["code"] in codes
    return told and answered.media == b"application/problem+json"


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def test_malformed_requests_are_never_a_5xx(
    settings: Settings, office: BoxOffice, database_url: str
) -> None:
    dice = Random(SEED)
    stores = PostgresStores(database_url)
    app = create_app(settings, stores)
    statuses: Counter[int] = Counter()
    resident = [0]
    async with app.router.lifespan_context(app), AsyncClient() as http:
        good = await _good(Api(http, office, stores))
        for number in range(REQUESTS):
            raw = msgspec.structs.replace(first := dice.choice(good), headers=[*first.headers])
            spoils = dice.choices(SPOILS, k=dice.randint(1, 3))
            for spoil in spoils:
                spoil(dice, raw)
            answered = await _ask(app, raw)
            statuses[answered.status] += 1
            told = [spoil.__name__ for spoil in spoils], raw.method, raw.path[:99], raw.body[:300]
            assert 200 <= answered.status < 500, (SEED, number, told, answered)
            if answered.status >= 400 and raw.method != "HEAD":
                assert _is_declared(raw.method, answered), (SEED, number, told, answered)
            if number in (REQUESTS // 2, REQUESTS - 1):
                resident.append(_resident_bytes())
    grown = resident[-1] - resident[1]
    assert grown < GROWTH_BYTES_MAX
    assert len(statuses) > 6, "the requests are spoiled in too few ways"
    counted = ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items()))
    print(f"S4: {REQUESTS:,} requests, seed {SEED}, 5xx: 0 ({counted}); RSS +{grown >> 10:,} KiB")


@pytest.mark.parametrize("size", [65_537, 10 * 2**20])
async def test_huge_body_is_refused_before_it_is_read(api: Api, size: int) -> None:
    read = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(0, size, 65_536):
            read += 1
            yield b" " * 65_536

    headers = {**bearer("ann"), "content-type": "application/json"}
    await api.refused(413, "body_too_large", "POST", BOOKING, headers, content=pieces())
    assert read <= 2
    declared = {**headers, "content-length": str(size)}
    await api.refused(413, "body_too_large", "POST", BOOKING, declared, content=b"{}")
