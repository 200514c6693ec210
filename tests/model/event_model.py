"""What an organiser decides about an event: its layout, what is blocked, how it is sold."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from engine import errors as no
from engine.models import Layout, Sales, Terms, TermsChange
from engine.plans import layout as layouts


class SeatModel(NamedTuple):
    """The place of a seat in the map, and the number of its category."""

    at: int
    category: int


class AreaModel(NamedTuple):
    """How many a standing area takes, and the number of its category."""

    capacity: int
    category: int


class EventModel:
    """One event before its first booking. `noted` is what the journal must contain.

    `owner_id` is the caller: an organiser of their own event, or "" for an administrator.
    """

    def __init__(self, layout: Layout, terms: Terms) -> None:
        self.blocked: set[str] = set()
        self.terms = terms
        self.epoch = 1
        self.noted: list[tuple[str, dict[str, str]]] = []
        self._read(layout, known_length=0)

    @property
    def hold_max_ms(self) -> int:
        """How long after its hold a booking may be extended."""
        return self.terms.hold_max_ms or 2 * self.terms.hold_ttl_ms

    @property
    def prices(self) -> list[int]:
        """Minor units by category number."""
        return [category.price_minor for category in self.layout.categories]

    def price(self, seats: Sequence[str], areas: dict[str, int]) -> int:
        """What these places cost together, in minor units."""
        seated = sum(self.prices[self.seats[seat].category] for seat in seats)
        return seated + sum(self.prices[self.areas[a].category] * n for a, n in areas.items())

    def capacity(self) -> int:
        """Everything there is, blocked seats too."""
        return len(self.seats) + sum(area.capacity for area in self.areas.values())

    def closed(self, now_ms: int) -> str | None:
        """Why nothing can be held now, if so."""
        if self.terms.sales is not Sales.OPEN:
            return self.terms.sales
        if now_ms < self.terms.opens_at_ms:
            return "not_yet"
        return "ended" if 0 < self.terms.closes_at_ms <= now_ms else None

    def add_seats(self, layout: Layout, known: Layout, owner_id: str) -> None:
        """What `layout` has beyond `known`, which must be the layout in place."""
        self._check_owner(owner_id)
        if known.version != self.layout.version:
            raise no.LayoutChanged
        self._read(layout, known_length=layouts.map_length(known))
        changed = {
            "known_version": known.version,
            "layout_version": layout.version,
            "prices": ",".join(map(str, self.prices)),
        }
        self.noted.append(("seats_added", changed))

    def set_terms(self, change: TermsChange, owner_id: str) -> None:
        """What is None stays as it is."""
        self._check_owner(owner_id)
        terms = replace(self.terms, **change.fields)
        _check(terms, change.fields.keys())
        self.terms = terms
        named = {name: str(getattr(self.terms, name)) for name in change.__struct_fields__}
        self.noted.append(("terms_set", named))

    def block_seats(
        self, seats: Sequence[str], *, blocked: bool, owner_id: str, claimed: Collection[str]
    ) -> None:
        """Never over a customer's head: a claimed seat is not blocked, its hold overdue or not."""
        self._check_owner(owner_id)
        if unknown := [seat for seat in seats if seat not in self.seats]:
            raise no.SeatNotFound(*unknown)
        if blocked and (taken := [seat for seat in seats if seat in claimed]):
            raise no.SeatTaken(*taken)
        changed = [seat for seat in dict.fromkeys(seats) if (seat in self.blocked) != blocked]
        if not blocked:
            changed = [seat for seat in changed if seat in self.blocked]
        self.blocked = self.blocked | set(changed) if blocked else self.blocked - set(changed)
        if changed:
            kind = "seats_blocked" if blocked else "seats_unblocked"
            self.noted.append((kind, {"seats": " ".join(changed)}))

    def _check_owner(self, owner_id: str) -> None:
        if owner_id not in ("", self.terms.owner_id):
            raise no.NotOwner

    def _read(self, layout: Layout, known_length: int) -> None:
        """Take a layout over; of the seats behind those known, some come off sale."""
        numbers = {category.id: n for n, category in enumerate(layout.categories)}
        placed = {
            row.index + i: seat
            for section in layout.sections
            for row in section.rows
            for i, seat in enumerate(row.seats)
        }
        self.layout = layout
        self.seats = {s.id: SeatModel(index, numbers[s.category]) for index, s in placed.items()}
        self.areas = {a.id: AreaModel(a.capacity, numbers[a.category]) for a in layout.areas}
        self.blocked |= {s.id for index, s in placed.items() if s.blocked and index >= known_length}


def _check(terms: Terms, changed: Collection[str]) -> None:
    """The rules between two terms that are both set, where one of them changes."""
    opens_at_ms, starts_at_ms = terms.opens_at_ms, terms.starts_at_ms
    rules = (
        ("opens_at_ms", "closes_at_ms", opens_at_ms < terms.closes_at_ms),
        ("opens_at_ms", "starts_at_ms", opens_at_ms < starts_at_ms),
        ("cancel_until_ms", "starts_at_ms", terms.cancel_until_ms <= starts_at_ms),
        ("hold_ttl_ms", "payment_max_ms", terms.hold_ttl_ms <= terms.payment_max_ms),
    )
    for first, second, is_kept in rules:
        is_set = getattr(terms, first) and getattr(terms, second)
        if is_set and not is_kept and (first in changed or second in changed):
            pair = (first, second) if first in changed else (second, first)
            raise no.TermsContradict(*pair)
