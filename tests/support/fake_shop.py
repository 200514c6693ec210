"""A shop for buyers under test: one row of seats and one standing area, no clock, no network."""

import msgspec

from bench.war.tally import BuyerAnswer
from bench.war.views import BuyerRequest, BuyerSale, House

EVENT = "gala"
HOUSE = House("v1", tuple(f"{EVENT}:A-1-{number}" for number in range(1, 21)))
SALE = BuyerSale(event_id=EVENT, house=HOUSE, seconds=20)


def problem(status: int, code: str) -> BuyerAnswer:
    """A refusal."""
    return BuyerAnswer(status, msgspec.json.encode({"code": code, "status": status}), 1.0)


class FakeShop:
    """Shows the same seats to all, and answers as configured."""

    def __init__(self, letters: str = "a" * 20, area_room: int = 0) -> None:
        self.letters = letters
        self.area_room = area_room
        self.answers: dict[str, BuyerAnswer] = {}
        self.holds: list[BuyerAnswer] = []
        """The answers to the next holds, one each."""
        self.requests: list[BuyerRequest] = []
        self.senders: list[int] = []
        self.pauses: list[float] = []
        self.customer = 1
        self.now_s = 0.0
        self._held: dict[str, object] = {}

    def send(self, request: BuyerRequest) -> BuyerAnswer:
        """As configured in `holds` and `answers`; everything else succeeds."""
        self.requests.append(request)
        self.senders.append(self.customer)
        if request.name == "hold" and self.holds:
            return self.holds.pop(0)
        if request.name in self.answers:
            return self.answers[request.name]
        return BuyerAnswer(200, msgspec.json.encode(self._body(request)), 1.0, at_s=self.now_s)

    def pause(self, seconds: float) -> None:
        """Time passes at once."""
        self.pauses.append(seconds)
        self.now_s += seconds

    def elapsed_s(self) -> float:
        """By the clock of the test."""
        return self.now_s

    def change_customer(self) -> None:
        """Count them."""
        self.customer += 1

    def names(self) -> list[str]:
        """The calls, without the layout."""
        return [request.name for request in self.requests if request.name != "layout"]

    def sent(self, name: str) -> list[BuyerRequest]:
        """The calls of one name."""
        return [request for request in self.requests if request.name == name]

    def _body(self, request: BuyerRequest) -> dict[str, object]:
        if request.path.startswith("/api/v1/booking?"):
            seats = [
                {"id": seat, "section": "A", "row": "1", "number": seat.rpartition("-")[2]}
                for seat, letter in zip(HOUSE.seat_at, self.letters, strict=True)
                if letter == "a"
            ]
            return {"data": seats, "next": None}
        if request.name == "look":
            areas = [{"areaId": "floor", "available": self.area_room}]
            return {"map": self.letters, "areas": areas}
        if request.name == "hold":
            assert isinstance(request.body, dict)
            one = [request.body["seatId"]] if "seatId" in request.body else []
            seats = request.body.get("seatIds", one)
            best = request.body.get("bestAvailable")
            chosen = list(HOUSE.seat_at[: best["quantity"]]) if best else seats
            areas = request.body.get("areas", [])
            number = len(self.sent("hold"))
            self._held = {"id": f"{EVENT}:b{number}", "seatIds": chosen, "areas": areas}
            self._held |= {"amountMinor": 1500, "currency": "EUR"}
            self._held["together"] = "row" if best else None
        return self._held
