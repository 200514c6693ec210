"""What `engine status` knows, without a screen: a table, a line at a time, or JSON.

One struct feeds all three, so a program that reads JSON and a person who greps lines see the same.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from cli import output
from cli.status.poller import NEEDED_PARTS, EventSnapshot, StatusSnapshot
from cli.status.rates import Rates, ReleaseDelay
from engine.models import Event

COLUMNS = ("event", "sales", "capacity", "available", "held", "sold", "blocked")


class EventStatus(Struct, frozen=True):
    """An event, how fast it goes, and how far the write-behind is."""

    event: Event
    backlog_entries: int
    lag_ms: int
    pending_count: int
    dead_letter_count: int
    rates: Rates
    rates_estimated: bool
    release_delay: ReleaseDelay | None


class Status(Struct, frozen=True):
    """`refusals` by code since the API started, of all events; None where no API tells them.

    `trouble`: `kind`, `since`, `why`; while there is any, all else is as it was seen last.
    """

    at: str
    events: tuple[EventStatus, ...]
    parts: dict[str, bool]
    refusals: dict[str, int] | None
    trouble: dict[str, str] | None


def show_once(looked: StatusSnapshot) -> None:
    """A table, a line an event about the last seconds, a line a part."""
    found = status_of(looked)
    rows = [
        (
            *(item.event.id, item.event.sales, f"{item.event.capacity:,}"),
            *(f"{count:,}" for count in msgspec.structs.astuple(item.event.counts)),
            *(f"{item.backlog_entries:,}", f"{item.lag_ms:,}"),
        )
        for item in found.events
    ]
    output.show_table("Events", (*COLUMNS, "backlog", "lag ms"), rows)
    for item in found.events:
        output.say(f"{item.event.id}: {_pace_of(item)}")
    for part, runs in found.parts.items():
        missed = "[red]does not run[/red]" if part in NEEDED_PARTS else "does not run"
        output.say(f"{part}: {'runs' if runs else missed}")
    if found.refusals:
        told = ", ".join(f"{code} {count:,}" for code, count in found.refusals.items())
        output.say(f"refused since the API started: {told}")


def _pace_of(item: EventStatus) -> str:
    """The last seconds in a line."""
    rates, delay = item.rates, item.release_delay
    said = [f"{rates.holds:,.1f} holds/s", f"{rates.confirms:,.1f} confirms/s"]
    said += [f"{rates.expired:,.1f} expired/s", f"{item.pending_count:,} pending"]
    if delay:
        said.append(f"released {delay.median_ms:,} ms after the deadline, at most {delay.max_ms:,}")
    if item.dead_letter_count:
        said.append(f"[red]{item.dead_letter_count:,} dead letters[/red]")
    return ", ".join(said)


def status_of(looked: StatusSnapshot) -> Status:
    """What programs are told."""
    found, trouble = looked.trouble, None
    if found:
        trouble = {"kind": found.kind, "since": _time(found.since_s), "why": found.why}
    events = tuple(map(_event_status, looked.events.values()))
    return Status(_time(looked.at_s), events, looked.parts, looked.refusals, trouble)


def _event_status(seen: EventSnapshot) -> EventStatus:
    pulse, course = seen.pulse, seen.course
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


def lines_of(looked: StatusSnapshot) -> Iterator[str]:
    """A line an event, `key=value` with the same keys in every line; `-` is what is not known.

    In trouble one line instead: `trouble=redis_away since=… why='…'`.
    """
    at, trouble = _time(looked.at_s), looked.trouble
    if trouble:
        why = " ".join(trouble.why.split())
        yield f"{at} trouble={trouble.kind} since={_time(trouble.since_s)} why={why!r}"
        return
    parts = " ".join(f"{part}={'up' if up else 'down'}" for part, up in looked.parts.items())
    for item in map(_event_status, looked.events.values()):
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
