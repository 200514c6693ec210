"""The pictures are drawn from their current sources, and from the current engine."""

import re
from pathlib import Path

import pytest

from engine import Engine
from manual import best_seats, pictures


@pytest.mark.parametrize(
    "source", sorted(pictures.FOLDER.glob("*.dot")), ids=lambda path: path.stem
)
def test_picture_is_drawn_from_its_source(source: Path) -> None:
    svg = source.with_suffix(".svg").read_text(encoding="utf-8")
    marks = re.findall(r"<!-- Drawn from (\S+) (\w+) -->", svg)
    assert marks == [(source.name, pictures.digest(source))], "run `make pictures`"


def test_every_picture_has_a_source_and_two_themes() -> None:
    found = sorted(pictures.FOLDER.glob("*.svg"))
    assert found
    for path in found:
        assert path.with_suffix(".dot").exists()
        assert "prefers-color-scheme: dark" in path.read_text(encoding="utf-8")


async def test_best_seats_are_drawn_as_the_engine_picks_them(engine: Engine) -> None:
    drawn = {path: svg async for path, svg in best_seats.draw_all(engine)}
    assert sorted(drawn) == sorted(best_seats.FOLDER.glob("*.svg"))
    for path, svg in drawn.items():
        assert "prefers-color-scheme: dark" in svg
        assert path.read_text(encoding="utf-8") == svg, "run `make pictures`"
