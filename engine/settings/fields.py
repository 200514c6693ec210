"""The description of each setting, read from the fields of the settings struct.

The loader, `engine settings` and the test that keeps docs/settings.md complete use the same
description, so they cannot show different defaults.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from engine.errors import Misconfigured
from engine.settings import sources
from engine.settings.checks import Form

INTEGER_MAX = 2_147_483_647
"""The largest number of any setting: the smallest integer limit of the programs that get one."""


class Setting(NamedTuple):
    """One setting; `kind` and `unit` are the words of docs/settings.md."""

    name: str
    kind: str
    unit: str
    default: Any
    effect: str
    secret: bool
    form: Form | None
    type: Any


def doc(text: str, *, unit: str = "", form: Form | None = None, secret: bool = False) -> Meta:
    """The description of a field, the last item of its `Annotated`."""
    return Meta(description=text, extra={"unit": unit, "form": form, "secret": secret})


def of(settings: type[Struct]) -> Iterator[Setting]:
    """Every field of a struct whose fields end in a `doc`."""
    for field in msgspec.structs.fields(settings):
        metas = [meta for meta in field.type.__metadata__ if isinstance(meta, Meta)]
        extra = metas[-1].extra or {}
        yield Setting(
            name=field.name.upper(),
            kind="secret" if extra["secret"] else _kind(field.type.__origin__, metas),
            unit=extra["unit"],
            default=field.default,
            effect=metas[-1].description or "",
            secret=extra["secret"],
            form=extra["form"],
            type=field.type,
        )


def read(
    settings: Iterable[Setting], environ: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """The values that are set, by field, and where each was read, by variable.

    Raises Misconfigured, naming the variable and never a value.
    """
    values: dict[str, Any] = {}
    read_from: dict[str, str] = {}
    for setting in settings:
        if found := sources.read(environ, setting.name):
            values[setting.name.lower()] = _converted(setting, found)
            read_from[setting.name] = found.source
    return values, read_from


def _kind(kind: Any, metas: list[Meta]) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(kind))
    if kind is bool:
        return "`true` or `false`"
    if kind is str:
        return "text"
    least = max(meta.ge for meta in metas if meta.ge is not None)
    most = min(meta.le for meta in metas if meta.le is not None)
    return f"integer >= {least}" if most == INTEGER_MAX else f"integer, {least} to {most}"


def _converted(setting: Setting, found: sources.Text) -> Any:
    try:
        value = msgspec.convert(found.text, setting.type, strict=False)
        if setting.form and found.text:
            setting.form(found.text)
    except msgspec.ValidationError:
        unit = f" ({setting.unit})" if setting.unit else ""
        raise Misconfigured(f"{found.variable}: wants {setting.kind}{unit}") from None
    except ValueError as error:
        raise Misconfigured(f"{found.variable}: {error}") from None
    return value
