"""The frames of the live screen: whole on any terminal, and nothing beside its edges."""

import io
from collections.abc import Sequence
from datetime import datetime

import pytest
from msgspec import structs
from rich.console import Console

from cli.status.bars import bar, glyphs_of, spark
from cli.status.poller import EventSnapshot, StatusSnapshot, Trouble
from cli.status.pulse import Pulse
from cli.status.rates import Course, RateSample
from cli.status.sales import sales_at
from cli.status.screen import Screen
from cli.status.sections import SectionCounts, sections_of
from engine.events import event_of
from engine.ids import AreaId
from engine.models import AreaCounts, Counts, Event, SalesState
from tests.support.factories import GALA, layout

SECTIONS = [SectionCounts(f"Balcony number {i}", Counts(10 - i, i, 5, 1)) for i in range(10)]
SIZES = [(80, 24), (120, 40), (40, 24), (200, 60), (72, 24), (71, 24), (25, 10), (10, 3), (1, 1)]


def _event() -> Event:
    numbers = (
        "opens_at_ms closes_at_ms hold_ttl_ms hold_max_ms seats_max customer_max ended_ttl_ms "
        "epoch loaded_at_ms"
    )
    texts = {"name": "The Great Gala", "currency": "EUR", "owner_id": "", "sales": "open"}
    texts |= {"layout_version": "1", "position": "1-0", "capacity": "2100"}
    texts |= {"available": "1000", "held": "300", "sold": "800", "blocked": "0"}
    return event_of(GALA, texts | dict.fromkeys(numbers.split(), "0"))


def snapshot(
    *,
    refusals: dict[str, int] | None = None,
    trouble: Trouble | None = None,
    dead_letters: int = 0,
    sections: Sequence[SectionCounts] = SECTIONS,
    event: Event | None = None,
) -> StatusSnapshot:
    """A sale in full swing."""
    course = Course()
    course.begin(0)
    for second in range(1, 31):
        totals = {"seats_held": 1234.0 * second, "booking_expired": second}
        course.add(RateSample(1000 * second, totals, refusals), [40, 120])
    pulse = Pulse(
        event=event or _event(), now_ms=30_000, since_ms=0, totals={}, estimated=False, late_ms=(),
        pending_count=171, backlog_entries=54, lag_ms=23, dead_letter_count=dead_letters,
    )  # fmt: skip
    parts = {"expirer": True, "writer": False, "deliverer": True, "reconciler": True}
    return StatusSnapshot(
        1_800_000_000.0,
        {GALA: EventSnapshot(pulse, course, sections, refusals)},
        parts,
        refusals,
        trouble,
    )


def drawn(
    what: StatusSnapshot, width: int, height: int, *, encoding: str = "utf-8", color: bool = False
) -> str:
    """The frame as a terminal of this size gets it."""
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding=encoding, newline="") as file:
        console = Console(
            file=file, width=width, height=height, force_terminal=True,
            color_system="standard", no_color=not color, highlight=False,
        )  # fmt: skip
        console.print(Screen(what), end="")
        file.flush()
        return raw.getvalue().decode(encoding)


def plain(what: StatusSnapshot, width: int, height: int) -> list[str]:
    """The frame's lines, without its styles."""
    console = Console(file=io.StringIO(), width=width, height=height, record=True)
    console.print(Screen(what), end="")
    return console.export_text().removesuffix("\n").split("\n")


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("trouble", [None, Trouble("redis_away", 1_799_999_988.0, "gone " * 99)])
def test_frame_fits_its_terminal(width: int, height: int, trouble: Trouble | None) -> None:
    refusals = {f"code_{i}": 10 * i for i in range(9)} | {"a_code_with_a_long_name": 5_000_000}
    lines = plain(snapshot(refusals=refusals, trouble=trouble, dead_letters=3), width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize(("width", "height"), [(80, 24), (40, 24), (120, 40)])
def test_frame_says_everything_at_every_usual_size(width: int, height: int) -> None:
    text = "\n".join(
        plain(snapshot(refusals={"seat_taken": 12_331}, dead_letters=3), width, height)
    )
    for words in (
        *("gala", "open", "sold 800", "held 300", "available 1,000", "blocked 0"),
        *("holds", "1,234", "confirms", "refusals", "expired", "released", "pending 171"),
        *("release delay 80 ms, at most 120 ms", "backlog 54", "lag 23 ms", "dead letters 3"),
        *(
            "redis up",
            "expirer up",
            "writer down",
            "reconciler up",
            "seat_taken",
            "12,331",
            "q or Ctrl-C ends",
        ),
    ):
        assert words in text
    assert ("The Great Gala" in text) == (width >= 72)


def test_event_before_its_opening_opens_then_and_after_its_closing_has_ended() -> None:
    opens_at = datetime(2027, 3, 1, 10, 0).astimezone()
    opens_at_ms = round(opens_at.timestamp() * 1000)
    event = structs.replace(_event(), opens_at_ms=opens_at_ms, closes_at_ms=opens_at_ms + 10)
    assert sales_at(event, opens_at_ms - 1) == "opens 2027-03-01 10:00"
    assert sales_at(event, opens_at_ms) == "open"
    assert sales_at(event, opens_at_ms + 10) == "ended"
    paused = structs.replace(event, sales=SalesState.PAUSED)
    assert sales_at(paused, opens_at_ms - 1) == "paused"
    assert "sales opens 2027-03-01 10:00" in "\n".join(plain(snapshot(event=event), 80, 24))


def test_frame_shows_foreign_text_as_it_is() -> None:
    event = structs.replace(_event(), name="AC[/]DC\x1b[2J")
    sections = [SectionCounts("[red]\x07", Counts(1, 0, 0, 0))]
    text = "\n".join(plain(snapshot(event=event, sections=sections), 80, 24))
    assert "AC[/]DC?[2J" in text
    assert "[red]?" in text


def test_frame_fits_all_sections_when_there_is_room() -> None:
    text = "\n".join(plain(snapshot(), 120, 40))
    assert all(section.name in text for section in SECTIONS)
    assert "more" not in text
    assert "and 3 more" in "\n".join(plain(snapshot(), 80, 24))


def test_frame_without_an_api_says_how_to_name_one() -> None:
    text = "\n".join(plain(snapshot(), 80, 24))
    assert "--url" in text
    assert next(line for line in text.split("\n") if line.startswith("refusals")).split()[1] == "-"


def test_frame_while_redis_is_away_says_since_when_and_trusts_no_part() -> None:
    trouble = Trouble("redis_away", 1_799_999_988.0, "connection refused")
    lines = plain(snapshot(trouble=trouble), 80, 24)
    assert "Redis away since" in lines[0]
    assert "(12 s): connection refused" in lines[0]
    text = "\n".join(lines)
    assert "sold 800" in text
    assert "expirer ?" in text
    assert "expirer up" not in text


def test_frame_of_an_event_that_is_gone_does_not_blame_redis() -> None:
    text = "\n".join(plain(snapshot(trouble=Trouble("refused", 1_800_000_000.0, "gone")), 80, 24))
    assert "no update since" in text
    assert "redis up" in text
    assert "away" not in text


def test_frame_without_colours_or_unicode_shows_distinct_statuses() -> None:
    assert "\x1b[3" in drawn(snapshot(), 80, 24, color=True)
    bare = drawn(snapshot(), 80, 24)
    assert "\x1b[3" not in bare
    assert all(letter in bare for letter in "█▓░")
    ascii_frame = drawn(snapshot(), 80, 24, encoding="ascii")
    assert all(letter in ascii_frame for letter in "#+.")


def test_bar_shows_every_status_there_is_and_fills_its_width() -> None:
    glyphs = glyphs_of(ascii_only=True)
    assert bar(Counts(998, 1, 1, 0), 20, {}.fromkeys(glyphs.status, ""), glyphs).plain == (
        "#+" + 18 * "."
    )
    for width in range(4, 50):
        for counts in (Counts(1, 1, 1, 1), Counts(5, 0, 0, 7), Counts(3, 1000, 2, 1)):
            drawn_bar = bar(counts, width, {}.fromkeys(glyphs.status, ""), glyphs)
            assert drawn_bar.cell_len == width


def test_bar_of_nothing_or_without_room_is_empty() -> None:
    glyphs, styles = (
        glyphs_of(ascii_only=True),
        dict.fromkeys(glyphs_of(ascii_only=True).status, ""),
    )
    assert bar(Counts(0, 0, 0, 0), 20, styles, glyphs).plain == ""
    assert bar(Counts(1, 0, 0, 0), -3, styles, glyphs).plain == ""


def test_spark_goes_from_nothing_to_the_highest() -> None:
    glyphs = glyphs_of(ascii_only=True)
    assert spark([0, 50, 100], glyphs) == "_=#"
    assert spark([0, 0], glyphs) == "__"
    assert spark([], glyphs) == ""


def test_sections_count_the_map_by_section_and_areas_behind_them() -> None:
    plan = layout(rows=2, seats=3, areas={"pit": 50})
    found = sections_of(plan, "ahs/bba", [AreaCounts(AreaId("pit"), 50, 3, 7)])
    assert found == [
        SectionCounts("Stalls", Counts(2, 1, 1, 2)),
        SectionCounts("pit", Counts(40, 3, 7, 0)),
    ]
