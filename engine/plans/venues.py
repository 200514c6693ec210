"""Venues of our own making, for demos, tests and wars: `venue:hall` and `venue:stadium`.

Generators rather than files: 50,000 seats in a hundred lines, the same seats each time.
"""

from engine.plans.builder import LayoutBuilder
from engine.plans.hall import fill_hall
from engine.plans.plan import NO_OPTIONS, Plan, PlanOptions, make_plan
from engine.plans.problems import PlanError
from engine.plans.stadium import fill_stadium

VENUES = {"hall": ("Concert hall", fill_hall), "stadium": ("Stadium", fill_stadium)}


def make_venue(venue: str, options: PlanOptions = NO_OPTIONS) -> Plan:
    """The plan of a venue. Raises PlanError for one there is not."""
    if venue not in VENUES:
        raise PlanError([f"there is no venue {venue!r}, only {', '.join(VENUES)}"])
    name, fill = VENUES[venue]
    builder = LayoutBuilder()
    fill(builder)
    return make_plan(builder, {"name": name}, options)
