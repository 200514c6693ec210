"""A plan: where the seats are (layout) and how they are sold (terms), whatever it came from."""

import msgspec
from msgspec import Struct

from engine.models import Layout, Terms
from engine.plans.builder import LayoutBuilder
from engine.plans.problems import PlanError, place_first


class PlanOptions(Struct, frozen=True, kw_only=True):
    """What is said beside a plan. `name` and `currency` win over what the plan states.

    `derive_ids` and `prices` are for pretix plans, which have seat_guids and no prices. `prices`
    is a file (JSON object, or CSV `category,price_minor`), or the text `Stalls=5000,Box=9000`, or
    one price for all: `5000`.
    """

    derive_ids: bool = False
    prices: str | None = None
    currency: str | None = None
    name: str | None = None


NO_OPTIONS = PlanOptions()


class Plan(Struct, frozen=True):
    """The layout of an event and its terms; replace fields of the terms before loading."""

    layout: Layout
    terms: Terms


def make_plan(
    builder: LayoutBuilder,
    stated: dict[str, object],
    options: PlanOptions,
    *,
    allow_empty: bool = False,
) -> Plan:
    """Finish a plan: `stated` has the fields of Terms that the file states, `options` win over it.

    Raises: PlanError with all that the builder and the terms have against it.
    """
    said = {"name": options.name, "currency": options.currency}
    wanted = stated | {key: value for key, value in said.items() if value is not None}
    try:
        terms = msgspec.convert(wanted, Terms)
    except msgspec.ValidationError as error:
        raise PlanError([place_first(str(error)), *builder.problems]) from error
    if 0 < terms.closes_at_ms <= terms.opens_at_ms:
        builder.problems.append("the sale closes before it opens")
    return Plan(builder.build(terms.currency, allow_empty=allow_empty), terms)
