"""Buyers on sockets of their own, that record the outcome of every request.

No HTTP library: it would try again by itself, and could not tell a request that no byte of an
answer followed from one whose answer broke off. Each buyer keeps its connection, buys one place
after the other, each as another customer, and goes on when it is hung up on or turned away.
"""

import asyncio
import json
from collections.abc import Iterator
from enum import Enum
from itertools import count
from typing import NamedTuple

from api.http.tokens import issue_token

BOOKING = "/api/v1/booking"
PAYMENT = "/api/v1/payment"
_PAUSE_S = 0.01


class Fate(Enum):
    """What became of a request. All but CUT are a server's right while it ends."""

    ANSWERED = "answered"
    REFUSED = "no connection was made: nothing was sent"
    UNANSWERED = "hung up before the first byte of an answer: must not have happened"
    CUT = "hung up within an answer"


class Deed(NamedTuple):
    """One request of one customer, about one booking once there is one."""

    what: str
    customer: str
    fate: Fate
    status: int = 0
    booking: str = ""


class Buyers:
    """Buy until stopped. `deeds` has all they did."""

    def __init__(self, port: int, secret: str, seats: Iterator[str]) -> None:
        self.deeds: list[Deed] = []
        self._port = port
        self._secret = secret
        self._seats = seats
        self._names = count(1)
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self, buyer_count: int) -> None:
        """Let so many come."""
        self._tasks = [asyncio.create_task(self._buy()) for _ in range(buyer_count)]

    async def end(self) -> None:
        """Let each finish what it does."""
        self._stop.set()
        await asyncio.gather(*self._tasks)

    def fates(self) -> dict[Fate, int]:
        """How often each fate was met."""
        return {fate: sum(deed.fate is fate for deed in self.deeds) for fate in Fate}

    async def _buy(self) -> None:
        line = _Line(self._port)
        while not self._stop.is_set() and (seat := next(self._seats, None)):
            customer = f"buyer-{next(self._names)}"
            token = issue_token(self._secret, customer, "customer", ttl_s=600)
            held = await line.post(BOOKING, token, f"hold-{customer}", {"seatId": seat})
            booking = held.json().get("id", "") if held.status == 201 else ""
            self.deeds.append(Deed("hold", customer, held.fate, held.status, booking))
            if booking:
                paid = await line.post(f"{PAYMENT}/{booking}/confirm", token, f"pay-{customer}")
                self.deeds.append(Deed("confirm", customer, paid.fate, paid.status, booking))
            await asyncio.sleep(_PAUSE_S)
        line.close()


class _Reply(NamedTuple):
    fate: Fate
    status: int = 0
    body: bytes = b""

    def json(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.body)
        return found


class _Line:
    """One kept connection at a time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writer: asyncio.StreamWriter | None = None
        self._reader: asyncio.StreamReader

    async def post(
        self, path: str, token: str, request_id: str, body: dict[str, str] | None = None
    ) -> _Reply:
        """Send one request, once."""
        if self._writer is None or self._reader.at_eof():
            self.close()
            try:
                opened = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                return _Reply(Fate.REFUSED)
            self._reader, self._writer = opened
        self._writer.write(_request(path, token, request_id, body))
        reply = await self._read()
        if reply.fate is not Fate.ANSWERED:
            self.close()
        return reply

    def close(self) -> None:
        """Hang up."""
        if self._writer:
            self._writer.close()
            self._writer = None

    async def _read(self) -> _Reply:
        head = b""
        try:
            head = await self._reader.readexactly(1)
            head += await self._reader.readuntil(b"\r\n\r\n")
            lines = head.decode().lower().split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines[1:] if line)
            body = await self._reader.readexactly(int(headers["content-length"]))
        except (OSError, asyncio.IncompleteReadError):
            return _Reply(Fate.CUT if head else Fate.UNANSWERED)
        if headers.get("connection") == "close":
            self.close()
        return _Reply(Fate.ANSWERED, int(head[9:12]), body)


def _request(path: str, token: str, request_id: str, body: dict[str, str] | None) -> bytes:
    content = json.dumps(body).encode() if body else b""
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: test",
        f"Authorization: Bearer {token}",
        f"Idempotency-Key: {request_id}",
        f"Content-Length: {len(content)}",
        *(["Content-Type: application/json"] if body else []),
    ]
    return "\r\n".join((*lines, "", "")).encode() + content


def broken(deeds: list[Deed], kept: dict[str, tuple[str, str]]) -> list[str]:
    """What was promised and is not so; `kept` has customer and status of every booking."""
    found = []
    customers = {customer for customer, _ in kept.values()}
    for deed in deeds:
        _, status = kept.get(deed.booking, ("", "absent"))
        fine = {
            Fate.ANSWERED: 200 <= deed.status < 300 and status in _PROVEN[deed.what],
            Fate.REFUSED: True,
            Fate.CUT: False,
            Fate.UNANSWERED: (
                deed.customer not in customers if deed.what == "hold" else status != "confirmed"
            ),
        }[deed.fate]
        if not fine:
            found.append(f"{deed}: {status}")
    return found


_PROVEN = {"hold": ("pending", "confirmed"), "confirm": ("confirmed",)}
