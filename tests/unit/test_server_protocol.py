"""One response in one piece equals uvicorn's two messages; the framing; the time limits."""

import asyncio
from collections.abc import Iterator

import msgspec
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn import Config
from uvicorn.server import ServerState

from api.http.decoding import RawBody, body_reader
from api.http.drain_state import DRAINING
from api.http.problems import Problem
from api.http.responses import EDGE_HEADERS, NO_STORE, SAFE, Header, Response, send_response
from api.server import protocol
from api.server.load_shedding import LoadShedder
from api.server.protocol import BoundedProtocol
from engine import Settings
from tests.support.waiting import until

GET = b"GET /%d HTTP/1.1\r\nhost: a\r\n\r\n"
LOCATION: Header = (b"location", b"/api/v1/booking/gala:1")
LONG = b"x" * 100_000
RESPONSES = {
    "a body": (200, Response(b'{"a":1}')),
    "a header of its own": (201, Response(b"{}", (LOCATION,))),
    "a problem": (409, Response(b"{}", content_type=b"application/problem+json")),
    "a page": (200, Response(b"<p>", content_type=b"text/html", policy=b"default-src 'self'")),
    "a long body": (200, Response(LONG)),
    "an empty body": (200, Response(b"")),
    "no content": (204, Response(b"")),
    "not modified": (304, Response(b"", ((b"etag", b'"1-0"'),))),
}


class _Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 9), "sockname": ("127.0.0.1", 80)})
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed
        self.written.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    @property
    def text(self) -> bytes:
        return b"".join(self.written)


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(protocol, "_load_shedder", lambda: LoadShedder(Settings()))
    monkeypatch.setattr(protocol, "_read_s", lambda: 60)
    yield
    DRAINING.reset()


def _app(status: int, response: Response, *, in_two: bool) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def seen(message: Message) -> None:
            await send(message)

        scope[EDGE_HEADERS] = ((b"x-request-id", scope["path"].encode()), *DRAINING.headers)
        await send_response(scope, seen if in_two else send, response, status, (*SAFE, NO_STORE))

    return app


def _connected(app: ASGIApp, timeout_keep_alive: int = 75) -> tuple[BoundedProtocol, _Transport]:
    config = Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=timeout_keep_alive,
    )
    config.load()
    state = ServerState()
    state.default_headers = [(b"date", b"Sun, 22 Nov 2026 10:00:00 GMT")]
    connection, transport = BoundedProtocol(config, state, {}), _Transport()
    connection.connection_made(transport)
    return connection, transport


async def _answered(app: ASGIApp, request: bytes = GET % 1) -> _Transport:
    connection, transport = _connected(app)
    connection.data_received(request)
    await asyncio.gather(*connection.tasks)
    connection.connection_lost(OSError())
    return transport


def _parts(text: bytes) -> tuple[bytes, list[bytes], bytes]:
    head, _, body = text.partition(b"\r\n\r\n")
    status, *headers = head.split(b"\r\n")
    return status, sorted(headers), body


@pytest.mark.parametrize("request_line", ["GET", "HEAD", "GET that closes", "GET of old"])
@pytest.mark.parametrize("name", RESPONSES)
async def test_one_piece_says_what_two_messages_say(name: str, request_line: str) -> None:
    method, _, more = request_line.partition(" ")
    request = (GET % 1).replace(b"GET", method.encode())
    if more == "that closes":
        request = request.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
    elif more:
        request = request.replace(b"1.1", b"1.0")
    whole = await _answered(_app(*RESPONSES[name], in_two=False), request)
    messages = await _answered(_app(*RESPONSES[name], in_two=True), request)
    assert _parts(whole.text) == _parts(messages.text)
    assert whole.closed == messages.closed == bool(more)


async def test_one_piece_is_one_write_and_two_messages_are_two() -> None:
    """The control: the comparison above does not compare one way with itself."""
    answer = RESPONSES["a body"]
    assert len((await _answered(_app(*answer, in_two=False))).written) == 1
    assert len((await _answered(_app(*answer, in_two=True))).written) == 2


async def test_a_draining_process_closes_after_its_response() -> None:
    DRAINING.begin()
    answered = await _answered(_app(*RESPONSES["a body"], in_two=False))
    assert b"\r\nconnection: close\r\n" in answered.text
    assert answered.closed


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: b=c", b"a\nb", b"a\rb"])
async def test_a_header_value_with_a_line_break_is_not_sent(value: bytes) -> None:
    answer = Response(b"{}", ((b"location", value),))
    answered = await _answered(_app(200, answer, in_two=False))
    assert answered.text == b""
    assert answered.closed


BODY = b'{"a":1}'
POST = b"POST /1 HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
LENGTH = b"content-length: %d\r\n" % len(BODY)
WAYS = {
    "at once": [POST + LENGTH + b"\r\n" + BODY],
    "head and body": [POST + LENGTH + b"\r\n", BODY],
    "in two": [POST + LENGTH + b"\r\n" + BODY[:3], BODY[3:]],
    "in chunks": [POST + b"transfer-encoding: chunked\r\n\r\n7\r\n" + BODY + b"\r\n0\r\n\r\n"],
    "after 100-continue": [POST + LENGTH + b"expect: 100-continue\r\n\r\n", BODY],
}


@pytest.mark.parametrize("in_two", [False, True])
@pytest.mark.parametrize("name", WAYS)
async def test_a_body_is_read_however_it_arrives(name: str, in_two: bool) -> None:
    def wrapped(receive: Receive) -> Receive:
        async def seen() -> Message:
            return await receive()

        return seen

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope[EDGE_HEADERS] = ()
        read = body_reader(RawBody(bytes), 99)
        body = await read(wrapped(receive) if in_two else receive, dict(scope["headers"]))
        await send_response(scope, send, Response(body), 200)

    connection, transport = _connected(app)
    for part in WAYS[name]:
        connection.data_received(part)
        await asyncio.sleep(0)  # the app starts before the next part arrives
        await asyncio.sleep(0)
    await asyncio.gather(*connection.tasks)
    continued, _, answered = transport.text.rpartition(b"HTTP/1.1 200")
    assert answered.endswith(b"\r\n\r\n" + BODY)
    assert (continued == b"HTTP/1.1 100 Continue\r\n\r\n") == (name == "after 100-continue")
    connection.connection_lost(None)


@pytest.mark.parametrize("head", [LENGTH, b"transfer-encoding: chunked\r\n"])
async def test_a_body_that_is_too_large_is_refused(head: bytes) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with pytest.raises(Problem, match="at most 5 bytes"):
            await body_reader(RawBody(bytes), 5)(receive, dict(scope["headers"]))
        scope[EDGE_HEADERS] = ()
        await send_response(scope, send, Response(b""), 413)

    body = BODY if b"length" in head else b"7\r\n" + BODY + b"\r\n0\r\n\r\n"
    answered = await _answered(app, POST + head + b"\r\n" + body)
    assert answered.text.startswith(b"HTTP/1.1 413 ")


async def test_a_connection_ends_when_it_is_idle_and_not_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control sends requests all the time; one that awaits its response is not idle."""
    monkeypatch.setattr(protocol, "_read_s", lambda: 0.02)
    asked, answer = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope[EDGE_HEADERS] = ()
        if scope["path"] == "/2":
            asked.set()
            await answer.wait()
        await send_response(scope, send, Response(b"{}"), 200)

    connections = [_connected(app, timeout_keep_alive=1) for _ in range(3)]
    (idle, left), (busy, used), (slow, waited) = connections
    idle.data_received(GET % 1)
    slow.data_received(GET % 2)
    await asked.wait()

    async def left_alone() -> bool:
        busy.data_received(GET % 1)
        return left.closed

    await until(left_alone)
    assert not used.closed
    assert not waited.closed
    answer.set()
    await asyncio.gather(*busy.tasks, *slow.tasks)
    assert waited.text.startswith(b"HTTP/1.1 200 ")
    for connection, _ in connections:
        connection.connection_lost(OSError())


async def test_a_rejected_client_may_wait_for_its_retry_on_this_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control never sent a request, so it is closed."""
    monkeypatch.setattr(protocol, "_read_s", lambda: 0.02)
    app = _app(*RESPONSES["a body"], in_two=False)
    (away, told), (silent, hung_up) = (_connected(app, timeout_keep_alive=1) for _ in range(2))
    away._shedder.in_flight_max = 0
    away.data_received(GET % 1)
    assert told.text.startswith(b"HTTP/1.1 503 ")

    async def silent_is_closed() -> bool:
        return hung_up.closed

    await until(silent_is_closed)
    await asyncio.sleep(0.2)
    assert not told.closed

    async def idle_is_closed() -> bool:
        return told.closed

    await until(idle_is_closed)
    for connection in (away, silent):
        connection.connection_lost(None)


async def test_responses_keep_the_sequence_of_pipelined_requests() -> None:
    connection, transport = _connected(_app(*RESPONSES["a body"], in_two=False))
    connection.data_received(b"".join(GET % number for number in range(5)))

    async def all_answered() -> bool:
        return transport.text.count(b"HTTP/1.1 200") == 5

    await until(all_answered)
    ids = [line for line in transport.text.split(b"\r\n") if line.startswith(b"x-request-id")]
    assert ids == [b"x-request-id: /%d" % number for number in range(5)]
    connection.connection_lost(None)


async def test_a_client_that_reads_slowly_is_waited_for() -> None:
    connection, transport = _connected(_app(*RESPONSES["a body"], in_two=False))
    connection.pause_writing()
    connection.data_received(GET % 1)
    [task] = connection.tasks
    done, _ = await asyncio.wait({task}, timeout=0.05)
    assert not done
    assert transport.written == []
    connection.resume_writing()
    await task
    assert transport.text.startswith(b"HTTP/1.1 200 ")
    connection.connection_lost(None)


async def test_the_server_s_own_headers_are_current() -> None:
    connection, transport = _connected(_app(*RESPONSES["a body"], in_two=False))
    for second in (b"1", b"2"):
        connection.server_state.default_headers = [(b"date", second)]
        connection.data_received(GET % 1)
        await asyncio.gather(*connection.tasks)
    assert [part.split(b"\r\n")[1] for part in transport.written] == [b"date: 1", b"date: 2"]
    connection.connection_lost(None)


async def _echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Respond with the path, the headers and the body that arrived."""
    body = b""
    while (message := await receive())["type"] == "http.request":
        body += message["body"]
        if not message["more_body"]:
            break
    scope[EDGE_HEADERS] = ()
    names = b",".join(name for name, _ in scope["headers"])
    await send_response(
        scope, send, Response(b" ".join((scope["path"].encode(), names, body))), 200
    )


async def _told(*parts: bytes) -> tuple[list[tuple[int, bytes]], bool]:
    """Status and body of each response to what arrives in parts, and whether it was closed."""
    connection, transport = _connected(_echo)
    for part in parts:
        if not transport.closed:
            connection.data_received(part)
            await asyncio.sleep(0)

    async def answered() -> bool:
        return transport.closed or not connection.tasks

    await until(answered)
    connection.connection_lost(OSError())
    heads = transport.text.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"").split(b"HTTP/1.1 ")[1:]
    return [(int(one[:3]), one.partition(b"\r\n\r\n")[2]) for one in heads], transport.closed


UPGRADES = {
    "h2c": b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n",
    "websocket": b"connection: keep-alive, Upgrade\r\nupgrade: websocket\r\n",
    "lower case": b"connection: upgrade\r\nupgrade: foo/2, bar\r\n",
    "in two headers": b"connection: keep-alive\r\nconnection: Upgrade\r\nupgrade: h2c\r\n",
}


@pytest.mark.parametrize("parted", [False, True])
@pytest.mark.parametrize("framing", ["length", "chunks", "100-continue", "none"])
@pytest.mark.parametrize("name", UPGRADES)
async def test_an_upgrade_is_ignored_and_its_body_read(
    name: str, framing: str, parted: bool
) -> None:
    """The body was lost and the connection with it: 400 for the bytes of the body."""
    framed, body, header = {
        "length": (LENGTH, BODY, b",content-length"),
        "100-continue": (LENGTH + b"expect: 100-continue\r\n", BODY, b",content-length,expect"),
        "chunks": (
            b"transfer-encoding: chunked\r\n",
            b"7\r\n" + BODY + b"\r\n0\r\n\r\n",
            b",transfer-encoding",
        ),
        "none": (b"", b"", b""),
    }[framing]
    head = b"POST /1 HTTP/1.1\r\nhost: a\r\n" + UPGRADES[name] + framed + b"\r\n"
    sent = head + body + GET % 2
    parts = [sent[at : at + 7] for at in range(0, len(sent), 7)] if parted else [sent]
    answers, closed = await _told(*parts)
    kept = b",connection" if b"keep-alive" in UPGRADES[name] else b""
    read = BODY if body else b""
    assert answers == [(200, b"/1 host" + kept + header + b" " + read), (200, b"/2 host ")]
    assert not closed


async def test_an_upgrade_of_a_request_that_closes_closes() -> None:
    head = b"GET /1 HTTP/1.1\r\nhost: a\r\nconnection: close, Upgrade\r\nupgrade: h2c\r\n\r\n"
    assert await _told(head) == ([(200, b"/1 host,connection ")], True)


HOSTS = ("a", "tickets.example", "a:80", "a:", "127.0.0.1:8000", "[::1]:8000", "a_b", "x%20y")
BAD_HOSTS = (
    "",
    "a b",
    "a,b",
    "a/b",
    "http://a",
    "a@b",
    "a:b",
    "a:80:80",
    "[::1",
    "::1",
    "%zz",
    '"a"',
)


@pytest.mark.parametrize("host", HOSTS)
async def test_a_request_has_one_host(host: str) -> None:
    answers, closed = await _told(b"GET /1 HTTP/1.1\r\nHost: %b\r\n\r\n" % host.encode())
    assert (answers, closed) == ([(200, b"/1 host ")], False)


MALFORMED = {
    "no Host": b"GET /1 HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET /1 HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
    "a Host twice": b"GET /1 HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
    "two Hosts of old": b"GET /1 HTTP/1.0\r\nhost: a\r\nhost: a\r\n\r\n",
    "no Host with an Upgrade": b"GET /1 HTTP/1.1\r\nconnection: upgrade\r\nupgrade: a\r\n\r\n",
    **{
        f"Host {host!r}": b"GET /1 HTTP/1.1\r\nhost: %b\r\n\r\n" % host.encode()
        for host in BAD_HOSTS
    },
    "two lengths": POST + LENGTH * 2 + b"\r\n" + BODY,
    "a list of lengths": POST + b"content-length: 7, 7\r\n\r\n" + BODY,
    "a length with a sign": POST + b"content-length: +7\r\n\r\n" + BODY,
    "a length and chunks": POST + LENGTH + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and a length": POST + b"transfer-encoding: chunked\r\n" + LENGTH + b"\r\n0\r\n\r\n",
    "chunks that are not last": POST + b"transfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "a coding of its own": POST + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a folded header": b"GET /1 HTTP/1.1\r\nhost: a\r\nx: a\r\n b\r\n\r\n",
    "a space before the colon": b"GET /1 HTTP/1.1\r\nhost : a\r\n\r\n",
    "a header without a name": b"GET /1 HTTP/1.1\r\nhost: a\r\n: b\r\n\r\n",
    "a NUL": b"GET /1 HTTP/1.1\r\nhost: a\r\nx: a\x00b\r\n\r\n",
    "line ends of one byte": b"GET /1 HTTP/1.1\nhost: a\n\n",
    "a chunk of no size": POST + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
    "a chunk that is too long": POST + b"transfer-encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
    "a chunk without an end": POST + b"transfer-encoding: chunked\r\n\r\n%b\r\n" % (b"f" * 17),
    "a tunnel": b"CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_what_rfc_9112_forbids_is_a_problem_and_ends_the_connection(name: str) -> None:
    connection, transport = _connected(_echo)
    connection.data_received(MALFORMED[name] + GET % 2)
    await asyncio.sleep(0)
    head, _, body = transport.text.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    problem = msgspec.json.decode(body)
    assert (problem["status"], problem["code"]) == (400, "malformed")
    headers = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
    assert headers[b"content-type"] == b"application/problem+json"
    assert headers[b"content-length"] == b"%d" % len(body)
    assert headers[b"connection"] == b"close"
    assert {b"date", b"x-request-id", b"x-content-type-options"} <= set(headers)
    assert transport.closed
    connection.connection_lost(None)


async def test_http_of_old_needs_no_host() -> None:
    assert await _told(b"GET /1 HTTP/1.0\r\n\r\n") == ([(200, b"/1  ")], True)


async def test_trailer_fields_do_not_become_headers() -> None:
    """They follow the body: a proxy that checks headers has let it pass by then."""
    trailers = b"authorization: Bearer x\r\nhost: b\r\n\r\n"
    chunks = b"7\r\n" + BODY + b"\r\n0\r\n" + trailers
    sent = b"POST /1 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n" + chunks
    answers, _ = await _told(sent + GET % 2)
    assert answers == [(200, b"/1 host,transfer-encoding " + BODY), (200, b"/2 host ")]


@pytest.mark.parametrize("sent", [False, True])
async def test_connection_whose_body_was_not_called_for_is_closed(sent: bool) -> None:
    """Without 100-continue the client may send its body or another request: both look alike."""
    head = POST + LENGTH + b"expect: 100-continue\r\n\r\n"
    answered = await _answered(_app(*RESPONSES["a problem"], in_two=False), head + BODY * sent)
    assert answered.text.startswith(b"HTTP/1.1 409 ")
    assert answered.closed == (not sent)
