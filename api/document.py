"""The OpenAPI 3.1 document, assembled from the one route table.

msgspec makes the schemas of the very structs that decode and encode, so the document cannot say
anything else than the code does. Names and texts come from the endpoints: an operation is called
as its endpoint, the first line of its docstring is the summary. Own assembly rather than a
framework's: what a route may answer, and under which code, is in the table already.
"""

import inspect
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from http import HTTPStatus
from typing import Any, TypeAlias

import msgspec

from api.http.caching import Gzipped
from api.http.calls import Route
from api.http.decoding import FORM
from api.http.limits import LimitClass
from api.http.problems import KINDS
from api.openapi.components import (
    HEADERS,
    INFO,
    PATH_PARAMETERS,
    PROBLEM,
    REQUEST_HEADERS,
    SECURITY,
)
from api.openapi.examples import EXAMPLES
from api.openapi.examples.problems import problem_example
from api.routes import ROUTES, refusals_of

Json: TypeAlias = dict[str, Any]

_REF = "#/components/{}/{}"
_SCHEMA_REF = "#/components/schemas/{name}"
_PROBLEM_MEDIA = "application/problem+json"
_PAGE = {"text/html": {"schema": {"type": "string"}}}
"""What a browser's form is answered with."""
_WITH_REFUSAL = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}


_PUBLISHED_TAGS = {"confirm_booking": "payments"}
"""Tags of endpoints that have moved to another module: a tag is a module of generated clients."""


@cache
def document() -> Gzipped:
    """The document of the API as it is served; made once."""
    return Gzipped.of(msgspec.json.encode(describe(ROUTES)))


def describe(routes: Sequence[Route]) -> Json:
    """The document of these routes; those that are not `described` are left out."""
    shown = [route for route in routes if route.described]
    schemas = Schemas(shown)
    paths: dict[str, Json] = defaultdict(dict)
    for route in shown:
        paths[route.path][route.method.lower()] = _operation(route, schemas)
    codes = sorted(set().union(*map(refusals_of, shown)))
    return {
        "openapi": "3.1.0",
        "info": INFO,
        "servers": [{"url": "/"}],
        "paths": dict(paths),
        "components": {
            "schemas": {**schemas.components, "ProblemDetails": _problem_schema()},
            "examples": {code: {"value": problem_example(code)} for code in codes},
            "headers": HEADERS,
            "parameters": REQUEST_HEADERS,
            "securitySchemes": SECURITY,
        },
        "tags": [{"name": name} for name in dict.fromkeys(map(_tag, shown))],
    }


class Schemas:
    """The schemas of every type the routes take and give, and the components they refer to."""

    def __init__(self, routes: Sequence[Route]) -> None:
        types = list(dict.fromkeys(kind for route in routes for kind in _types_of(route)))
        found, self.components = msgspec.json.schema_components(types, ref_template=_SCHEMA_REF)
        self._of = dict(zip(types, found, strict=True))
        queries = {route.query for route in routes}
        names = {kind: self._of[kind]["$ref"].rpartition("/")[2] for kind in queries}
        # a query is told as parameters, one by one
        self._queries = {kind: self.components.pop(name) for kind, name in names.items()}
        for component in self.components.values():
            for schema in component.get("properties", {}).values():
                if "minItems" in schema and not schema.get("default", True):
                    del schema["default"]  # it may be left out, but not be given as empty

    def of(self, kind: type) -> Json:
        """The schema of a type."""
        return self._of[kind]

    def query(self, kind: type) -> Iterator[Json]:
        """The parameters of a query."""
        schema = self._queries[kind]
        for name, of_field in schema["properties"].items():
            told = {key: of_field[key] for key in ("description",) if key in of_field}
            required = name in schema["required"]
            yield {"name": name, "in": "query", "required": required, "schema": of_field, **told}


def _types_of(route: Route) -> Iterator[type]:
    yield from (route.query, route.answer, *route.answers.values())
    if route.body:
        yield route.body


def _operation(route: Route, schemas: Schemas) -> Json:
    summary, _, more = (inspect.getdoc(route.endpoint) or "").partition("\n")
    operation: Json = {
        "operationId": route.name,
        "tags": [_tag(route)],
        "summary": summary.removesuffix("."),
        "description": "\n\n".join(filter(None, (more.strip(), _permission(route)))) or summary,
        "security": _security(route),
        "parameters": [*_parameters(route, schemas)],
        "responses": dict(sorted((*_successes(route, schemas), *_refusals(route)))),
    }
    if route.body:
        content = _content("application/json", route.body, schemas)
        if route.form:
            content |= _content(FORM.decode(), route.body, schemas)
        operation["requestBody"] = {"required": not route.bare, "content": content}
    return operation


def _tag(route: Route) -> str:
    module = route.endpoint.__module__.rpartition(".")[2]
    return _PUBLISHED_TAGS.get(route.name, module)


def _permission(route: Route) -> str:
    if not route.permission:
        return ""
    if not route.privilege:
        return f"Needs the permission `{route.permission}`."
    return (
        f"Needs the permission `{route.permission}`, for what is the caller's own, or "
        f"`{route.privilege}` for everybody's."
    )


def _security(route: Route) -> list[Json]:
    bearer: list[Json] = [{"bearer": []}]
    if route.permission:
        return bearer
    return [*bearer, {}] if "unauthenticated" in route.refusals else []  # {}: or none at all


def _parameters(route: Route, schemas: Schemas) -> Iterator[Json]:
    for part in route.path.split("/"):
        if part.startswith("{"):
            name = part.strip("{}")
            told = PATH_PARAMETERS.get(name, {"schema": {"type": "string"}})
            yield {"name": name, "in": "path", "required": True, **told}
    yield from schemas.query(route.query)
    keyed = ("Idempotency-Key",) if route.keyed else ()
    for name in (*keyed, *route.takes):
        yield {"$ref": _REF.format("parameters", name)}


def _successes(route: Route, schemas: Schemas) -> Iterator[tuple[str, Json]]:
    cached = ("ETag",) if "If-None-Match" in route.takes else ()
    headers = _headers(route, *cached, *route.gives)
    for status, kind in ((route.status, route.answer), *route.answers.items()):
        content = _content(route.produces, kind, schemas)
        content |= _PAGE if route.form else {}
        yield str(status), {"description": _phrase(status), "headers": headers, "content": content}
    if cached:
        yield "304", {"description": _phrase(304), "headers": headers}


def _refusals(route: Route) -> Iterator[tuple[str, Json]]:
    by_status: dict[int, list[str]] = defaultdict(list)
    for code in sorted(refusals_of(route)):
        by_status[KINDS[code].status].append(code)
    for status, codes in by_status.items():
        if status in route.answers:
            continue
        told = ", ".join(f"`{code}`" for code in codes)
        content: Json = {
            _PROBLEM_MEDIA: {
                "schema": {"$ref": _REF.format("schemas", "ProblemDetails")},
                "examples": {code: {"$ref": _REF.format("examples", code)} for code in codes},
            },
            **(_PAGE if route.form else {}),
        }
        answer: Json = {
            "description": f"{_phrase(status)}: {told}.",
            "headers": _headers(route, *_WITH_REFUSAL.get(status, ())),
            "content": content,
        }
        yield str(status), answer


def _headers(route: Route, *names: str) -> Json:
    limited = ("RateLimit-Policy", "RateLimit") if route.limit_class is not LimitClass.NONE else ()
    every = ("X-Request-ID", *limited, *names)
    return {name: {"$ref": _REF.format("headers", name)} for name in every}


def _content(media: str, kind: type, schemas: Schemas) -> Json:
    shown = kind in EXAMPLES and (kind is not str or media == "text/plain")  # a page has none
    example = {"example": EXAMPLES[kind]} if shown else {}
    return {media: {"schema": schemas.of(kind), **example}}


def _problem_schema() -> Json:
    code = {**PROBLEM["properties"]["code"], "enum": sorted(KINDS)}
    return {**PROBLEM, "properties": {**PROBLEM["properties"], "code": code}}


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase
