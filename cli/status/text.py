"""The output of `engine status` without a screen: a table, lines, or JSON.

All three are made of one struct, so JSON and lines contain the same values.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from cli import output
from cli.status.poller import NEEDED_PARTS, EventSnapshot, StatusSnapshot
from cli.status.rates import Rates, ReleaseDelay
from cli.status.sales import sales_at
from engine.ids import EventId
from engine.models import Event

COLUMNS = ("event", "sales", "capacity", "available", "held", "sold", "blocked")


class EventStatus(Struct, frozen=True):
    """An event, its rates, and the state of its write-behind."""

    event: Event
    backlog_entries: int
    lag_ms: int
    pending_count: int
    dead_letter_count: int
    rates: Rates
    rates_estimated: bool
    release_delay: ReleaseDelay | None


class Status(Struct, frozen=True):
    """`refusals` by code since the API started: of the chosen event, or of all; None: not known.

    `trouble`: `kind`, `since`, `why`; while it is set, all other values are the last known ones.
    `unreadable`: why an event is not among `events`.
    """

    at: str
    events: tuple[EventStatus, ...]
    parts: dict[str, bool]
    refusals: dict[str, int] | None
    trouble: dict[str, str] | None
    unreadable: dict[EventId, str]


def show_once(snapshot: StatusSnapshot) -> None:
    """A table, a line about the last seconds for each event, a line for each part."""
    found = status_of(snapshot)
    rows = [_row_of(item, snapshot.events[item.event.id].pulse.now_ms) for item in found.events]
    output.show_table("Events", (*COLUMNS, "backlog", "lag ms"), rows)
    for item in found.events:
        dead = f", {item.dead_letter_count:,} dead letters" if item.dead_letter_count else ""
        output.say(f"{item.event.id}: {_rates_of(item)}", (dead, "red"))
    for why in found.unreadable.values():
        output.say((why, "red"))
    for part, runs in found.parts.items():
        missing = ("does not run", "red" if part in NEEDED_PARTS else "")
        output.say(f"{part}: ", "runs" if runs else missing)
    if found.refusals:
        counts = ", ".join(f"{code} {count:,}" for code, count in found.refusals.items())
        output.say(f"refused since the API started: {counts}")


def _row_of(item: EventStatus, now_ms: int) -> list[str]:
    counts = msgspec.structs.astuple(item.event.counts)
    figures = (item.event.capacity, *counts, item.backlog_entries, item.lag_ms)
    return [item.event.id, sales_at(item.event, now_ms), *(f"{number:,}" for number in figures)]


def _rates_of(item: EventStatus) -> str:
    """The last seconds on one line."""
    rates, delay = item.rates, item.release_delay
    said = [f"{rates.holds:,.1f} holds/s", f"{rates.confirms:,.1f} confirms/s"]
    said += [f"{rates.expired:,.1f} expired/s", f"{item.pending_count:,} pending"]
    if delay:
        said.append(f"released {delay.median_ms:,} ms after the deadline, at most {delay.max_ms:,}")
    return ", ".join(said)


def status_of(snapshot: StatusSnapshot) -> Status:
    """The struct for programs."""
    found, trouble = snapshot.trouble, None
    if found:
        trouble = {"kind": found.kind, "since": _time(found.since_s), "why": found.why}
    events = tuple(map(_event_status, snapshot.events.values()))
    return Status(
        at=_time(snapshot.at_s),
        events=events,
        parts=snapshot.parts,
        refusals=snapshot.refusals,
        trouble=trouble,
        unreadable=snapshot.unreadable,
    )


def _event_status(state: EventSnapshot) -> EventStatus:
    pulse, course = state.pulse, state.course
    return EventStatus(
        event=pulse.event,
        backlog_entries=pulse.backlog_entries,
        lag_ms=pulse.lag_ms,
        pending_count=pulse.pending_count,
        dead_letter_count=pulse.dead_letter_count,
        rates=course.rates,
        rates_estimated=pulse.estimated,
        release_delay=course.release_delay(),
    )


def lines_of(snapshot: StatusSnapshot) -> Iterator[str]:
    """A line for each event, `key=value` with the same keys in every line; `-`: not known.

    Of an event that cannot be read `event=… unreadable='…'`; in trouble, one line instead of all:
    `trouble=redis_away since=… why='…'`.
    """
    at, trouble = _time(snapshot.at_s), snapshot.trouble
    if trouble:
        why = " ".join(trouble.why.split())
        yield f"{at} trouble={trouble.kind} since={_time(trouble.since_s)} why={why!r}"
        return
    for event, why in snapshot.unreadable.items():
        yield f"{at} event={event} unreadable={' '.join(why.split())!r}"
    parts = " ".join(f"{part}={'up' if up else 'down'}" for part, up in snapshot.parts.items())
    for item in map(_event_status, snapshot.events.values()):
        counts, rates, delay = item.event.counts, item.rates, item.release_delay
        refusals = "-" if rates.refusals is None else f"{rates.refusals:.1f}"
        yield (
            f"{at} event={item.event.id} sales={item.event.sales}"
            f" available={counts.available} held={counts.held} sold={counts.sold}"
            f" blocked={counts.blocked} pending={item.pending_count}"
            f" holds_per_s={rates.holds:.1f} confirms_per_s={rates.confirms:.1f}"
            f" refusals_per_s={refusals} expired_per_s={rates.expired:.1f}"
            f" released_per_s={rates.released:.1f}"
            f" backlog={item.backlog_entries} lag_ms={item.lag_ms}"
            f" release_delay_ms={delay.median_ms if delay else '-'}"
            f" release_delay_max_ms={delay.max_ms if delay else '-'}"
            f" dead_letters={item.dead_letter_count} {parts}"
        )


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
