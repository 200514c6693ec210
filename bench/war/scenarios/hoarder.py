"""Hoarders hold all they can get and drop it, again and again, while others want to buy."""

from bench.war.buyers import Buyer, BuyerBooking
from bench.war.scenarios.bounds import Bound
from bench.war.scenarios.scenario import EVERY_WAR, Role, Scenario, Stage

BOOKINGS_MAX = 8
SIT_S = (1.0, 3.0)


class Hoarding(Buyer):
    """A buyer that never pays: it releases half of its bookings and lets the rest expire."""

    def visit(self) -> float:
        """Hold until there is nothing more to get, sit on it, drop it, come back as another."""
        held: list[BuyerBooking] = []
        self.look()
        while len(held) < BOOKINGS_MAX:
            wish = self.wish()
            booking = self.hold(wish) if wish else None
            if booking is None:
                break
            held.append(booking)
            self.look()
        self.pause(SIT_S)
        for number, booking in enumerate(held):
            if number % 2:
                self.walk_away()
            else:
                self.release(booking)
        self.shop.change_customer()
        return self.chance.uniform(*(self.habits.rest_s if held else self.habits.again_s))

    def meet_limit(self) -> None:
        """It stays: what it holds is still to be dropped."""


HOARDER = Scenario(
    name="hoarder",
    says="One in three of 200 users holds all it can and drops it again; others buy. 40 s.",
    stages=(Stage(5, 200), Stage(35, 200)),
    cast=(Role(Hoarding), Role(), Role()),
    bounds=(
        *EVERY_WAR,
        Bound("p95_ms", most=500),
        Bound("confirmed_count", least=300),
        Bound("expired_count", least=100),
    ),
    customer_max=12,
)
