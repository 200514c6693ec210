"""The scenarios by name: their users, their stages and the bounds of their figures."""

from bench.war.scenarios import best, group, hoarder, refresher, rush, seed, spike, waves
from bench.war.scenarios.scenario import Scenario

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        rush.RUSH,
        seed.BURST,
        seed.CALM,
        spike.SPIKE,
        hoarder.HOARDER,
        refresher.REFRESHER,
        group.GROUP,
        best.BEST,
        waves.WAVES,
    )
}


def find(name: str) -> Scenario:
    """The scenario of a name. Raises ValueError that says which there are."""
    if name not in SCENARIOS:
        raise ValueError(f"there is no scenario {name!r}, only {', '.join(SCENARIOS)}")
    return SCENARIOS[name]
