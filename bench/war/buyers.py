"""How a buyer behaves in a war, whatever it is that carries the calls.

A buyer does what people do: looks at the map, takes some seats beside each other from what it
sees, and then pays, gives up or just walks away. Refused, it looks again. The behaviour knows
neither locust nor the clock, so that tests can be the shop; scenarios change single steps of it.
"""

from collections.abc import Mapping
from random import Random
from typing import Protocol, TypeAlias

import msgspec
from msgspec import Struct

from bench.war.provider import WarNotice, WarProvider
from bench.war.tally import OVERLOADED, BuyerAnswer, Receipt, Tally
from bench.war.views import BuyerPage, BuyerRequest, BuyerSale, MapPage
from engine.ports.payments import NoticeKind, NoticeOutcome

STANDING_SHARE = 0.25
"""How many buyers would rather stand, where one can."""

REJECTIONS_MAX = 5
"""How often in a row load shedding may reject one request. More is a failure of the war."""

_SOLD = (NoticeOutcome.CONFIRMED, NoticeOutcome.LATE_CONFIRMED)

Seconds: TypeAlias = tuple[float, float]
"""From and to: any time between is as likely."""

Wish: TypeAlias = dict[str, object]
"""The body of a hold."""


class Habits(Struct, frozen=True, kw_only=True):
    """What buyers do with what they hold, in shares of 1, the others walk away; and their pace.

    `choose_s` passes between look and hold, `think_s` before the end of a booking, `rest_s` until
    the next try, `again_s` when nothing was left. Groups of `group_min` to `group_max` are equally
    likely, unless `group_shares` says how likely each size is. `together`: the whole group beside
    each other or not at all.
    """

    pay_share: float = 0.6
    release_share: float = 0.1
    group_min: int = 1
    group_max: int = 4
    group_shares: Mapping[int, int] = {}
    together: bool = False
    choose_s: Seconds = (0.05, 0.3)
    think_s: Seconds = (0.05, 0.4)
    rest_s: Seconds = (0.05, 0.4)
    again_s: Seconds = (0.5, 1.5)

    def __post_init__(self) -> None:
        shares = (self.pay_share, self.release_share)
        if min(shares) < 0 or sum(shares) > 1:
            raise ValueError("pay_share and release_share must be 0 to 1 together")

    def group_size(self, chance: Random) -> int:
        """How many places the next group asks for."""
        if self.group_shares:
            return chance.choices([*self.group_shares], [*self.group_shares.values()])[0]
        return chance.randint(self.group_min, self.group_max)


class Shop(Protocol):
    """What carries a buyer's calls, and the time."""

    def send(self, request: BuyerRequest) -> BuyerAnswer:
        """Call the API as the present customer."""

    def pause(self, seconds: float) -> None:
        """Let time pass."""

    def elapsed_s(self) -> float:
        """Seconds since the war began."""

    def change_customer(self) -> None:
        """Use a new customer, without purchases, from now on."""


class _Area(Struct, rename="camel"):
    area_id: str
    quantity: int


class BuyerBooking(Struct, rename="camel"):
    """What a hold was answered with."""

    id: str
    seat_ids: tuple[str, ...]
    areas: tuple[_Area, ...]
    amount_minor: int
    currency: str
    together: str | None = None


class _Rejection(Struct, rename="camel"):
    """Load shedding names the milliseconds; other queues of the API do not: a second at least."""

    retry_after_ms: int = 1000


class _NoticeReply(Struct):
    outcome: str


class NoticedPayments:
    """What one buyer has paid to the provider, whose notices sell the places to the buyer."""

    def __init__(self, shop: Shop, tally: Tally, provider: WarProvider) -> None:
        self._shop = shop
        self._tally = tally
        self._provider = provider
        self._notices: list[tuple[WarNotice, BuyerBooking]] = []
        self._sold: set[str] = set()

    def pay(self, booking: BuyerBooking) -> None:
        """Pay for a booking; the provider sends the notices that are due at once."""
        now_s = self._shop.elapsed_s()
        notices = self._provider.charge(booking.id, booking.amount_minor, booking.currency, now_s)
        self._notices += [(notice, booking) for notice in notices]
        self.send_notices()

    def send_notices(self, *, every: bool = False) -> None:
        """Send the notices that are due, or every one.

        One that is not acknowledged is sent again the next time, as providers do.
        """
        now_s = self._shop.elapsed_s()
        self._notices = [
            (notice, booking)
            for notice, booking in self._notices
            if not ((every or notice.due_s <= now_s) and self._send(notice, booking))
        ]

    def _send(self, notice: WarNotice, booking: BuyerBooking) -> bool:
        """Send one notice. False if it was not acknowledged."""
        answer = self._provider.send(notice, self._shop.elapsed_s())
        self._tally.add("notice", answer)
        if not answer.ok:
            return False
        outcome = msgspec.json.decode(answer.body, type=_NoticeReply).outcome
        reported = notice.charge if notice.kind == NoticeKind.SUCCEEDED else None
        self._tally.add_notice(outcome, reported)
        if outcome in _SOLD and booking.id not in self._sold:
            self._sold.add(booking.id)
            self._tally.receipts.append(_receipt(booking))
        return True


class Buyer:
    """A user that tries to buy tickets again and again.

    With a `provider`, its notices confirm what the buyer has paid; without one, the buyer does.
    """

    def __init__(
        self,
        shop: Shop,
        sale: BuyerSale,
        habits: Habits,
        tally: Tally,
        chance: Random,
        provider: WarProvider | None = None,
    ) -> None:
        self.shop = shop
        self.sale = sale
        self.habits = habits
        self.chance = chance
        self.tally = tally
        self.payments = NoticedPayments(shop, tally, provider) if provider else None
        self.page = self.new_page()

    def new_page(self) -> BuyerPage:
        """What it looks at."""
        return MapPage(self.sale, self.send, self.chance)

    def arrive(self) -> float:
        """Come to the sale. How many seconds until the first try."""
        return self.chance.random()

    def visit(self) -> float:
        """Try once. How many seconds until the next try."""
        return self.chance.uniform(
            *(self.habits.rest_s if self.try_to_buy() else self.habits.again_s)
        )

    def try_to_buy(self) -> bool:
        """Look, hold, and bring it to an end. False if nothing was left to try for."""
        self.look()
        wish = self.wish()
        if wish is None:
            return False
        self.pause(self.habits.choose_s)
        booking = self.hold(wish)
        if booking is not None:
            self.pause(self.habits.think_s)
            self._end(booking)
        return True

    def look(self) -> None:
        """Look again at the page."""
        self.page.refresh()

    def wish(self) -> Wish | None:
        """What to ask for, from what the page shows; None if it shows nothing for them."""
        wanted = self.habits.group_size(self.chance)
        if self.chance.random() < STANDING_SHARE and (area := self.page.pick_area(wanted)):
            areas = [{"areaId": area, "quantity": wanted}]
            return {"eventId": self.sale.event_id, "areas": areas}
        seats = self.page.pick_seats(wanted, wanted if self.habits.together else 1)
        return {"seatIds": seats} if seats else None

    def hold(self, wish: Wish) -> BuyerBooking | None:
        """Ask for it; None if it was refused."""
        key = f"{self.chance.getrandbits(128):032x}"
        answer = self.send(
            BuyerRequest(name="hold", method="POST", path="/api/v1/booking", body=wish, key=key)
        )
        return msgspec.json.decode(answer.body, type=BuyerBooking) if answer.ok else None

    def release(self, booking: BuyerBooking) -> None:
        """Give it back."""
        self.send(
            BuyerRequest(name="release", method="DELETE", path=f"/api/v1/booking/{booking.id}")
        )

    def walk_away(self) -> None:
        """Abandon the booking: the hold expires."""
        self.tally.abandoned_count += 1

    def send(self, request: BuyerRequest) -> BuyerAnswer:
        """Make a call and count it. One that load shedding rejects is sent again when it says."""
        for _ in range(REJECTIONS_MAX):
            answer = self.shop.send(request)
            code = self.tally.add(request.name, answer)
            if code == "limit_reached":
                self.meet_limit()
            if code != OVERLOADED:
                return answer
            self.shop.pause(_retry_after_s(answer))
        self.tally.fail(f"{request.name}: rejected {REJECTIONS_MAX} times in a row")
        return answer

    def meet_limit(self) -> None:
        """At the purchase limit another customer takes over."""
        self.shop.change_customer()

    def pause(self, seconds: Seconds) -> None:
        """Take the time a person takes."""
        self.shop.pause(self.chance.uniform(*seconds))

    def _end(self, booking: BuyerBooking) -> None:
        fate = self.chance.random()
        if fate < self.habits.pay_share:
            self._pay(booking)
        elif fate < self.habits.pay_share + self.habits.release_share:
            self.release(booking)
        else:
            self.walk_away()

    def _pay(self, booking: BuyerBooking) -> None:
        if self.payments:
            self.payments.pay(booking)
            return
        path = f"/api/v1/payment/{booking.id}/confirm"
        answer = self.send(BuyerRequest(name="confirm", method="POST", path=path))
        if answer.ok:
            sold = msgspec.json.decode(answer.body, type=BuyerBooking)
            self.tally.receipts.append(_receipt(sold))


def _retry_after_s(rejection: BuyerAnswer) -> float:
    return msgspec.json.decode(rejection.body, type=_Rejection).retry_after_ms / 1000


def _receipt(booking: BuyerBooking) -> Receipt:
    return Receipt(
        booking.id, booking.seat_ids, {area.area_id: area.quantity for area in booking.areas}
    )
