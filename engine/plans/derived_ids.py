"""Ids made from names people wrote: what formats without ids of their own need.

`Régie 2` becomes `Regie_2`: accents fall off (NFKD), any other character an id cannot have becomes
`_`. Two names may come out the same; `distinct_ids` then counts them apart.
"""

import re
import unicodedata
from collections.abc import Iterable

_NOT_OF_A_PLACE = re.compile(r"[^A-Za-z0-9_.~-]")


def id_from(name: str) -> str:
    """The name as an id; `_` where nothing is left of it."""
    letters = (c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    return _NOT_OF_A_PLACE.sub("_", "".join(letters)) or "_"


def distinct_ids(names: Iterable[str]) -> list[str]:
    """An id for each name, in order: the second that would be `Rang` is `Rang_2`."""
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
    """`<section>-<row>-<number>`, from what is printed on the row and the seat."""
    return f"{section_id}-{id_from(row)}-{id_from(number)}"
