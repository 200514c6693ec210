"""S4 at the socket: slow, endless and malformed requests do not delay other clients."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine import Engine, Settings
from tests.api.client import BOOKING, NOTICE, bearer, signature
from tests.support.box_office import BoxOffice
from tests.support.serving import serving
from tests.support.waiting import until

READ_S = 1
ANN = bearer("ann")["authorization"].encode()
SEAT = b'{"seatId": "gala:A-1-1"}'
HEAD = (
    b"POST %b HTTP/1.1\r\nHost: api\r\nAuthorization: %b\r\nContent-Type: application/json\r\n"
    % (
        BOOKING.encode(),
        ANN,
    )
)


@pytest.fixture
async def port(settings: Settings, tmp_path: Path) -> AsyncIterator[int]:
    """The API, with little patience."""
    async with serving(settings, tmp_path, REQUEST_READ_S=str(READ_S)) as port:
        yield port


async def _send(port: int, *parts: bytes) -> bytes:
    """Send the parts, then nothing more; what is answered until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        async with asyncio.timeout(20):
            while part := await reader.read(65_536):
                answer += part
    except ConnectionError:
        pass  # it was closed while we wrote, which is an answer too
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    return answer


def _problem(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), json.loads(body)["code"]


CLOSE = b"Connection: close\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
LONG = (b"x" * 60_000,) * 6
SLOW = {
    "nothing at all": b"",
    "half a request line": b"POST /api/v1/boo",
    "a head without its end": HEAD,
    "a body that does not come": HEAD + b"Content-Length: 24\r\n\r\n",
    "half a body": HEAD + b"Content-Length: 24\r\n\r\n" + SEAT[:10],
    "a chunk that does not end": HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
    "a body for no route": b"POST /nothing HTTP/1.1\r\nHost: api\r\nContent-Length: 99\r\n\r\n",
}


async def test_clients_that_never_finish_are_given_up_and_others_served(
    port: int, engine: Engine, office: BoxOffice
) -> None:
    await office.open()
    loop = asyncio.get_running_loop()
    began = loop.time()
    slow = {
        name: [asyncio.create_task(_send(port, part)) for _ in range(20)]
        for name, part in SLOW.items()
    }
    booking = await _send(port, HEAD + b"Content-Length: 24\r\n" + CLOSE + SEAT)
    assert booking.startswith(b"HTTP/1.1 201"), booking
    served_s = loop.time() - began
    answers = {name: await asyncio.gather(*tasks) for name, tasks in slow.items()}
    took_s = loop.time() - began
    assert set(answers["nothing at all"]) == {b""}
    for name in list(SLOW)[1:-1]:
        assert {_problem(answer) for answer in answers[name]} == {(408, "request_timeout")}, name
    assert {answer[:12] for answer in answers["a body for no route"]} == {b"HTTP/1.1 404"}
    assert took_s < 3 * READ_S + 2
    print(
        f"S4: {sum(map(len, slow.values()))} slow clients given up within {took_s:.1f} s "
        f"(REQUEST_READ_S {READ_S}); a hold among them took {served_s * 1000:.0f} ms"
    )


LARGE = ("an endless header", "an endless address", "200 headers")
NO_REQUESTS = {
    "an endless header": (b"GET / HTTP/1.1\r\nHost: a\r\nX: ", *LONG),
    "an endless address": (b"GET /", *LONG),
    "200 headers": (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"x: y\r\n" * 200 + CLOSE,),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",),
    "a version of its own": (b"GET / HTTP/9.9\r\n\r\n",),
    "a header with a space": (b"GET / HTTP/1.1\r\nHost: a\r\nA b: c\r\n\r\n",),
    "a negative length": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",),
    "two lengths": (b"POST / HTTP/1.1\r\nHost: a\r\n" + b"Content-Length: 1\r\n" * 2 + b"\r\n",),
    "a chunk of no size": (b"POST / HTTP/1.1\r\nHost: a\r\n" + CHUNKED + b"zz\r\n",),
    "a tunnel": (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",),
    "half an address": (b"GET http://[ HTTP/1.1\r\nHost: a\r\n\r\n",),
    "no host": (b"GET /healthz HTTP/1.1\r\n\r\n",),
    "two hosts": (b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",),
    "a host of two": (b"GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n",),
    "a length and chunks": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n" + CHUNKED,),
    "a folded header": (b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",),
}


async def test_what_is_no_request_is_answered_400_and_closed(port: int) -> None:
    for name, sent in NO_REQUESTS.items():
        told = (431, "headers_too_large") if name in LARGE else (400, "malformed")
        answer = await _send(port, *sent)
        assert answer == b"" or _problem(answer) == told, (name, answer[:300])
    assert (await _send(port, b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + CLOSE))[9:12] == b"200"


async def test_ten_megabytes_are_refused_while_they_come(port: int, office: BoxOffice) -> None:
    await office.open()
    head = HEAD + b"Connection: close\r\nContent-Length: 10485760\r\n\r\n"
    answer = await _send(port, head)
    assert _problem(answer) == (413, "body_too_large")
    streamed = HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    answer = await _send(port, streamed, *(chunk,) * 160, b"0\r\n\r\n")
    assert answer == b"" or _problem(answer) == (413, "body_too_large")


async def test_client_that_reads_nothing_is_given_up(port: int, office: BoxOffice) -> None:
    ask = b"GET /api/docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: api\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(ask * 20)  # far more than the buffers between us hold

        async def is_given_up() -> bool:
            try:
                client.send(b" ")
            except ConnectionError:
                return True
            return False

        await until(is_given_up, timeout_s=20)
    assert (await _send(port, b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + CLOSE))[9:12] == b"200"


UPGRADE = (
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
)


async def test_clients_that_offer_http_2_are_served_with_their_bodies(
    port: int, office: BoxOffice
) -> None:
    """As curl --http2 and Java's client send it; the signed notice was 401 without its body."""
    await office.open()
    seat = HEAD + UPGRADE + b"Content-Length: %d\r\n\r\n" % len(SEAT) + SEAT
    notice = b'{"id": "evt_1", "type": "payment.created", "data": {}}'
    signed = (
        b"POST %b HTTP/1.1\r\nHost: api\r\nContent-Type: application/json\r\n"
        b"Payment-Signature: %b\r\nContent-Length: %d\r\n"
        % (NOTICE.encode(), signature(notice).encode(), len(notice))
    )
    last = UPGRADE.replace(b"Upgrade,", b"close, Upgrade,") + b"\r\n"
    answers = (await _send(port, seat + signed + last + notice)).split(b"HTTP/1.1 ")
    assert [answer[:3] for answer in answers] == [b"", b"201", b"200"]
    assert b'"ignored"' in answers[2]
