"""A ticket war for locust: `engine war` runs it, and so does locust with its page.

    JWT_SECRET=… locust -f bench/war/locustfile.py --host http://127.0.0.1:8000 --event gala

Every buyer has a token of its own, made here with the API's secret. With --pay notices, signed
notices confirm what the buyers pay, and PAYMENT_WEBHOOK_SECRET must be the API's. The counts,
receipts, charges and parties are written at the end, to the files of --summary, --receipts,
--charges and --parties.
This module knows locust and the clock; `bench.war.buyers` has the behaviour of a buyer,
`bench.war.provider` that of the payment provider, `bench.war.scenarios` the users and stages.
"""

import os
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from time import perf_counter
from typing import ClassVar
from uuid import uuid4

import gevent
import msgspec
from locust import FastHttpUser, LoadTestShape, events, task
from locust.env import Environment
from locust.exception import StopTest

from api.http.tokens import issue_token
from bench.load import client
from bench.war import receipts, scenarios
from bench.war.buyers import Buyer
from bench.war.provider import WarProvider
from bench.war.scenarios.scenario import Scenario
from bench.war.tally import BuyerAnswer, Tally
from bench.war.views import BuyerRequest, BuyerSale, house_of
from engine.errors import EngineError
from engine.models import Layout

TICK_S = 1.0
"""How often locust asks the shape."""

TOKEN_TTL_S = 24 * 3600


class Crowd:
    """One run, shared by its buyers."""

    def __init__(self, host: str, event: str, scenario: Scenario, *, notices: bool) -> None:
        self._secret = os.environ.get("JWT_SECRET", "")
        if not self._secret:
            raise StopTest("JWT_SECRET is not set: buyers need tokens that the API accepts")
        status, body = client.get(host, f"/api/v1/event/{event}/seats")
        if status != 200:
            raise StopTest(f"{host} has no event {event!r}: it answers {status}")
        house = house_of(msgspec.json.decode(body, type=Layout), event)
        self.tally = Tally()
        self._provider = _provider_for(host, event) if notices else None
        self._sale = BuyerSale(event_id=event, house=house, seconds=scenario.seconds)
        self._cast = scenario.cast
        self._buyers: list[Buyer] = []
        self._name = uuid4().hex[:8]
        self._customers, self._users = count(1), count()
        self._began = perf_counter()

    def elapsed_s(self) -> float:
        """Seconds since it began."""
        return perf_counter() - self._began

    def new_buyer(self, shop: "TicketBuyer", chance: Random) -> Buyer:
        """The next buyer. Roles take turns."""
        role = self._cast[next(self._users) % len(self._cast)]
        buyer = role.plays(shop, self._sale, role.habits, self.tally, chance, self._provider)
        self._buyers.append(buyer)
        return buyer

    def end(self) -> None:
        """The buyers have left; the provider sends the notices that are not due yet."""
        for buyer in self._buyers:
            if buyer.payments:
                buyer.payments.send_notices(every=True)

    def new_token(self) -> str:
        """A token for a new customer."""
        subject = f"buyer-{self._name}-{next(self._customers)}"
        return issue_token(self._secret, subject, "customer", ttl_s=TOKEN_TTL_S)

    def write(self, options: Mapping[str, str]) -> None:
        """Write what there is to tell, to the files that were asked for."""
        lines: dict[str, Sequence[msgspec.Struct]] = {
            "receipts": self.tally.receipts,
            "charges": list(self.tally.charges.values()),
            "parties": self.tally.parties,
        }
        for name, kept in lines.items():
            if options[name]:
                receipts.write(Path(options[name]), kept)
        if options["summary"]:
            told = self.tally.summary(self.elapsed_s())
            Path(options["summary"]).write_bytes(msgspec.json.encode(told))


class _Hold(msgspec.Struct, rename="camel"):
    hold_ttl_ms: int


class TicketBuyer(FastHttpUser):
    """A person at a browser: the shop of one `Buyer`."""

    crowd: ClassVar[Crowd]
    network_timeout = connection_timeout = 10.0
    concurrency = 1

    def on_start(self) -> None:
        """Come to the sale."""
        self.change_customer()
        self._rest_s = 0.0
        self._buyer = self.crowd.new_buyer(self, Random())
        self._next_step = self._buyer.arrive

    def wait_time(self) -> float:
        """Seconds until the next try."""
        return self._rest_s

    @task
    def buy(self) -> None:
        """Arrive, and from then on try."""
        if self._buyer.payments:
            self._buyer.payments.send_notices()
        self._rest_s = self._next_step()
        self._next_step = self._buyer.visit

    def send(self, request: BuyerRequest) -> BuyerAnswer:
        """Make the call; a refusal is no failure to locust."""
        headers = {"Authorization": self._authorization}
        body = None
        if request.body is not None:
            headers["Content-Type"] = "application/json"
            body = msgspec.json.encode(request.body).decode()
        if request.key:
            headers["Idempotency-Key"] = request.key
        if request.tag:
            headers["If-None-Match"] = request.tag
        at_s = self.elapsed_s()
        with self.client.request(
            request.method, request.path, name=request.name, data=body, headers=headers,
            catch_response=True,
        ) as response:  # fmt: skip
            ms = (self.elapsed_s() - at_s) * 1000
            if not response.status_code:
                return BuyerAnswer(0, type(response.error).__name__.encode(), ms, at_s=at_s)
            if response.status_code < 500:
                response.success()
            tag = response.headers.get("etag") or ""
            return BuyerAnswer(response.status_code, response.content or b"", ms, tag, at_s)

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        gevent.sleep(seconds)

    def elapsed_s(self) -> float:
        """Seconds since the war began."""
        return self.crowd.elapsed_s()

    def change_customer(self) -> None:
        """Use a new customer, without purchases, from now on."""
        self._authorization = f"Bearer {self.crowd.new_token()}"


class Stages(LoadTestShape):
    """The stages of the scenario, as locust asks for them."""

    def tick(self) -> tuple[int, float] | None:
        """Users at the end of this tick, all started within it; None at the end."""
        if self.runner is None:  # locust sets it before it asks
            return None
        scenario = _scenario_of(self.runner.environment)
        now_s = perf_counter() - self.start_time
        if now_s >= scenario.seconds:
            return None
        wanted = scenario.users_at(min(now_s + TICK_S, scenario.seconds))
        return wanted, float(max(wanted, self.runner.user_count))


def _provider_for(host: str, event: str) -> WarProvider:
    secret = os.environ.get("PAYMENT_WEBHOOK_SECRET", "")
    if not secret:
        raise StopTest("PAYMENT_WEBHOOK_SECRET is not set: the API accepts no notice without it")
    _, body = client.get(host, f"/api/v1/event/{event}")
    return WarProvider(
        partial(client.post, host), secret, msgspec.json.decode(body, type=_Hold).hold_ttl_ms / 1000
    )


def _scenario_of(environment: Environment) -> Scenario:
    options = vars(environment.parsed_options)
    return scenarios.find(options["scenario"]).scaled(options["most_users"], options["seconds"])


def _add_options(parser: ArgumentParser) -> None:
    for name, default, text in (
        ("event", "", "The event to fight for."),
        ("most-users", 0, "The most users at once; 0: as many as the scenario has."),
        ("seconds", 0.0, "How long; 0: as long as the scenario lasts."),
        ("summary", "", "File for the summary, JSON."),
        ("receipts", "", "File for the confirmed bookings, JSON lines."),
        ("charges", "", "File for the payments that the provider reported, JSON lines."),
        ("parties", "", "File for the holds whose places the engine chose, JSON lines."),
    ):
        variable = f"WAR_{name.upper().replace('-', '_')}"
        parser.add_argument(
            f"--{name}", type=type(default), default=default, env_var=variable, help=text
        )
    parser.add_argument(
        "--scenario", choices=list(scenarios.SCENARIOS), default="rush", env_var="WAR_SCENARIO",
        help="Which buyers come, and when.",
    )  # fmt: skip
    parser.add_argument(
        "--pay", choices=("customers", "notices"), default="customers", env_var="WAR_PAY",
        help="Who confirms a booking.",
    )  # fmt: skip


def _begin(environment: Environment, **_: object) -> None:
    options = vars(environment.parsed_options)
    scenario, notices = _scenario_of(environment), options["pay"] == "notices"
    try:
        TicketBuyer.crowd = Crowd(
            environment.host or "", options["event"], scenario, notices=notices
        )
    except (EngineError, ValueError) as error:
        raise StopTest(f"there can be no war: {error}") from error


def _end(environment: Environment, **_: object) -> None:
    options = vars(environment.parsed_options)
    if hasattr(TicketBuyer, "crowd"):  # it began
        TicketBuyer.crowd.end()
        TicketBuyer.crowd.write(options)


def _count_error(exception: BaseException, **_: object) -> None:
    TicketBuyer.crowd.tally.fail(f"buyer: {exception!r}"[:200])


for hook, listener in (
    (events.init_command_line_parser, _add_options),
    (events.test_start, _begin),
    (events.test_stop, _end),
    (events.user_error, _count_error),
):
    hook.add_listener(listener)  # type: ignore[no-untyped-call]
