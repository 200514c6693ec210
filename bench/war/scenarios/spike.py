"""The opening: everyone has the page open, and everyone clicks in the same second."""

from bench.war.buyers import Buyer, Habits
from bench.war.scenarios.bounds import Bound
from bench.war.scenarios.scenario import EVERY_WAR, Role, Scenario, Stage

OPENS_AT_SHARE = 0.3
"""When the doors open, as a share of the whole run: until then people come and wait."""


REFRESH_S = (1.0, 2.0)
"""How often a waiting user refreshes the page."""


class Waiting(Buyer):
    """A buyer that looks before the sale opens, and takes what it saw when the sale opens."""

    _ready = False

    def visit(self) -> float:
        """Before the doors open, look; as they open, click; then buy like any other."""
        waiting_s = self.sale.seconds * OPENS_AT_SHARE - self.shop.elapsed_s()
        if waiting_s <= 0:
            return super().visit()
        super().look()
        self._ready = True
        return min(waiting_s, self.chance.uniform(*REFRESH_S))

    def look(self) -> None:
        """The first click uses the open page. A late buyer has to look first."""
        if not self._ready:
            super().look()
        self._ready = False


SPIKE = Scenario(
    name="spike",
    says="500 users have the map open and all click in the same second. 20 s.",
    stages=(Stage(5, 500), Stage(15, 500)),
    cast=(Role(Waiting, Habits(choose_s=(0.0, 0.2))),),
    bounds=(
        *EVERY_WAR,
        Bound("busiest_share", least=0.9),
        Bound("p95_ms", most=1000),
        Bound("confirmed_count", least=300),
    ),
)
