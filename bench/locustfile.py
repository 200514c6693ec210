"""A ticket war for locust: `engine war` runs it, and so does locust with its page.

    JWT_SECRET=… locust -f bench/locustfile.py --host http://127.0.0.1:8000 --event gala

Every buyer has a token of its own, made here with the API's secret. What the buyers lived through
is written at the end, to the files of --summary and --receipts. This module knows locust and the
clock; how a buyer behaves is in `bench.buyers`.
"""

import os
from argparse import ArgumentParser
from itertools import count
from pathlib import Path
from random import Random
from time import perf_counter
from typing import ClassVar
from uuid import uuid4

import gevent
import msgspec
from locust import FastHttpUser, events, task
from locust.env import Environment
from locust.exception import StopTest

from api.auth import issue_token
from bench import client, receipts
from bench.buyers import Buyer, Habits, Request, Sale
from bench.tally import Answer, Tally
from engine.errors import EngineError

THINK_S = (0.05, 0.4)
REST_S = (0.05, 0.4)
LOOK_AGAIN_S = (0.5, 1.5)
"""How long a buyer waits between looks when nothing is left: expired holds come back."""

TOKEN_TTL_S = 24 * 3600


class _Area(msgspec.Struct, rename="camel"):
    area_id: str


class _Availability(msgspec.Struct):
    areas: list[_Area]


class Crowd:
    """One run, shared by its buyers."""

    def __init__(self, host: str, event: str, habits: Habits) -> None:
        self._secret = os.environ.get("JWT_SECRET", "")
        if not self._secret:
            raise StopTest("JWT_SECRET is not set: buyers need tokens that the API accepts")
        status, body = client.get(host, f"/api/v1/event/{event}/availability")
        if status != 200:
            raise StopTest(f"{host} has no event {event!r}: it answers {status}")
        areas = msgspec.json.decode(body, type=_Availability).areas
        self.sale = Sale(event, tuple(area.area_id for area in areas), habits)
        self.tally = Tally()
        self._name = uuid4().hex[:8]
        self._customers = count(1)
        self._began = perf_counter()

    def new_token(self) -> str:
        """A token for somebody who has never been here."""
        subject = f"buyer-{self._name}-{next(self._customers)}"
        return issue_token(self._secret, subject, "customer", ttl_s=TOKEN_TTL_S)

    def write(self, summary: str, receipts_path: str) -> None:
        """Write what there is to tell, to the files that were asked for."""
        if receipts_path:
            receipts.write(Path(receipts_path), self.tally.receipts)
        if summary:
            told = self.tally.summary(perf_counter() - self._began)
            Path(summary).write_bytes(msgspec.json.encode(told))


class TicketBuyer(FastHttpUser):
    """A person at a browser: the shop of one `Buyer`."""

    crowd: ClassVar[Crowd]
    network_timeout = connection_timeout = 10.0
    concurrency = 1

    def on_start(self) -> None:
        """Come to the sale."""
        self._chance = Random()
        self._buyer = Buyer(self, self.crowd.sale, self.crowd.tally, self._chance)
        self._rest_s = REST_S
        self.change_customer()

    def wait_time(self) -> float:
        """Seconds until the next try."""
        return self._chance.uniform(*self._rest_s)

    @task
    def buy(self) -> None:
        """Try once."""
        self._rest_s = REST_S if self._buyer.try_to_buy() else LOOK_AGAIN_S

    def send(self, request: Request) -> Answer:
        """Make the call; a refusal is no failure to locust."""
        headers = {"Authorization": self._authorization}
        body = None
        if request.body is not None:
            headers["Content-Type"] = "application/json"
            body = msgspec.json.encode(request.body).decode()
        if request.key:
            headers["Idempotency-Key"] = request.key
        began = perf_counter()
        with self.client.request(
            request.method, request.path, name=request.name, data=body, headers=headers,
            catch_response=True,
        ) as response:  # fmt: skip
            ms = (perf_counter() - began) * 1000
            if not response.status_code:
                return Answer(0, type(response.error).__name__.encode(), ms)
            if response.status_code < 500:
                response.success()
            return Answer(response.status_code, response.content, ms)

    def think(self) -> None:
        """Take the time a person takes."""
        gevent.sleep(self._chance.uniform(*THINK_S))

    def change_customer(self) -> None:
        """From now on call as somebody who has bought nothing yet."""
        self._authorization = f"Bearer {self.crowd.new_token()}"


def _add_options(parser: ArgumentParser) -> None:
    shares = Habits()
    for name, default, text in (
        ("event", "", "The event to fight for."),
        ("pay-share", shares.pay_share, "Share of the held that is paid, 0 to 1."),
        ("release-share", shares.release_share, "Share given back; the rest is abandoned."),
        ("summary", "", "File for the summary, JSON."),
        ("receipts", "", "File for the confirmed bookings, JSON lines."),
    ):
        variable = f"WAR_{name.upper().replace('-', '_')}"
        parser.add_argument(
            f"--{name}", type=type(default), default=default, env_var=variable, help=text
        )


def _begin(environment: Environment, **_: object) -> None:
    options = vars(environment.parsed_options)
    try:
        habits = Habits(pay_share=options["pay_share"], release_share=options["release_share"])
        TicketBuyer.crowd = Crowd(environment.host or "", options["event"], habits)
    except (EngineError, ValueError) as error:
        raise StopTest(f"there can be no war: {error}") from error


def _end(environment: Environment, **_: object) -> None:
    options = vars(environment.parsed_options)
    if hasattr(TicketBuyer, "crowd"):  # it began
        TicketBuyer.crowd.write(options["summary"], options["receipts"])


def _count_error(exception: BaseException, **_: object) -> None:
    TicketBuyer.crowd.tally.fail(f"buyer: {exception!r}"[:200])


for hook, listener in (
    (events.init_command_line_parser, _add_options),
    (events.test_start, _begin),
    (events.test_stop, _end),
    (events.user_error, _count_error),
):
    hook.add_listener(listener)  # type: ignore[no-untyped-call]
