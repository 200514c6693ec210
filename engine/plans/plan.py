"""A plan: where the seats are (layout) and how they are sold (terms), in any format."""

import msgspec
from msgspec import Struct

from engine.models import Layout, Terms
from engine.plans.builder import LayoutBuilder
from engine.plans.problems import PlanError, place_first
from engine.terms import problems_of


class PlanOptions(Struct, frozen=True, kw_only=True):
    """Options for reading a plan. `name` and `currency` override those of the plan.

    `derive_ids` and `prices` are for pretix plans, which have seat_guids and no prices. `prices`
    is a file (JSON object, or CSV `category,price_minor`), the text `Stalls=5000,Box=9000`, or one
    price for all categories: `5000`. `customer_max` is the limit if the plan states none; 0 for no
    limit.
    """

    derive_ids: bool = False
    prices: str | None = None
    currency: str | None = None
    name: str | None = None
    customer_max: int = 0


NO_OPTIONS = PlanOptions()


class Plan(Struct, frozen=True):
    """The layout of an event and its terms. Change terms with `msgspec.structs.replace`."""

    layout: Layout
    terms: Terms


def make_plan(
    builder: LayoutBuilder,
    stated: dict[str, object],
    options: PlanOptions,
    *,
    allow_empty: bool = False,
) -> Plan:
    """Build the plan. `stated` has the fields of Terms in the file; `options` override them.

    Raises: PlanError with every problem of the layout and the terms.
    """
    given = {"name": options.name, "currency": options.currency}
    fields = {"customer_max": options.customer_max} | stated
    fields |= {key: value for key, value in given.items() if value is not None}
    try:
        terms = msgspec.convert(fields, Terms)
    except msgspec.ValidationError as error:
        raise PlanError([place_first(str(error)), *builder.problems]) from error
    builder.problems += problems_of(terms)
    return Plan(builder.build(terms.currency, allow_empty=allow_empty), terms)
