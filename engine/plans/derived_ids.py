"""Derives ids from labels: distinct labels get distinct ids, whatever their script.

A label of the characters that an id can have is its own id. An ASCII label has `_` for each other
character: `Rear seats` is `Rear_seats`. A label in any other script is transliterated and gets a
short hash of the label, because transliteration maps several labels to one text: `Ä` is
`A~hplh5l`. So the id depends on the label alone: it is the same after a reload, in any order of
rows and columns, and beside any other label.

The exception are ASCII labels that would share an id, as `1/2` and `1 2`. The one nearest to the id
keeps it: the id itself, else the one that differs from it by spaces only. The others get a hash.
"""

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import lru_cache
from typing import TypeVar

from anyascii import anyascii

from engine.plans.labels import LABEL_MAX, as_read

ID_MAX = 80
"""The most characters of an id, as in `engine.ids.PLACE_PATTERN`."""

HASH_LENGTH = 6
"""30 bits: enough within the few labels that share a transliteration; a clash is hashed again."""

SeatLabel = tuple[str, str, str]
"""Section id, row and number of a seat, the last two as they are read."""

K = TypeVar("K", bound=Hashable)

_NOT_OF_A_PLACE = re.compile(r"[^A-Za-z0-9_.~-]")


def id_from(label: str) -> str:
    """The id of a label that stands alone."""
    return _cached(label) if len(label) <= LABEL_MAX else _id_from(label)


def _id_from(label: str) -> str:
    label = as_read(label)
    plain = _NOT_OF_A_PLACE.sub("_", anyascii(label[:ID_MAX])) or "_"
    return plain if label.isascii() and len(label) <= ID_MAX else _hashed(plain, label)


_cached = lru_cache(8192)(_id_from)


def distinct_ids(labels: Iterable[str]) -> dict[str, str]:
    """A distinct id for each distinct label."""
    return _distinct({label: id_from(label) for label in labels}, _difference)


def seat_id(section_id: str, row: str, number: str) -> str:
    """`<section>-<row>-<number>`, from the labels on the row and the seat."""
    plain = f"{section_id}-{id_from(row)}-{id_from(number)}"
    return plain if len(plain) <= ID_MAX else _hashed(plain, f"{section_id}\n{row}\n{number}")


def seat_ids(labels: Iterable[SeatLabel], is_taken: Callable[[str], bool]) -> dict[SeatLabel, str]:
    """A distinct id for each seat; `is_taken` says which ids other seats have."""
    return _distinct({label: seat_id(*label) for label in labels}, _seat_difference, is_taken)


def _difference(label: str, label_id: str) -> int:
    """0 for a label that is its id, 1 for one that differs by spaces only, else 2."""
    if label == label_id:
        return 0
    return 1 if label.replace(" ", "_") == label_id else 2


def _seat_difference(label: SeatLabel, label_id: str) -> int:
    # Split from the end: (A, 1-2, 3) and (A-1, 2, 3) have one id, which reads back as the second.
    parts = label_id.rsplit("-", 2)
    if len(parts) != len(label):
        return 2
    return max(
        _difference(text, part) if text.isascii() else 0
        for text, part in zip(label, parts, strict=True)
    )


def _distinct(
    wanted: Mapping[K, str],
    difference: Callable[[K, str], int],
    is_taken: Callable[[str], bool] = lambda _: False,
) -> dict[K, str]:
    counts = Counter(wanted.values())
    by_difference = Counter(
        (wanted_id, difference(label, wanted_id))
        for label, wanted_id in wanted.items()
        if counts[wanted_id] > 1
    )

    def keeps(label: K, wanted_id: str) -> bool:
        own = difference(label, wanted_id) if counts[wanted_id] > 1 else -1
        nearer = any(by_difference[wanted_id, other] for other in range(own))
        return own < 0 or (own < 2 and not nearer and by_difference[wanted_id, own] == 1)

    ids = {
        label: wanted_id
        for label, wanted_id in wanted.items()
        if not is_taken(wanted_id) and keeps(label, wanted_id)
    }
    used = set(ids.values()) if len(ids) < len(wanted) else set()
    attempt = 0
    while len(ids) < len(wanted):
        left = {
            label: _hashed(wanted_id, f"{label}{attempt or ''}")
            for label, wanted_id in wanted.items()
            if label not in ids
        }
        counts = Counter(left.values())
        ids |= {
            label: hashed
            for label, hashed in left.items()
            if counts[hashed] == 1 and hashed not in used and not is_taken(hashed)
        }
        used.update(left.values())
        attempt += 1
    return {label: ids[label] for label in wanted}


def _hashed(plain: str, label: str) -> str:
    digest = hashlib.blake2b(label.encode(errors="surrogatepass"), digest_size=20).digest()
    text = base64.b32hexencode(digest).decode().lower()[:HASH_LENGTH]
    return f"{plain[: ID_MAX - HASH_LENGTH - 1]}~{text}"
