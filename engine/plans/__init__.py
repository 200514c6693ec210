"""Plans: own event JSON, pretix seating plans, CSV and made venues, all into one layout.

`read_plan` is for the command line, `parse_event` and `add_sections` for the API, and
`engine.plans.layout` for who loads a layout into Redis.
"""

from engine.plans.event_json import add_sections, event_schema
from engine.plans.plan import Plan, PlanOptions
from engine.plans.problems import PlanError
from engine.plans.reader import parse_event, read_plan

__all__ = [
    "Plan",
    "PlanError",
    "PlanOptions",
    "add_sections",
    "event_schema",
    "parse_event",
    "read_plan",
]
