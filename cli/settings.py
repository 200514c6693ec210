"""`engine settings`: the value of every setting in effect, and its source.

Secrets are never shown, not even in part: a URL is shown without its password, other secrets only
as set.
"""

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from msgspec import Struct

from cli import output
from cli.sources import data_option, find_settings, json_option
from engine import logs
from engine.settings import settings
from engine.settings.fields import Setting

_HIDDEN = "(set)"


class SettingView(Struct, frozen=True):
    """One setting; `source` is `default`, `environment`, `file <path>` or `data folder`."""

    name: str
    value: Any
    source: str
    type: str
    unit: str
    default: Any
    effect: str


@click.command("settings")
@data_option
@json_option
def show_settings(data: Path, as_json: bool) -> None:
    """Show every setting that is in effect, and its source. Secrets stay hidden.

    \b
    engine settings
    engine settings --json
    """
    written, read_from = settings.find()
    effective = find_settings(data)
    shown = []
    for setting in settings.catalogue():
        value = getattr(effective, setting.name.lower())
        source = read_from.get(setting.name, "default")
        if value != getattr(written, setting.name.lower()):
            source = "data folder"
        shown.append(_shown(setting, value, source))
    if as_json:
        output.show_json(shown)
        return
    rows = [(item.name, _written(item.value), item.unit, item.source) for item in shown]
    output.show_table("Settings", ("variable", "value", "unit", "from"), rows)


def check_environment() -> None:
    """Refuse contradictions, and log a warning for each variable that is probably misspelt.

    Raises Misconfigured.
    """
    settings.refuse_contradictions(os.environ)
    for variable, alike in settings.slips(os.environ):
        logs.get("settings").warning("unknown_setting", variable=variable, did_you_mean=alike)


def _shown(setting: Setting, value: Any, source: str) -> SettingView:
    return SettingView(
        name=setting.name,
        value=_masked(setting, value),
        source=source,
        type=setting.kind.replace("`", ""),
        unit=setting.unit,
        default=setting.default,
        effect=setting.effect,
    )


def _masked(setting: Setting, value: Any) -> Any:
    if not (setting.secret and value):
        return value
    if setting.unit != "URL":
        return _HIDDEN
    parts = urlsplit(value)  # a password may stand before the host and in the query
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
