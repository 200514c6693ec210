"""Bugs with a name in the Python around the scripts, and the check that has to see each."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

from engine.bookings import Bookings
from engine.ids import BookingId, CustomerId
from engine.journal import Journal
from engine.models import Booking, JournalEntry
from persistence.journal.writer import Writer

Patch = Callable[[], AbstractContextManager[Any]]


def _own_clock() -> AbstractContextManager[Any]:
    now = property(lambda self: int(time.time() * 1000), lambda self, value: None)
    return mock.patch.object(Bookings, "now_ms", now, create=True)


def _acknowledge_first() -> AbstractContextManager[Any]:
    write = Writer._write

    async def hasty(self: Writer, batch: list[JournalEntry]) -> None:
        await self._acknowledge(batch)
        await write(self, batch)

    return mock.patch.object(Writer, "_write", hasty)


def _acknowledge_all() -> AbstractContextManager[Any]:
    read = Journal.read

    async def hasty(self: Journal, events: Any, consumer: str, **bounds: int) -> Any:
        found = await read(self, events, consumer, **bounds)
        for event in events:
            await self.acknowledge(event, [entry.entry_id for entry in found])
        return found

    return mock.patch.object(Journal, "read", hasty)


def _never_waits() -> AbstractContextManager[Any]:
    return mock.patch.object(Writer, "_out_of_order", mock.AsyncMock(return_value=set()))


def _always_waits() -> AbstractContextManager[Any]:
    async def all_of(self: Writer, event: Any, refusals: Any) -> set[str]:
        return {refusal.entry.entry_id for refusal in refusals}

    return mock.patch.object(Writer, "_out_of_order", all_of)


def _anybody_reads() -> AbstractContextManager[Any]:
    read = Bookings.read_booking

    async def open_to_all(self: Bookings, booking: BookingId, customer: CustomerId) -> Booking:
        return await read(self, booking, None)

    return mock.patch.object(Bookings, "read_booking", open_to_all)


PLANTED_PYTHON: dict[str, tuple[Patch, str]] = {
    "this host's clock instead of Redis' clock": (_own_clock, "clock"),
    "acknowledge before the commit": (_acknowledge_first, "acknowledged"),
    "acknowledge what was read": (_acknowledge_all, "acknowledged"),
    "a resale is set aside while its cancellation is open": (_never_waits, "resale"),
    "a seat sold twice waits for nothing for ever": (_always_waits, "resale"),
    "a stranger's booking is shown": (_anybody_reads, "stranger"),
}
"""What plants it, and the name of the check."""
