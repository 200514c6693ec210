"""The door: what may be turned away unread, how it is told, and when to come again."""

import asyncio
import json
import resource
from collections import Counter
from math import ceil

import pytest

from api.http.dispatch import PAYING_FACTOR
from api.server.load_shedding import (
    AHEAD_S_MAX,
    CLOSE,
    OVERBOOKED,
    TURNS_PER_S,
    LoadShedder,
    RetrySchedule,
    allow_files,
)
from engine import Settings

BODY = b'{"seatId":"gala:A-1-1"}'
HEAD = b"POST /api/v1/booking HTTP/1.1\r\nHost: a\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
PLACES = 10


@pytest.fixture
def door() -> LoadShedder:
    return LoadShedder(Settings(requests_in_flight_max=PLACES))


WHOLE = {
    "a body of its length": HEAD + LENGTH + b"\r\n" + BODY,
    "no body": HEAD + b"\r\n",
    "an empty body": HEAD + b"Content-Length: 0\r\n\r\n",
    "names in small letters": HEAD + LENGTH.lower() + b"\r\n" + BODY,
    "another method": HEAD.replace(b"POST", b"DELETE") + b"\r\n",
}
NOT_WHOLE = {
    "no end of the head": HEAD + LENGTH,
    "half a body": HEAD + LENGTH + b"\r\n" + BODY[:5],
    "a second request behind": HEAD + LENGTH + b"\r\n" + BODY + HEAD,
    "two lengths": HEAD + LENGTH + LENGTH + b"\r\n" + BODY,
    "a length that is none": HEAD + b"Content-Length: x\r\n\r\n" + BODY,
    "a negative length": HEAD + b"Content-Length: -1\r\n\r\n",
    "chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
    "both": HEAD + LENGTH + b"Transfer-Encoding: chunked\r\n\r\n" + BODY,
    "a body without a length": HEAD + b"\r\n" + BODY,
    "a client that wants to be hung up on": HEAD + b"Connection: close\r\n\r\n",
    "a client that asks first": HEAD + LENGTH + b"Expect: 100-continue\r\n\r\n",
    "another protocol": HEAD + b"Upgrade: websocket\r\n\r\n",
    "an old version": HEAD.replace(b"1.1", b"1.0") + b"\r\n",
    "a method nobody has": HEAD.replace(b"POST", b"BREW") + b"\r\n",
    "no HTTP": b"\x16\x03\x01\x02\x00",
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_request_may_be_turned_away(door: LoadShedder, name: str) -> None:
    assert door.may_refuse(WHOLE[name], PLACES)


@pytest.mark.parametrize("name", NOT_WHOLE)
def test_what_is_not_surely_one_request_goes_on(door: LoadShedder, name: str) -> None:
    assert not door.may_refuse(NOT_WHOLE[name], PLACES)


@pytest.mark.parametrize(
    "line",
    [
        "POST /api/v1/payment/gala:1/confirm",
        "GET /healthz",
        "GET /readyz",
        "OPTIONS /api/v1/booking",
    ],
)
def test_who_pays_or_watches_has_twice_the_places(door: LoadShedder, line: str) -> None:
    data = f"{line} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    assert not door.may_refuse(data, PAYING_FACTOR * PLACES - 1)
    assert door.may_refuse(data, PAYING_FACTOR * PLACES) == (not line.startswith("OPTIONS"))


async def test_the_answer_is_one_of_ours(door: LoadShedder) -> None:
    answer, after_s = door.turn_away(0)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"\r\ncontent-length: %d\r\n" % len(body) in head
    assert b"connection" not in head
    assert b"access-control" not in head
    problem = json.loads(body)
    assert problem["code"] == "overloaded"
    assert b"\r\nretry-after: 1\r\n" in head
    assert 0 < problem["retryAfterMs"] <= 1000
    assert ceil(after_s * 1000) == problem["retryAfterMs"]
    assert CLOSE + b"\r\n\r\n" in door.turn_away(0, then=CLOSE)[0]
    await asyncio.sleep(0)  # it is counted with the others of its tick


async def test_an_appointment_that_was_made_is_kept_and_takes_no_other(door: LoadShedder) -> None:
    for _ in range(10 * PLACES * TURNS_PER_S):
        answer, after_s = door.turn_away(0, appointed_s=2.99)
        assert after_s == 3
        assert b"\r\nretry-after: 3\r\n" in answer
    assert door.turn_away(0, appointed_s=10 * AHEAD_S_MAX)[1] == AHEAD_S_MAX
    assert door.turn_away(0)[1] <= 1, "the next second is not booked"
    await asyncio.sleep(0)


async def test_pages_of_other_origins_may_read_it() -> None:
    answer, _ = LoadShedder(Settings(cors_origins="https://shop.example")).turn_away(0)
    assert b"\r\naccess-control-allow-origin: *\r\n" in answer
    assert b"\r\naccess-control-expose-headers: Retry-After\r\n" in answer


def test_appointments_are_no_more_a_second_than_can_be_kept() -> None:
    book = RetrySchedule(per_s=100)
    told = [book.make(50.0, 0) for _ in range(1000)]
    assert told == sorted(told), "who came first is first"
    assert set(Counter(told).values()) <= {100 * OVERBOOKED, 1000 % (100 * OVERBOOKED)}
    assert told[-1] == 7


def test_appointments_that_are_all_booked_are_by_chance() -> None:
    book = RetrySchedule(per_s=10)
    told = [book.make(50.0, 0) for _ in range(5000)]
    assert max(told) == AHEAD_S_MAX
    rest = Counter(told[1000:])
    assert len(rest) == AHEAD_S_MAX
    assert max(rest.values()) < 4 * min(rest.values())


def test_appointments_follow_what_is_answered() -> None:
    book = RetrySchedule(per_s=1000)
    last = [
        max(book.make(100.0 + second, second * 100) for _ in range(2000)) for second in range(8)
    ]
    assert last[0] == 2
    assert last[-1] > 10, "a tenth is answered: they are told to come much later"
    quiet = RetrySchedule(per_s=1000)
    quiet.make(100.0, 0)
    quiet.make(101.0, 5000)
    assert max(quiet.make(101.5, 5000) for _ in range(7000)) == 1, "it can do more than was thought"


def test_appointments_are_free_again_after_a_pause() -> None:
    book = RetrySchedule(per_s=10)
    for _ in range(5000):
        book.make(50.0, 0)
    assert book.make(50.0 + 2 * AHEAD_S_MAX, 0) == 1


def test_files_are_allowed_up_to_what_the_system_says() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        assert allow_files(500) == 500
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (600, before[1])
        assert allow_files(10**9) == before[1] - 100
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
