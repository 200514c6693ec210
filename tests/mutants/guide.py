"""Shorthand for the rules of the machine of `tests/model`, for a walk that is led."""

from typing import Any

from msgspec.structs import astuple

from engine.bookings import PaymentUpdate
from engine.models import PaymentReport, PaymentSource, TermsChange
from tests.model.choices import ENDED_TTL_MS, TTL_MS, Basket
from tests.model.machine import BoxOfficeMachine, Stage
from tests.model.views import expected
from tests.support.factories import GALA, terms


class Guide:
    """Shorthand for the machine's rules. A booking is named by its age: 0 is the newest."""

    def __init__(self, stage: Stage) -> None:
        self.machine = BoxOfficeMachine(stage)
        self.wait = self.machine._pass

    def open(self, layout: int = 0, **over: int) -> None:
        """Load the house."""
        fixed = {"owner_id": "org", "hold_ttl_ms": TTL_MS, "ended_ttl_ms": ENDED_TTL_MS}
        asked = {"seats_max": 5, "hold_max_ms": TTL_MS + 30_000, **over}
        self.machine.open(layout=layout, terms=terms(**fixed, **asked))

    def hold(self, who: str, *seats: str, request: str | None = None, **areas: int) -> None:
        """Ask for places."""
        basket = Basket(who, seats, tuple(areas.items()))
        self.machine.hold(basket=basket, request=request)

    def hold_together(self, *calls: str) -> None:
        """Ask in one tick: `ann A-1-1 pit=2 r1` is a customer, its places and a request id."""
        self.machine.hold_together(calls=[_call_of(words.split()) for words in calls])

    def end(self, *names: str, pick: int = 0) -> None:
        """Extend, release, cancel or confirm, as its customer, as another, as none."""
        for name in names:
            for anybody, stranger in ((False, 1), (False, 0), (True, 0)):
                more = {"source": PaymentSource.UNCHECKED} if name == "confirm" else {}
                rule = getattr(self.machine, name)
                rule(pick=pick, anybody=anybody, stranger=stranger, **more)

    def pay(
        self, pick: int = 0, more: int | None = None, currency: str = "", payment: str = ""
    ) -> None:
        """As the payment provider."""
        report = PaymentReport(
            source=PaymentSource.PROVIDER, id=payment, amount_minor=more, currency=currency
        )
        self.machine.pay(pick=pick, report=report)

    def pay_together(self, *calls: str) -> None:
        """The provider's word in one tick: `0 pi_1` is the newest booking and a payment of it."""
        told = [words.split() for words in calls]
        self.machine.pay_together(
            calls=[
                (int(pick), PaymentReport(source=PaymentSource.PROVIDER, id=payment))
                for pick, payment in told
            ]
        )

    def tell(
        self, what: PaymentUpdate, payment: str, pick: int = 0, more: int | None = None
    ) -> None:
        """What else the payment provider says."""
        report = PaymentReport(source=PaymentSource.PROVIDER, id=payment, amount_minor=more)
        self.machine.tell(pick=pick, what=what, report=report)

    def block(self, *seats: str, blocked: bool = True, owner: str = "") -> None:
        """Take seats off sale, or put them back."""
        self.machine.block(seats=list(seats), blocked=blocked, owner=owner)

    def sell(self, owner: str = "", **change: Any) -> None:
        """Change terms."""
        self.machine.set_terms(change=TermsChange(**change), owner=owner)

    def look(self) -> None:
        """See the house as a customer's browser does; a second look costs nothing new."""
        read_map, model = self.machine.engine.availability.read_map, self.machine.model
        found, wanted = self.machine._run(read_map(GALA)), expected(model)
        assert self.machine._run(read_map(GALA)) is found, "nothing has changed"
        assert (found.map, astuple(found.counts)) == (wanted["map"], wanted["counts"])
        areas = {area.area_id: (area.capacity, area.held, area.sold) for area in found.areas}
        assert areas == {
            a: (size, held, sold) for a, (size, _, held, sold) in wanted["areas"].items()
        }
        assert (found.sales, found.opens_at_ms, found.closes_at_ms) == wanted["sales"]
        assert found.layout_version == model.event.layout.version


def _call_of(words: list[str]) -> tuple[Basket, str | None]:
    customer, *rest = words
    areas = [(area, int(quantity)) for area, is_area, quantity in map(_parted, rest) if is_area]
    seats = tuple(word for word in rest if "-" in word)
    requests = [word for word in rest if "-" not in word and "=" not in word]
    return Basket(customer, seats, tuple(areas)), requests[0] if requests else None


def _parted(word: str) -> tuple[str, str, str]:
    return word.partition("=")
