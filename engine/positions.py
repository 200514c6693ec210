"""Positions: where a change stands in the journal of its event, and which of two is newer.

The ids of a Redis Stream do not compare as text: "9-0" is older than "10-0". A position does.
"""

from typing import NamedTuple


class Position(NamedTuple):
    """An entry's id as numbers, and the change within the entry; what is newer compares greater.

    Positions compare within one epoch: put the epoch in front where there may be two.
    """

    ms: int
    sequence: int
    change: int = 0

    @property
    def entry_id(self) -> str:
        """The entry's id, as Redis writes it."""
        return f"{self.ms}-{self.sequence}"


def position_of(entry_id: str) -> Position:
    """The position of an entry. An id without a sequence is the first of its millisecond."""
    ms, _, sequence = entry_id.partition("-")
    return Position(int(ms), int(sequence or 0))
