"""Waves of abandonment: all hold at once, nearly all walk away, and it all comes back at once."""

from bench.war.buyers import Buyer, Habits
from bench.war.scenarios.bounds import Bound
from bench.war.scenarios.scenario import EVERY_WAR, Role, Scenario, Stage

WAVE_COUNT = 10
HOLDS = 3
"""Attempts of each user in one wave: enough to hold most of the hall."""


class Surging(Buyer):
    """A buyer that comes with each wave and nearly always abandons its booking."""

    def arrive(self) -> float:
        """Wait for the next wave."""
        return self._next_in_s()

    def visit(self) -> float:
        """Hold some, and leave until the next wave."""
        for _ in range(HOLDS):
            self.try_to_buy()
        return self._next_in_s()

    def _next_in_s(self) -> float:
        period_s = self.sale.seconds / WAVE_COUNT
        return period_s - self.shop.elapsed_s() % period_s


WAVES = Scenario(
    name="waves",
    says="250 users hold most of the hall every 6 s and walk away; it must come back. 60 s.",
    stages=(Stage(3, 250), Stage(57, 250)),
    cast=(
        Role(
            Surging, Habits(pay_share=0.02, release_share=0.03, choose_s=(0, 0.1), think_s=(0, 0.1))
        ),
    ),
    bounds=(
        *EVERY_WAR,
        Bound("p95_ms", most=1000),
        Bound("expired_count", least=2000),
        Bound("held_count", least=2500),
    ),
    hold_ttl_s=4,
)
