"""What people read of a label: labels that look the same are the same label.

Two spellings of `Régie`, one composed and one decomposed, are one section to every reader
for a seat. So labels are compared as they are read: composed (NFC), without characters that show
nothing, with white space folded. The text that people see stays as the plan has it.
"""

import re
import unicodedata
from functools import lru_cache

_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]"
)
"""Fillers and variation selectors: they show nothing, and are not format characters (Cf)."""

_DIGITS = re.compile(r"(\d+)")


LABEL_MAX = 100
"""The most characters of a label; longer ones are refused, so no cache has them."""


def as_read(label: str) -> str:
    """The label as people read it; empty if it shows nothing."""
    return _cached(label) if len(label) <= LABEL_MAX else _as_read(label)


def _as_read(label: str) -> str:
    if not label.isascii():
        shown = "".join(c for c in label if unicodedata.category(c) != "Cf")
        label = unicodedata.normalize("NFC", _INVISIBLE.sub("", shown))
    return " ".join(label.split())


_cached = lru_cache(8192)(_as_read)


def natural_key(label: str) -> tuple[tuple[int, str], ...]:
    """A sort key with numbers by their value: 1, 1a, 2, 10, then A.

    A number sorts by its length and then its digits: no label is too long for it.
    """
    parts = _DIGITS.split(as_read(label))
    return tuple(
        (len(digits := part.lstrip("0")), digits) if place % 2 else (0, part)
        for place, part in enumerate(parts)
    )
