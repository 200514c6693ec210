"""What was asked for and what was answered, with the times of both: a history that can be judged.

A call whose answer was lost has no end: it may take effect at any time after it was sent. One
that was turned away before anything was tried is kept too, because it must have had no effect.
`linearizability.check` judges a history against the journal's sequence.
"""

import math
import time
from collections.abc import Awaitable, Sequence
from typing import NamedTuple

from engine import Engine, keys
from engine.bookings import Bookings
from engine.errors import EngineError, OutcomeUnknown, Overloaded, Refused, Unavailable
from engine.ids import BookingId, EventId
from engine.journal import entry_of
from engine.models import Booking, JournalEntry, Selection

_PAGE_ENTRIES = 10_000
"""A journal of an hour in one answer would come too late."""

_EPOCH_S = time.time() - time.perf_counter()


def now_ms() -> float:
    """This host's time, which is Redis' too, and never goes back."""
    return (_EPOCH_S + time.perf_counter()) * 1000


class Call(NamedTuple):
    """One call. `subject` is the customer of a hold, else the booking; `seats` what a hold wanted.

    `answer` None: unknown, and `ended_ms` is endless.
    """

    kind: str
    subject: str
    seats: tuple[str, ...]
    began_ms: float
    ended_ms: float
    answer: Booking | EngineError | None

    @property
    def was_tried(self) -> bool:
        """Whether it may have reached Redis."""
        return not isinstance(self.answer, Unavailable | Overloaded)


class Recorder:
    """Makes calls and keeps what became of them. The customer of every hold is a new one.

    Each method answers the booking, or None where there is none to go on with.
    """

    def __init__(self, bookings: Bookings) -> None:
        self.calls: list[Call] = []
        self._bookings = bookings

    async def hold(self, selection: Selection, *, times: int = 3) -> Booking | None:
        """Hold under one request id, again and again while the outcome is unknown."""
        customer = selection.customer_id
        for _ in range(times):
            call = self._bookings.hold_seats(selection, request_id=f"hold-{customer}")
            found = await self._record("hold", customer, selection.seats, call)
            if self.calls_of(customer)[-1].answer is not None:
                return found
        return None

    async def confirm(self, booking: BookingId) -> Booking | None:
        """Pay."""
        return await self._on("confirm", booking, self._bookings.confirm_booking(booking, None))

    async def release(self, booking: BookingId) -> Booking | None:
        """Give up."""
        return await self._on("release", booking, self._bookings.release_booking(booking, None))

    async def extend(self, booking: BookingId) -> Booking | None:
        """Ask for more time."""
        return await self._on("extend", booking, self._bookings.extend_booking(booking, None))

    async def cancel(self, booking: BookingId) -> Booking | None:
        """Undo a sale."""
        return await self._on("cancel", booking, self._bookings.cancel_booking(booking, None))

    async def read(self, booking: BookingId) -> Booking | None:
        """Look."""
        return await self._on("read", booking, self._bookings.read_booking(booking, None))

    def calls_of(self, subject: str) -> list[Call]:
        """What was asked for by this customer, or about this booking."""
        return [call for call in self.calls if call.subject == subject]

    async def _on(self, kind: str, booking: BookingId, call: Awaitable[Booking]) -> Booking | None:
        return await self._record(kind, booking, (), call)

    async def _record(
        self, kind: str, subject: str, seats: Sequence[str], call: Awaitable[Booking]
    ) -> Booking | None:
        began_ms = now_ms()
        answer: Booking | EngineError | None
        try:
            answer = await call
        except (Refused, Unavailable, Overloaded) as refused:
            answer = refused
        except OutcomeUnknown:
            answer = None
        ended_ms = now_ms() if answer is not None else math.inf
        self.calls.append(Call(kind, subject, tuple(seats), began_ms, ended_ms, answer))
        return answer if isinstance(answer, Booking) else None


async def read_journal(engine: Engine, event: EventId) -> list[JournalEntry]:
    """Every entry of an event, acknowledged or not."""
    entries, after = list[JournalEntry](), "-"
    while found := await engine.client.xrange(
        keys.of_event(event).journal, min=after, count=_PAGE_ENTRIES
    ):
        entries += [entry_of(event, entry_id, fields) for entry_id, fields in found]
        after = f"({entries[-1].entry_id}"
    return entries
