"""The money after a war: every charge of the provider is recorded, and every cent is accounted for.

The provider's own list rather than the engine's records: a payment that was acknowledged with 200
and then forgotten everywhere leaves Redis and Postgres in perfect agreement.
"""

from collections.abc import Collection, Iterator, Sequence

from msgspec import Struct

from bench.war.tally import Charge
from persistence.journal.tables import MoneySums


class BrokenPayment(Struct, frozen=True):
    """Money that is not accounted for: `payment_lost` or `sums_differ`."""

    kind: str
    subject: str
    detail: str


def check(
    charges: Sequence[Charge],
    payments: Collection[tuple[str, str, int, str]],
    sums: Sequence[MoneySums],
) -> list[BrokenPayment]:
    """Every broken payment. `payments` has booking, id, amount and currency, from Postgres."""
    return [*_lost(charges, payments), *_unbalanced(sums)]


def _lost(
    charges: Sequence[Charge], payments: Collection[tuple[str, str, int, str]]
) -> Iterator[BrokenPayment]:
    for charge in charges:
        if (charge.booking_id, charge.payment_id, charge.amount_minor, charge.currency) in payments:
            continue
        paid = f"{charge.amount_minor} {charge.currency} for {charge.booking_id}"
        yield BrokenPayment("payment_lost", charge.payment_id, f"{paid}, not recorded as such")


def _unbalanced(sums: Sequence[MoneySums]) -> Iterator[BrokenPayment]:
    for money in sums:
        if not money.is_balanced:
            yield BrokenPayment("sums_differ", money.currency, str(money))
