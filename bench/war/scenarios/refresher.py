"""Nine in ten only watch: pages that ask for the map again every second, by its entity tag.

While one in ten buys, the map changes more often than any page asks; afterwards hardly ever, and
a page that asks is told so without the map.
"""

from bench.war.buyers import Buyer, Habits
from bench.war.scenarios.bounds import Bound
from bench.war.scenarios.scenario import EVERY_WAR, Role, Scenario, Stage

QUIET_FROM_SHARE = 0.5
"""When the last buyers stop, as a share of the run. The map does not change after that."""


class Watching(Buyer):
    """A user whose open page asks for changes again and again."""

    def visit(self) -> float:
        """Ask once."""
        self.look()
        return self.chance.uniform(*self.habits.again_s)


class Early(Watching):
    """A buyer that buys during the rush and only watches afterwards."""

    def visit(self) -> float:
        """Try once, or only look."""
        if self.shop.elapsed_s() > self.sale.seconds * QUIET_FROM_SHARE:
            return super().visit()
        return Buyer.visit(self)


_WATCHER = Role(Watching, Habits(again_s=(0.5, 1.5)))
_UNHURRIED = Role(Early, Habits(choose_s=(0.5, 2.0), think_s=(1.0, 3.0), rest_s=(1.0, 3.0)))

REFRESHER = Scenario(
    name="refresher",
    says="400 pages ask for the map every second, by ETag; at first one in ten buys. 40 s.",
    stages=(Stage(5, 400), Stage(35, 400)),
    cast=(_UNHURRIED, *(_WATCHER for _ in range(9))),
    bounds=(
        *EVERY_WAR,
        Bound("look_p95_ms", most=500),
        Bound("confirmed_count", least=50),
        Bound("unchanged_share", least=0.1),
    ),
)
