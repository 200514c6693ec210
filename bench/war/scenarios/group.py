"""Groups of two to eight that sit together or not at all."""

from bench.war.buyers import Habits
from bench.war.scenarios.bounds import Bound
from bench.war.scenarios.scenario import EVERY_WAR, Role, Scenario, Stage

GROUP = Scenario(
    name="group",
    says="200 users want two to eight seats beside each other, or none. 30 s.",
    stages=(Stage(3, 200), Stage(27, 200)),
    cast=(Role(habits=Habits(group_min=2, group_max=8, together=True)),),
    bounds=(*EVERY_WAR, Bound("p95_ms", most=500), Bound("confirmed_count", least=100)),
)
