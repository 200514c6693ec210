"""A plan: where the seats are (layout) and how they are sold (terms), in any format."""

from collections.abc import Sequence
from enum import StrEnum

import msgspec
from msgspec import Struct

from engine.models import Layout, Terms
from engine.plans.builder import LayoutBuilder
from engine.plans.currencies import decimals_of
from engine.plans.problems import PlanError, place_first
from engine.plans.quality import Focus
from engine.plans.ranks import Ranks
from engine.plans.table import Dialect
from engine.terms import problems_of

DEFAULT_CURRENCY: str = Terms(name="any").currency
"""Of plans that have none."""


class PriceUnit(StrEnum):
    """The unit of prices in text: 4500 or 45.00."""

    MINOR = "minor"
    MAJOR = "major"


class PlanOptions(Struct, frozen=True, kw_only=True):
    """Options for reading a plan. `name` and `currency` override those of the plan.

    `derive_ids` and `prices` are for pretix plans, which have seat_guids and no prices. `prices`
    is a file (JSON object, or CSV `category,price_minor`), the text `Stalls=5000,Box=9000` or
    `{"Parkett, Reihe 1": 5000}`, or one price for all categories: `5000`. `customer_max` is the
    limit if the plan states none; 0 for no limit.

    `focus` and `ranks` say how good seats are, instead of what the plan says about that.

    `delimiter` and `encoding` are for CSV files; without them both are detected. `price_unit` is
    for the prices of CSV files and of `prices`: `minor` (4500) or `major` (45.00).
    """

    derive_ids: bool = False
    prices: str | None = None
    currency: str | None = None
    name: str | None = None
    customer_max: int = 0
    delimiter: str | None = None
    encoding: str | None = None
    price_unit: PriceUnit | None = None
    focus: Focus | None = None
    ranks: Ranks | None = None

    @property
    def price_decimals(self) -> int | None:
        """The decimals of a price in major units; None if prices are in minor units."""
        if self.price_unit != PriceUnit.MAJOR:
            return None
        return decimals_of(self.currency or DEFAULT_CURRENCY)

    @property
    def dialect(self) -> Dialect:
        """How CSV files are written. Raises PlanError for a delimiter that cannot be one."""
        delimiter = {"tab": "\t", "\\t": "\t"}.get(self.delimiter or "", self.delimiter)
        if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
            raise PlanError([f"the delimiter {delimiter[:100]!r} is not one character, or `tab`"])
        return Dialect(delimiter, self.encoding)


NO_OPTIONS = PlanOptions()


class Plan(Struct, frozen=True):
    """The layout of an event and its terms. Change terms with `msgspec.structs.replace`.

    `notes` tell what the reader passed over or assumed.
    """

    layout: Layout
    terms: Terms
    notes: tuple[str, ...] = ()


def make_plan(
    builder: LayoutBuilder,
    stated: dict[str, object],
    options: PlanOptions,
    *,
    allow_empty: bool = False,
    notes: Sequence[str] = (),
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
    if options.focus:
        builder.set_focus("the option focus", *options.focus)
        if builder.is_ranked:
            builder.problems.append("the option focus: the seats have ranks, which come first")
    return Plan(builder.build(terms.currency, allow_empty=allow_empty), terms, tuple(notes))
