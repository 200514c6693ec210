"""Derives ids from names, for formats that have no ids.

`Régie 2` becomes `Regie_2`: accents are removed (NFKD), any other character that an id cannot have
becomes `_`. Two names can give the same id; `distinct_ids` numbers them.
"""

import re
import unicodedata
from collections.abc import Iterable

_NOT_OF_A_PLACE = re.compile(r"[^A-Za-z0-9_.~-]")


def id_from(name: str) -> str:
    """The name as an id; `_` if no character is left."""
    letters = (c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    return _NOT_OF_A_PLACE.sub("_", "".join(letters)) or "_"


def distinct_ids(names: Iterable[str]) -> list[str]:
    """An id for each name, in order; a second `Rang` becomes `Rang_2`."""
    given: dict[str, None] = {}
    for name in names:
        base = candidate = id_from(name)
        count = 1
        while candidate in given:
            count += 1
            candidate = f"{base}_{count}"
        given[candidate] = None
    return list(given)


def seat_id(section_id: str, row: str, number: str) -> str:
    """`<section>-<row>-<number>`, from the labels on the row and the seat."""
    return f"{section_id}-{id_from(row)}-{id_from(number)}"
