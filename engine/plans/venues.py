"""Generated venues for demos, tests and wars: `venue:hall` and `venue:stadium`.

Generators rather than files: a hundred lines make 50,000 seats, the same each time.
"""

from engine.plans.builder import LayoutBuilder
from engine.plans.hall import fill_hall
from engine.plans.plan import NO_OPTIONS, Plan, PlanOptions, make_plan
from engine.plans.problems import PlanError
from engine.plans.stadium import fill_stadium

VENUES = {"hall": ("Concert hall", fill_hall), "stadium": ("Stadium", fill_stadium)}


def make_venue(venue: str, options: PlanOptions = NO_OPTIONS) -> Plan:
    """The plan of a venue. Raises PlanError if there is no venue of this name."""
    if venue not in VENUES:
        raise PlanError([f"there is no venue {venue!r}, only {', '.join(VENUES)}"])
    name, fill = VENUES[venue]
    builder = LayoutBuilder(ranks=options.ranks)
    fill(builder)
    return make_plan(builder, {"name": name}, options)
