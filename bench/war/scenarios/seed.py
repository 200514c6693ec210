"""The two load tests of the system this one replaces, with its stages and its thresholds.

Its users look at `GET /booking`, a list of some available seats, and book one seat at a time.
"""

from bench.war.buyers import Buyer, Habits, Wish
from bench.war.scenarios.bounds import Bound
from bench.war.scenarios.scenario import EVERY_WAR, Role, Scenario, Stage
from bench.war.views import BuyerPage, ListPage


class SingleBuyer(Buyer):
    """A buyer that takes one seat off the list."""

    def new_page(self) -> BuyerPage:
        """The list in place of the map."""
        return ListPage(self.sale, self.send, self.chance)

    def wish(self) -> Wish | None:
        """One seat, as that API takes it."""
        seats = self.page.pick_seats(1, 1)
        return {"seatId": seats[0]} if seats else None


_BUSY = Habits(choose_s=(0.1, 0.4), think_s=(0.2, 0.8), rest_s=(0.3, 1.0))
_CALM = Habits(choose_s=(0.5, 1.5), think_s=(0.5, 2.0), rest_s=(1.0, 3.0))

BURST = Scenario(
    name="seed-burst",
    says="The seed's load test: 30 s to 50 users, 1 min to 250, 3 min at 250, 30 s down.",
    stages=(Stage(30, 50), Stage(60, 250), Stage(180, 250), Stage(30, 0)),
    cast=(Role(SingleBuyer, _BUSY),),
    bounds=(
        *EVERY_WAR,
        Bound("failed_share", most=0.01),  # its own; any failure at all fails a war here
        Bound("p95_ms", most=500),
        Bound("confirmed_count", least=101),
    ),
    venue="stadium",
    hold_ttl_s=10,
)

CALM = Scenario(
    name="seed-calm",
    says="The seed's calm test: 30 s to 100 users, 2 min at 100; over 70 % succeed.",
    stages=(Stage(30, 100), Stage(120, 100), Stage(10, 0)),
    cast=(Role(SingleBuyer, _CALM),),
    bounds=(*EVERY_WAR, Bound("held_share", least=0.7), Bound("success_share", least=0.7)),
    venue="stadium",
    hold_ttl_s=10,
)
