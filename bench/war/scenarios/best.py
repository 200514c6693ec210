"""Parties of one to eight that sit together: most ask for the best seats, some pick their own."""

from bench.rig.parties import party_size
from bench.war.buyers import Buyer, BuyerBooking, Habits
from bench.war.scenarios.bounds import Bound
from bench.war.scenarios.scenario import EVERY_WAR, Role, Scenario, Stage
from bench.war.tally import Party

CATEGORY_SHARE = 0.5
"""How many parties want a category; the others take any."""

FALLBACKS = ((), ("rows", "section"), ("rows", "section", "apart"))
"""How a party lets itself be parted, from one attempt to the next."""


class Picking(Buyer):
    """A party that picks its seats side by side on the map."""

    def group_size(self) -> int:
        """As many as parties usually are."""
        return party_size(self.chance)


class Asking(Picking):
    """A party that looks at no map and asks for the best seats."""

    def try_to_buy(self) -> bool:
        """Ask, and let the party be parted a little more each time it does not fit."""
        quantity, categories = self.group_size(), self.sale.house.categories
        wanted: dict[str, object] = {"quantity": quantity}
        if categories and self.chance.random() < CATEGORY_SHARE:
            wanted["categoryIds"] = [self.chance.choice(categories)]
        for fallback in FALLBACKS:
            self.pause(self.habits.choose_s)
            if booking := self.ask({**wanted, "fallback": fallback}, quantity):
                self.end(booking)
                return True
        return False

    def ask(self, wanted: dict[str, object], quantity: int) -> BuyerBooking | None:
        """Hold the best there is; None if it was refused."""
        booking = self.hold({"eventId": self.sale.event_id, "bestAvailable": wanted})
        if booking:
            areas = {area.area_id: area.quantity for area in booking.areas}
            party = Party(booking.id, quantity, booking.seat_ids, areas, booking.together or "")
            self.tally.parties.append(party)
        return booking


PICKS = Habits(together=True)

BEST = Scenario(
    name="best",
    says="200 parties of one to eight: three in four ask for the best seats, one picks. 30 s.",
    stages=(Stage(3, 200), Stage(27, 200)),
    cast=(Role(Asking), Role(Asking), Role(Asking), Role(Picking, PICKS)),
    bounds=(
        *EVERY_WAR,
        Bound("p95_ms", most=500),
        Bound("confirmed_count", least=100),
        Bound("row_share", least=0.8),
    ),
)
