"""The pictures of docs/architecture are drawn from their current sources."""

import re
from pathlib import Path

import pytest

from manual import pictures


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
