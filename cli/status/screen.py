"""A frame of the live screen: lines of text for the width and height of the terminal.

The lines are made here rather than by rich's Layout: if there is no room, the least important lines
are left out, and 40 columns show the same figures in fewer words. Without colours (NO_COLOR) the
statuses of a bar differ by their characters; without Unicode everything is ASCII.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from cli.output import printable
from cli.status.bars import Glyphs, bar, glyphs_of, spark
from cli.status.poller import NEEDED_PARTS, EventSnapshot, StatusSnapshot, Trouble
from cli.status.rates import Rates
from cli.status.sales import sales_at

TWO_COLUMNS = 72
"""From this width on, refusals and sections are side by side."""
FOOTER = "q or Ctrl-C ends"
NO_REFUSALS = ("not known: name the API by --url,", "or its folder by --data")
REFUSALS_WIDTH = 34

_SALES = {"open": "green", "paused": "yellow", "closed": "red", "restoring": "bold red"}
_RATES = ("holds", "confirms", "refusals", "expired", "released")
_STYLES = {"available": "green", "held": "yellow", "sold": "blue", "blocked": "bright_black"}


@dataclass(frozen=True, slots=True)
class Screen:
    """One frame. The last one leaves a line for the prompt, and has no footer."""

    snapshot: StatusSnapshot
    is_last: bool = False

    def last_frame(self) -> "Screen":
        """The frame that stays on the terminal at the end."""
        return Screen(self.snapshot, is_last=True)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, height = options.max_width, options.size.height - self.is_last
        glyphs = glyphs_of(ascii_only=options.ascii_only)
        lines = list(self._lines(width, height, glyphs))[:height]
        if not self.is_last and len(lines) < height:
            lines += [Text()] * (height - 1 - len(lines))
            lines.append(Text(FOOTER, "dim"))
        for line in lines:
            line.truncate(width)
        yield Text("\n", no_wrap=True, overflow="crop").join(lines)

    def _lines(self, width: int, height: int, glyphs: Glyphs) -> Iterator[Text]:
        """The most important lines first."""
        if self.snapshot.trouble:
            yield _trouble(self.snapshot.trouble, self.snapshot.at_s, width)
        for state in self.snapshot.events.values():
            upper = list(_upper(state, self.snapshot, width, glyphs))
            yield from upper
            room = height - len(upper) - (self.snapshot.trouble is not None) - (not self.is_last)
            yield from _lower(state, width, room, glyphs)


def _trouble(trouble: Trouble, at_s: float, width: int) -> Text:
    clock = time.strftime("%H:%M:%S", time.localtime(trouble.since_s))
    what = "Redis away" if trouble.kind == "redis_away" else "no update"
    said = f" {what} since {clock} ({at_s - trouble.since_s:.0f} s): {printable(trouble.why)}"
    return Text(said[:width].ljust(width), "bold white on red")


def _upper(
    state: EventSnapshot, snapshot: StatusSnapshot, width: int, glyphs: Glyphs
) -> Iterator[Text]:
    """What every terminal of 24 rows shows."""
    event, narrow = state.pulse.event, width < TWO_COLUMNS
    clock = time.strftime("%H:%M:%S", time.localtime(snapshot.at_s))
    sales = sales_at(event, state.pulse.now_ms)
    name = "" if narrow or event.name == event.id else f"  {printable(event.name)}"
    left = Text.assemble((event.id, "bold"), name, f"  {event.capacity:,} places")
    right = Text.assemble("" if narrow else "sales ", (sales, _SALES.get(sales, "yellow")))
    yield _justified(left, right.append(f"  {clock}"), width)
    yield bar(event.counts, width, _STYLES, glyphs)
    legend = [
        Text.assemble((f"{glyphs.status[name]} ", style), f"{name} {getattr(event.counts, name):,}")
        for name, style in _STYLES.items()
    ]
    yield from _wrapped(legend, width)
    yield Text()
    yield from _rate_lines(state, width, glyphs)
    yield Text()
    yield from _wrapped(list(_facts(state)), width)
    yield from _wrapped(list(_parts(snapshot)), width)
    yield Text()


def _rate_lines(state: EventSnapshot, width: int, glyphs: Glyphs) -> Iterator[Text]:
    history = list(state.course.history)
    about = "about" if state.pulse.estimated else "now"
    past_width = max(0, width - 34)
    head = f"{'per second':<12}{about:>9} {'peak':>9}   "
    yield Text(head + ("until now" if past_width > 9 else ""), "dim")
    for name in _RATES:
        values = [_value(rates, name) for rates in history]
        known = [value for value in values if value is not None]
        now = f"{known[-1]:,.0f}" if known and values[-1] is not None else "-"
        peak = f"{max(known):,.0f}" if known else "-"
        past = spark(known[-past_width:], glyphs) if past_width else ""
        yield Text.assemble(f"{name:<12}", (f"{now:>9}", "bold"), f" {peak:>9}   ", (past, "cyan"))


def _value(rates: Rates, name: str) -> float | None:
    found: float | None = getattr(rates, name)
    return found


def _facts(state: EventSnapshot) -> Iterator[Text]:
    pulse, delay = state.pulse, state.course.release_delay()
    yield Text(f"pending {pulse.pending_count:,}")
    if delay:
        late = "red" if delay.max_ms > 1000 else ""
        said = f"release delay {delay.median_ms:,} ms, at most {delay.max_ms:,} ms"
        yield Text(said, late)
    else:
        yield Text("release delay -")
    yield Text(f"backlog {pulse.backlog_entries:,}")
    yield Text(f"lag {pulse.lag_ms:,} ms", "red" if pulse.lag_ms > 30_000 else "")
    if pulse.dead_letter_count:
        yield Text(f"dead letters {pulse.dead_letter_count:,}", "bold red")


def _parts(snapshot: StatusSnapshot) -> Iterator[Text]:
    """The parts that run; not known while Redis is away."""
    if snapshot.trouble and snapshot.trouble.kind == "redis_away":
        yield Text("redis away", "red")
        yield from (Text(f"{part} ?", "dim") for part in snapshot.parts)
        return
    yield Text("redis up", "green")
    for part, up in snapshot.parts.items():
        missed = "bold red" if part in NEEDED_PARTS else "dim"
        yield Text(f"{part} {'up' if up else 'down'}", "green" if up else missed)


def _lower(state: EventSnapshot, width: int, room: int, glyphs: Glyphs) -> Iterator[Text]:
    """Refusals and sections, in the remaining room."""
    if room < 2:
        return
    if width < TWO_COLUMNS:
        refusals = list(_refusals(state, width, min(room, 4)))
        yield from refusals
        yield from _sections(state, width, room - len(refusals), glyphs)
        return
    left = list(_refusals(state, REFUSALS_WIDTH, room))
    right = list(_sections(state, width - REFUSALS_WIDTH - 3, room, glyphs))
    for i in range(max(len(left), len(right))):
        line = left[i] if i < len(left) else Text()
        line.truncate(REFUSALS_WIDTH, pad=True)
        yield Text.assemble(line, "   ", right[i] if i < len(right) else "")


def _refusals(state: EventSnapshot, width: int, room: int) -> Iterator[Text]:
    name_width = width - 16
    yield Text(f"{'refused':<{name_width}}{'/s':>7}{'total':>9}", "dim")
    counts = state.refusals
    if counts is None:
        yield from (Text(line, "dim") for line in NO_REFUSALS)
        return
    rates = state.course.refusals or {}
    codes = sorted(counts, key=lambda code: (-rates.get(code, 0), -counts[code]))
    for code in codes[: room - 1]:
        rate = f"{rates[code]:,.0f}" if code in rates else "-"
        yield Text(f"{code[: name_width - 1]:<{name_width}}{rate:>7}{counts[code]:>9,}")


def _sections(state: EventSnapshot, width: int, room: int, glyphs: Glyphs) -> Iterator[Text]:
    if room < 2 or not state.sections:
        return
    longest = max(7, *(len(section.name) for section in state.sections))
    name_width = min(longest, width // 2)
    yield Text(f"{'section':<{name_width}}{'left':>{width - name_width}}", "dim")
    row_count = room - 1 if len(state.sections) < room else room - 2
    for section in state.sections[:row_count]:
        line = Text(f"{printable(section.name)[:name_width]:<{name_width}} ")
        line.append_text(bar(section.counts, width - name_width - 9, _STYLES, glyphs))
        yield line.append(f"{section.counts.available:>8,}")
    if len(state.sections) > row_count:
        yield Text(f"and {len(state.sections) - row_count:,} more", "dim")


def _justified(left: Text, right: Text, width: int) -> Text:
    left.truncate(max(0, width - right.cell_len - 1), overflow="ellipsis", pad=False)
    gap = max(1, width - left.cell_len - right.cell_len)
    return Text.assemble(left, " " * gap, right)


def _wrapped(pieces: Sequence[Text], width: int) -> Iterator[Text]:
    """Pieces on as few lines as possible, none of them broken."""
    line = Text()
    for piece in pieces:
        if line.cell_len and line.cell_len + 3 + piece.cell_len > width:
            yield line
            line = Text()
        line = Text.assemble(line, "   " if line.cell_len else "", piece)
    yield line
