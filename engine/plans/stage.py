"""Finds the stage among the drawings of a pretix seating plan, as the focal point.

A drawing is a shape or a text. It is the stage if its text has nothing but words for a stage, in
any of the languages below: `STAGE`, `Bühne / Stage`, but neither `Stage door` nor `Palco 3`, which
is a box. Drawings are decoration to a sale, so one that is not as the format says is passed over.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec
from msgspec import Struct

from engine.plans.labels import LABEL_MAX, as_read
from engine.plans.quality import Focus

STAGE = """
stage mainstage podium buhne buehne hauptbuhne hauptbuehne scene escenario palco palcoscenico
toneel scen scena sahne jeviste szinpad nayttamo lava сцена 舞台 ステージ 무대
screen leinwand ecran pantalla
"""
"""Words without accents. A cinema has a screen instead."""

BESIDE_STAGE = "main the la le il el o grande principal"
"""Words that a stage may have beside its own."""

_STAGE, _BESIDE = frozenset(STAGE.split()), frozenset(BESIDE_STAGE.split())


class _Point(Struct, frozen=True):
    x: float
    y: float


class _Size(Struct, frozen=True):
    width: float
    height: float


class _Text(Struct, frozen=True):
    text: str = ""
    position: _Point = _Point(0.0, 0.0)


class _Drawing(Struct, frozen=True):
    """A shape with a text; the position of the text is relative to that of the shape."""

    position: _Point
    text: _Text = _Text()
    rectangle: _Size | None = None

    @property
    def middle(self) -> _Point:
        inner = self.text.position
        if self.rectangle:
            inner = _Point(self.rectangle.width / 2, self.rectangle.height / 2)
        return _Point(self.position.x + inner.x, self.position.y + inner.y)


class StageDrawing(NamedTuple):
    """A drawing that is the stage: its text, and its middle in its zone."""

    text: str
    middle: Focus


def stages_in(areas: msgspec.Raw) -> Iterator[StageDrawing]:
    """The drawings of a zone that are a stage; `areas` is their JSON, or empty."""
    for drawing in _drawings(areas):
        if is_stage(drawing.text.text):
            x, y = drawing.middle.x, drawing.middle.y
            yield StageDrawing(as_read(drawing.text.text), Focus(x, y))


def is_stage(text: str) -> bool:
    """Whether a text has nothing but words for a stage."""
    if len(text) > LABEL_MAX:
        return False
    words = set(re.findall(r"\w+", _without_accents(text)))
    return bool(words & _STAGE) and words <= _STAGE | _BESIDE


def _without_accents(text: str) -> str:
    parts = unicodedata.normalize("NFD", as_read(text).casefold())
    return unicodedata.normalize("NFC", "".join(c for c in parts if not "\u0300" <= c <= "\u036f"))


def _drawings(areas: msgspec.Raw) -> Iterable[_Drawing]:
    try:
        each = msgspec.json.decode(areas, type=list[msgspec.Raw])
    except msgspec.DecodeError:
        return
    for raw in each:
        try:
            yield msgspec.json.decode(raw, type=_Drawing)
        except msgspec.DecodeError:
            continue
