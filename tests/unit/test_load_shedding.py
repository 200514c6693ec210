"""Load shedding: what is rejected before it is parsed, the response, and when to retry."""

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
    OVERBOOKING,
    TURNOVERS_PER_S,
    LoadShedder,
    RetrySchedule,
    allow_files,
)
from engine import Settings

BODY = b'{"seatId":"gala:A-1-1"}'
HEAD = b"POST /api/v1/booking HTTP/1.1\r\nHost: a\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
IN_FLIGHT_MAX = 10


@pytest.fixture
def shedder() -> LoadShedder:
    return LoadShedder(Settings(requests_in_flight_max=IN_FLIGHT_MAX))


WHOLE = {
    "a body of its length": HEAD + LENGTH + b"\r\n" + BODY,
    "no body": HEAD + b"\r\n",
    "an empty body": HEAD + b"Content-Length: 0\r\n\r\n",
    "header names in lower case": HEAD + LENGTH.lower() + b"\r\n" + BODY,
    "another method": HEAD.replace(b"POST", b"DELETE") + b"\r\n",
}
NOT_WHOLE = {
    "headers without an end": HEAD + LENGTH,
    "half a body": HEAD + LENGTH + b"\r\n" + BODY[:5],
    "a second request after it": HEAD + LENGTH + b"\r\n" + BODY + HEAD,
    "two lengths": HEAD + LENGTH + LENGTH + b"\r\n" + BODY,
    "a length that is not a number": HEAD + b"Content-Length: x\r\n\r\n" + BODY,
    "a negative length": HEAD + b"Content-Length: -1\r\n\r\n",
    "chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
    "both": HEAD + LENGTH + b"Transfer-Encoding: chunked\r\n\r\n" + BODY,
    "a body without a length": HEAD + b"\r\n" + BODY,
    "a client that wants the connection closed": HEAD + b"Connection: close\r\n\r\n",
    "a client that waits for 100-continue": HEAD + LENGTH + b"Expect: 100-continue\r\n\r\n",
    "another protocol": HEAD + b"Upgrade: websocket\r\n\r\n",
    "an old version": HEAD.replace(b"1.1", b"1.0") + b"\r\n",
    "an unknown method": HEAD.replace(b"POST", b"BREW") + b"\r\n",
    "not HTTP": b"\x16\x03\x01\x02\x00",
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_request_may_be_rejected(shedder: LoadShedder, name: str) -> None:
    assert shedder.may_reject(WHOLE[name], IN_FLIGHT_MAX)


@pytest.mark.parametrize("name", NOT_WHOLE)
def test_what_may_not_be_one_whole_request_is_parsed(shedder: LoadShedder, name: str) -> None:
    assert not shedder.may_reject(NOT_WHOLE[name], IN_FLIGHT_MAX)


@pytest.mark.parametrize(
    "line",
    [
        "POST /api/v1/payment/gala:1/confirm",
        "GET /healthz",
        "GET /readyz",
        "OPTIONS /api/v1/booking",
    ],
)
def test_payments_and_health_have_twice_the_limit(shedder: LoadShedder, line: str) -> None:
    data = f"{line} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    assert not shedder.may_reject(data, PAYING_FACTOR * IN_FLIGHT_MAX - 1)
    assert shedder.may_reject(data, PAYING_FACTOR * IN_FLIGHT_MAX) == (
        not line.startswith("OPTIONS")
    )


async def test_the_rejection_is_a_problem(shedder: LoadShedder) -> None:
    answer, after_s = shedder.reject(0)
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
    assert CLOSE + b"\r\n\r\n" in shedder.reject(0, ending=CLOSE)[0]
    await asyncio.sleep(0)  # the rejections of a tick are counted at its end


async def test_a_booked_slot_is_kept_and_takes_no_second_one(shedder: LoadShedder) -> None:
    for _ in range(10 * IN_FLIGHT_MAX * TURNOVERS_PER_S):
        answer, after_s = shedder.reject(0, booked_s=2.99)
        assert after_s == 3
        assert b"\r\nretry-after: 3\r\n" in answer
    assert shedder.reject(0, booked_s=10 * AHEAD_S_MAX)[1] == AHEAD_S_MAX
    assert shedder.reject(0)[1] <= 1, "the next second is not booked"
    await asyncio.sleep(0)


async def test_pages_of_other_origins_may_read_the_rejection() -> None:
    answer, _ = LoadShedder(Settings(cors_origins="https://shop.example")).reject(0)
    assert b"\r\naccess-control-allow-origin: *\r\n" in answer
    assert b"\r\naccess-control-expose-headers: Retry-After\r\n" in answer


def test_a_second_takes_no_more_retries_than_can_be_answered() -> None:
    schedule = RetrySchedule(per_s=100)
    told = [schedule.book(50.0, 0) for _ in range(1000)]
    assert told == sorted(told), "first rejected, first to retry"
    assert set(Counter(told).values()) <= {100 * OVERBOOKING, 1000 % (100 * OVERBOOKING)}
    assert told[-1] == 7


def test_retries_are_random_when_every_second_is_booked() -> None:
    schedule = RetrySchedule(per_s=10)
    told = [schedule.book(50.0, 0) for _ in range(5000)]
    assert max(told) == AHEAD_S_MAX
    rest = Counter(told[1000:])
    assert len(rest) == AHEAD_S_MAX
    assert max(rest.values()) < 4 * min(rest.values())


def test_retries_follow_the_measured_rate() -> None:
    schedule = RetrySchedule(per_s=1000)
    last = [
        max(schedule.book(100.0 + second, second * 100) for _ in range(2000)) for second in range(8)
    ]
    assert last[0] == 2
    assert last[-1] > 10, "a tenth is answered, so retries move far ahead"
    quiet = RetrySchedule(per_s=1000)
    quiet.book(100.0, 0)
    quiet.book(101.0, 5000)
    assert max(quiet.book(101.5, 5000) for _ in range(7000)) == 1, (
        "the measured rate exceeds the expected one"
    )


def test_bookings_expire_after_a_pause() -> None:
    schedule = RetrySchedule(per_s=10)
    for _ in range(5000):
        schedule.book(50.0, 0)
    assert schedule.book(50.0 + 2 * AHEAD_S_MAX, 0) == 1


def test_files_are_allowed_up_to_the_hard_limit() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        assert allow_files(500) == 500
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (600, before[1])
        assert allow_files(10**9) == before[1] - 100
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
