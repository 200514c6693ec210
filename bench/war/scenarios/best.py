"""Parties of one to eight that sit together: most ask for the best seats, some pick their own."""

from bench.rig.taken_seats import PARTY_SHARES
from bench.war.buyers import Buyer, BuyerBooking, Habits, Wish
from bench.war.scenarios.bounds import Bound
from bench.war.scenarios.scenario import EVERY_WAR, Role, Scenario, Stage
from bench.war.tally import Party

CATEGORY_SHARE = 0.5
"""How many parties want a category; the others take any."""

FALLBACKS = ((), ("rows", "section"), ("rows", "section", "apart"))
"""How a party lets itself be parted, from one attempt to the next."""


class Asking(Buyer):
    """A party that looks at no map and asks for the best seats."""

    def look(self) -> None:
        """Not needed: the API chooses."""

    def wish(self) -> Wish:
        """So many of the best seats, of a category or of any."""
        wanted: Wish = {"quantity": self.habits.group_size(self.chance)}
        categories = self.sale.house.categories
        if categories and self.chance.random() < CATEGORY_SHARE:
            wanted["categoryIds"] = [self.chance.choice(categories)]
        return wanted

    def hold(self, wish: Wish) -> BuyerBooking | None:
        """Ask for it, and let the party be parted a little more each time it does not fit."""
        for fallback in FALLBACKS:
            wanted = {**wish, "fallback": fallback}
            booking = super().hold({"eventId": self.sale.event_id, "bestAvailable": wanted})
            if booking:
                self._keep(booking, wish)
                return booking
        return None

    def _keep(self, booking: BuyerBooking, wish: Wish) -> None:
        quantity, areas = wish["quantity"], {a.area_id: a.quantity for a in booking.areas}
        assert isinstance(quantity, int)  # noqa: S101
        party = Party(booking.id, quantity, booking.seat_ids, areas, booking.together or "")
        self.tally.parties.append(party)


ASKS = Habits(group_shares=PARTY_SHARES, rest_s=(0.2, 0.8))
PICKS = Habits(group_shares=PARTY_SHARES, together=True)

BEST = Scenario(
    name="best",
    says="200 parties of one to eight: three in four ask for the best seats, one picks. 30 s.",
    stages=(Stage(3, 200), Stage(27, 200)),
    cast=(*[Role(Asking, ASKS)] * 3, Role(habits=PICKS)),
    bounds=(
        *EVERY_WAR,
        Bound("p95_ms", most=500),
        Bound("confirmed_count", least=100),
        Bound("row_share", least=0.8),
    ),
)
