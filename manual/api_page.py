"""The reference of the API: the OpenAPI document as a page to read.

Made from the very document that a running API serves, which is made from the route table.
Swagger UI (`/api/docs`) is for trying calls out; this page is for searching, and for reading beside
the others.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec

from api.document import describe
from api.http.problems import KINDS
from api.routes import EVERYWHERE, ROUTES

Json: TypeAlias = dict[str, Any]

_INTRO = f"""# API

Made from the route table, as `GET /api/openapi.json` is. Conventions that hold for every call are
in [HTTP](../http.md), what a code means in [Errors](errors.md). Every call may also be answered
{", ".join(f"`{code}`" for code in EVERYWHERE)}, which are not repeated below; every call but
`GET /healthz`, `/readyz` and the documents counts against [rate limits](../http.md#limits).
"""
_MEDIA = "application/json"


def api_page() -> str:
    """The page, as Markdown."""
    document: Json = msgspec.json.decode(msgspec.json.encode(describe(ROUTES)))
    parts = [_INTRO]
    for tag in document["tags"]:
        parts.append(f"## {tag['name'].capitalize()}\n")
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                if operation["tags"] == [tag["name"]]:
                    parts += [*_operation(method, path, operation, document)]
    parts.append("## Types\n")
    for name, schema in sorted(document["components"]["schemas"].items()):
        parts += [*_type(name, schema)]
    return "\n".join(parts)


def _operation(method: str, path: str, operation: Json, document: Json) -> Iterator[str]:
    yield f"### {method.upper()} {path}\n"
    yield f"{operation['summary']}.\n"
    if (told := operation["description"]).removesuffix(".") != operation["summary"]:
        yield f"{told}\n"
    if not operation["security"]:
        yield "Open to everybody.\n"
    yield from _parameters([_resolved(one, document) for one in operation["parameters"]])
    if body := operation.get("requestBody"):
        needed = "" if body["required"] else ", which may be left out"
        content = body["content"][_MEDIA]
        yield f"Body{needed}: {_kind(content['schema'])}\n"
        yield from _example(content)
    for status, answer in operation["responses"].items():
        if status.startswith("2"):
            yield from _success(status, answer)
    yield from _refusals(operation["responses"])


def _parameters(parameters: list[Json]) -> Iterator[str]:
    if not parameters:
        return
    yield "| parameter | in | type | |\n|---|---|---|---|"
    for one in parameters:
        needed = "" if one.get("required") else "may be left out. "
        told = one.get("description") or one["schema"].get("description", "")
        yield f"| `{one['name']}` | {one['in']} | {_kind(one['schema'])} | {_cell(needed + told)} |"
    yield ""


def _success(status: str, answer: Json) -> Iterator[str]:
    content = answer.get("content", {})
    if not content:
        yield f"**{status}**\n"
    for media, told in content.items():
        kind = f": {_kind(told['schema'])}" if media == _MEDIA else f": `{media}`"
        yield f"**{status}**{kind}\n"
        yield from _example(told if media == _MEDIA else {})


def _refusals(responses: Json) -> Iterator[str]:
    lines = []
    for status, answer in responses.items():
        codes = re.findall(r"`(\w+)`", answer["description"]) if status >= "400" else []
        if told := [f"`{code}`" for code in codes if code in KINDS and code not in EVERYWHERE]:
            lines.append(f"{status} {', '.join(told)}")
    if lines:
        yield f"Refused: {'; '.join(lines)}.\n"


def _type(name: str, schema: Json) -> Iterator[str]:
    yield f"### {name}\n"
    if told := schema.get("description", ""):
        yield f"{told}\n"
    if "properties" not in schema:
        yield f"{_kind(schema)}\n"
        return
    yield "| field | type | |\n|---|---|---|"
    required = schema.get("required", [])
    for field, of_field in schema["properties"].items():
        needed = "" if field in required else "may be left out. "
        told = needed + of_field.get("description", "")
        yield f"| `{field}` | {_kind(of_field)} | {_cell(told)} |"
    yield ""


def _kind(schema: Json) -> str:
    """A schema in a word: `text of 1 to 128`, a link to a type, `list of …`."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(map(_kind, schema["anyOf"]))
    if "enum" in schema:
        return _one_of(schema["enum"])
    kind = schema.get("type", "anything")
    if kind == "array":
        return f"list of {_kind(schema.get('items', {}))}{_bounds(schema, 'Items')}"
    names = {"string": "text", "null": "null", "object": "object"}
    bounds = _bounds(schema, "Length") or _bounds(schema, "imum")
    told = schema.get("format", names.get(kind, kind)) if isinstance(kind, str) else "anything"
    return f"{told}{bounds}"


def _one_of(values: list[Any]) -> str:
    shown = [f"`{value}`" for value in values]
    return ", ".join(shown) if len(shown) <= 12 else f"one of {len(shown)} names"


def _bounds(schema: Json, what: str) -> str:
    least, most = schema.get(f"min{what}"), schema.get(f"max{what}")
    if least is None and most is None:
        return ""
    if most is None:
        return f", at least {least}"
    return f", at most {most}" if least is None else f", {least} to {most}"


def _example(content: Json) -> Iterator[str]:
    if "example" in content:
        text = json.dumps(content["example"], indent=2, ensure_ascii=False)
        yield f"```json\n{text}\n```\n"


def _resolved(parameter: Json, document: Json) -> Json:
    if "$ref" not in parameter:
        return parameter
    name = parameter["$ref"].rpartition("/")[2]
    found: Json = document["components"]["parameters"][name]
    return found


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
