"""Plans: event JSON, pretix seating plans, CSV and generated venues, all read into one layout.

The command line uses `read_plan`, the API `parse_event` and `add_sections`. `engine.plans.layout`
has what Redis needs of a layout.
"""

from engine.plans.event_json import add_sections, event_schema
from engine.plans.plan import Plan, PlanOptions, PriceUnit
from engine.plans.problems import PlanError
from engine.plans.reader import parse_event, read_plan

__all__ = [
    "Plan",
    "PlanError",
    "PlanOptions",
    "PriceUnit",
    "add_sections",
    "event_schema",
    "parse_event",
    "read_plan",
]
