"""Whether a history can be explained: every seat had one owner, and no read saw anything else.

The journal gives the sequence in which everything took effect, so there is nothing to search for:
a history is right if that sequence is a lawful life of every seat and booking, agrees with the
times at which calls began and ended, and every answer was true at some moment of its call. That
is linearizability with a witness. A call without an end may have taken effect at any time, once.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

from engine.errors import RefundDue, Refused, SeatTaken
from engine.models import Booking, JournalEntry
from tests.support.history import Call
from tests.support.lives import Lives

_CAUSES = {
    "seats_held": "hold",
    "booking_extended": "extend",
    "booking_confirmed": "confirm",
    "booking_released": "release",
    "booking_cancelled": "cancel",
    "refund_due": "confirm",
}
_LEAVES = {"confirm": "confirmed", "release": "released", "cancel": "cancelled"}
_SAYS = {
    "already_confirmed": "confirmed",
    "booking_released": "released",
    "booking_expired": "expired",
    "booking_cancelled": "cancelled",
    "not_confirmed": "pending",
}


class Window(NamedTuple):
    """How many entries there were at least, and at most, while a call ran."""

    least: int
    most: int


def check(calls: Sequence[Call], entries: Sequence[JournalEntry]) -> list[str]:
    """Everything that cannot be explained, each in a line; empty when all is right."""
    lives = Lives([entry for entry in entries if entry.booking])
    return [*lives.faults, *_Judge(calls, lives).faults()]


class _Judge:
    """Compares a history with the lives in its journal."""

    def __init__(self, calls: Sequence[Call], lives: Lives) -> None:
        self._calls = calls
        self._lives = lives
        self._causes: dict[tuple[str, str], list[Call]] = defaultdict(list)
        for call in calls:
            if call.was_tried:
                self._causes[call.kind, call.subject].append(call)
        self._order_by_time()

    def _order_by_time(self) -> None:
        """When each entry had surely happened, and before when it surely had not."""
        known, began = [], []
        for call in self._calls:
            if isinstance(call.answer, Booking):
                version = self._lives.version(call.answer)
                if version:
                    known.append((call.ended_ms, version.start + 1))
        for position, entry in enumerate(self._lives.entries):
            causes = self._asked(entry)
            if causes:
                began.append((min(call.began_ms for call in causes), position))
        known.sort()
        began.sort()
        self._known_ms = [ms for ms, _ in known]
        self._least = [0, *accumulate((count for _, count in known), max)]
        self._began_ms = [ms for ms, _ in began]
        end = len(self._lives.entries)
        backwards = accumulate((count for _, count in reversed(began)), min, initial=end)
        self._most = list(reversed(list(backwards)))

    def _asked(self, entry: JournalEntry) -> list[Call]:
        assert entry.booking
        kind = _CAUSES.get(entry.kind, "")
        subject = entry.booking.customer_id if kind == "hold" else entry.booking.id
        return self._causes[kind, subject]

    def _window(self, call: Call) -> Window:
        least = self._least[bisect_left(self._known_ms, call.began_ms)]
        return Window(least, self._most[bisect_right(self._began_ms, call.ended_ms)])

    def faults(self) -> Iterator[str]:
        """What is wrong with the entries' causes, and with each answer."""
        for position, entry in enumerate(self._lives.entries):
            if entry.kind == "booking_expired":
                continue
            causes = self._asked(entry)
            if not causes:
                yield f"{entry.kind} at {position}: no call made it"
            elif position < self._window(min(causes, key=lambda call: call.began_ms)).least:
                yield f"{entry.kind} at {position}: it was asked for later"
            elif entry.kind != "refund_due" and all(
                isinstance(call.answer, Refused) for call in causes
            ):
                yield f"{entry.kind} at {position}: and everybody was refused"
        for call in self._calls:
            if fault := self._fault(call):
                yield f"{call.kind} of {call.subject} answered {call.answer!r}: {fault}"

    def _fault(self, call: Call) -> str | None:
        window = self._window(call)
        if isinstance(call.answer, Booking):
            return self._booking_fault(call, call.answer, window)
        if isinstance(call.answer, SeatTaken):
            return self._taken_fault(call, call.answer, window)
        if isinstance(call.answer, Refused):
            return self._refusal_fault(call, call.answer, window)
        return None

    def _booking_fault(self, call: Call, answer: Booking, window: Window) -> str | None:
        if call.kind == "hold" and (answer.customer_id, answer.seats) != (call.subject, call.seats):
            return "it is another booking than was asked for"
        if call.kind != "hold" and answer.id != call.subject:
            return "it is another booking"
        if answer.status != _LEAVES.get(call.kind, answer.status):
            return "it has another status than was asked for"
        version = self._lives.version(answer)
        if version is None:
            return "it never was so"
        if version.end < window.least:
            return "it was so no more"
        return "it was not so yet" if version.start >= window.most else None

    def _taken_fault(self, call: Call, answer: SeatTaken, window: Window) -> str | None:
        for count in range(window.least, window.most + 1):
            taken = {seat for seat in call.seats if self._lives.owner(seat, count)}
            overdue = {s for s in taken if self._lives.may_be_overdue(s, count, call.ended_ms)}
            if taken - overdue <= set(answer.found) <= taken:
                return None
        return "at no moment were these and only these taken"

    def _refusal_fault(self, call: Call, answer: Refused, window: Window) -> str | None:
        if call.kind == "hold":
            return "no hold of this test is refused so"
        versions = self._lives.between(call.subject, window.least, window.most)
        if isinstance(answer, RefundDue):
            fine = any(version.booking.refund_reason for version in versions)
        elif answer.code == "extend_limit":
            fine = any(v.booking.expires_at_ms == int(answer.found[0]) for v in versions)
        else:
            said = _SAYS.get(answer.code)
            late = said == "expired" and call.kind == "extend"
            fine = any(
                v.booking.status == said or (late and v.booking.expires_at_ms <= call.ended_ms)
                for v in versions
            )
        return None if fine else "at no moment was it so"
