"""How a buyer behaves in a war, whatever it is that carries the calls.

A buyer does what people do: looks at the free seats, takes one to four beside each other, and then
pays, gives up or just walks away. Refused, it looks again. The behaviour knows neither locust nor
the clock, so that tests can be the shop.
"""

from collections.abc import Sequence
from random import Random
from typing import Protocol
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from bench.tally import Answer, Receipt, Tally

LOOK_SEATS = 30
"""How many free seats a buyer has a look at."""

STANDING_SHARE = 0.25
"""How many buyers would rather stand, where one can."""


class Habits(Struct, frozen=True, kw_only=True):
    """What buyers do with what they hold, in shares of 1. The others walk away."""

    pay_share: float = 0.6
    release_share: float = 0.1
    group_max: int = 4

    def __post_init__(self) -> None:
        shares = (self.pay_share, self.release_share)
        if min(shares) < 0 or sum(shares) > 1:
            raise ValueError("the shares of those who pay and who release are 0 to 1 together")


class Sale(Struct, frozen=True):
    """What is fought for, and how."""

    event_id: str
    area_ids: tuple[str, ...]
    habits: Habits


class Request(Struct, frozen=True, kw_only=True):
    """One call of the API. `name` is what it is counted as; `key` its Idempotency-Key."""

    name: str
    method: str
    path: str
    body: object = None
    key: str = ""


class Shop(Protocol):
    """What carries a buyer's calls."""

    def send(self, request: Request) -> Answer:
        """Call the API as the present customer."""

    def think(self) -> None:
        """Take the time a person takes."""

    def change_customer(self) -> None:
        """From now on call as somebody who has bought nothing yet."""


class FreeSeat(Struct, frozen=True):
    """A seat as `GET /booking` shows it."""

    id: str
    section: str
    row: str
    number: str


class _FreeSeats(Struct):
    data: list[FreeSeat]


class _Area(Struct, rename="camel"):
    area_id: str
    quantity: int


class _Booking(Struct, rename="camel"):
    id: str
    seat_ids: tuple[str, ...]
    areas: tuple[_Area, ...]


class Buyer:
    """Somebody who wants tickets, again and again."""

    def __init__(self, shop: Shop, sale: Sale, tally: Tally, chance: Random) -> None:
        self._shop = shop
        self._sale = sale
        self._tally = tally
        self._chance = chance

    def try_to_buy(self) -> bool:
        """Look, hold, and bring it to an end. False if nothing was left to try for."""
        wish = self._wish()
        if wish is None:
            return False
        booking = self._hold(wish)
        if booking is not None:
            self._shop.think()
            self._end(booking)
        return True

    def _wish(self) -> dict[str, object] | None:
        event, areas = self._sale.event_id, self._sale.area_ids
        wanted = self._chance.randint(1, self._sale.habits.group_max)
        if areas and self._chance.random() < STANDING_SHARE:
            area = {"areaId": self._chance.choice(areas), "quantity": wanted}
            return {"eventId": event, "areas": [area]}
        seats = pick_neighbours(self._look(), wanted, self._chance)
        return {"seatIds": [seat.id for seat in seats]} if seats else None

    def _look(self) -> list[FreeSeat]:
        query = urlencode({"eventId": self._sale.event_id, "limit": LOOK_SEATS})
        answer = self._send(name="look", method="GET", path=f"/api/v1/booking?{query}")
        return msgspec.json.decode(answer.body, type=_FreeSeats).data if answer.ok else []

    def _hold(self, wish: dict[str, object]) -> _Booking | None:
        key = f"{self._chance.getrandbits(128):032x}"
        answer = self._send(name="hold", method="POST", path="/api/v1/booking", body=wish, key=key)
        return msgspec.json.decode(answer.body, type=_Booking) if answer.ok else None

    def _end(self, booking: _Booking) -> None:
        habits, fate = self._sale.habits, self._chance.random()
        if fate < habits.pay_share:
            path = f"/api/v1/payment/{booking.id}/confirm"
            answer = self._send(name="confirm", method="POST", path=path)
            if answer.ok:
                self._tally.receipts.append(_receipt(answer))
        elif fate < habits.pay_share + habits.release_share:
            self._send(name="release", method="DELETE", path=f"/api/v1/booking/{booking.id}")
        else:
            self._tally.abandoned_count += 1

    def _send(self, **request: object) -> Answer:
        sent = Request(**request)  # type: ignore[arg-type]
        answer = self._shop.send(sent)
        if self._tally.add(sent.name, answer) == "limit_reached":
            self._shop.change_customer()
        return answer


def pick_neighbours(seats: Sequence[FreeSeat], wanted: int, chance: Random) -> list[FreeSeat]:
    """As many seats beside each other as wanted; fewer where there are no such, by chance."""
    runs: list[list[FreeSeat]] = []
    for seat in seats:
        if runs and _beside(runs[-1][-1], seat):
            runs[-1].append(seat)
        else:
            runs.append([seat])
    if not runs:
        return []
    length = min(wanted, max(map(len, runs)))
    run = chance.choice([run for run in runs if len(run) >= length])
    start = chance.randint(0, len(run) - length)
    return run[start : start + length]


def _beside(left: FreeSeat, right: FreeSeat) -> bool:
    """Numbers that follow one another; rows without such numbers have no neighbours."""
    if (left.section, left.row) != (right.section, right.row):
        return False
    numbers = left.number, right.number
    return all(map(str.isdecimal, numbers)) and abs(int(numbers[0]) - int(numbers[1])) == 1


def _receipt(answer: Answer) -> Receipt:
    booking = msgspec.json.decode(answer.body, type=_Booking)
    return Receipt(
        booking.id, booking.seat_ids, {area.area_id: area.quantity for area in booking.areas}
    )
