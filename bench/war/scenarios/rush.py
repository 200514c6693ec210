"""A rush: hundreds at once for a hall that is soon sold out, each with its own behaviour."""

from bench.war.scenarios.bounds import Bound
from bench.war.scenarios.scenario import EVERY_WAR, Scenario, Stage

RUSH = Scenario(
    name="rush",
    says="300 users rush a hall; most pay, some give back, some walk away. 20 s.",
    stages=(Stage(2, 300), Stage(18, 300)),
    bounds=(*EVERY_WAR, Bound("p95_ms", most=1000), Bound("confirmed_count", least=300)),
)
