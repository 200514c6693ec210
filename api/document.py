"""The OpenAPI 3.1 document, assembled from the one route table.

msgspec makes the schemas from the structs that decode and encode, so the document cannot differ
from the code. An operation has the name of its endpoint, and the first line of the endpoint's
docstring as its summary. No framework generates the document: the table already has the responses
of every route and their codes.
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
from api.http.decoding import FORM, FormBody, JsonBody
from api.http.limits import LimitClass
from api.http.problems import KINDS
from api.openapi.components import (
    HEADERS,
    INFO,
    PATH_PARAMETERS,
    PROBLEM,
    REQUEST_HEADERS,
    SCHEMA_NAMES,
    SECURITY,
    TAGS,
)
from api.openapi.examples import EXAMPLES
from api.openapi.examples.problems import problem_example
from api.routes import ROUTES, refusals_of

Json: TypeAlias = dict[str, Any]

_REF = "#/components/{}/{}"
_SCHEMA_REF = "#/components/schemas/{name}"
_PROBLEM_MEDIA = "application/problem+json"
_PAGE = {"text/html": {"schema": {"type": "string"}}}
"""The response to a browser's form."""
_PROBLEM_HEADERS = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}


@cache
def document() -> Gzipped:
    """The document as it is served; made once."""
    return Gzipped.of(msgspec.json.encode(describe(ROUTES)))


def describe(routes: Sequence[Route]) -> Json:
    """The document of these routes, without those that are not `described`."""
    described = [route for route in routes if route.described]
    schemas = Schemas(described)
    paths: dict[str, Json] = defaultdict(dict)
    for route in described:
        paths[route.path][route.method.lower()] = _operation(route, schemas)
    codes = sorted(set().union(*map(refusals_of, described)))
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
        "tags": [{"name": name} for name in dict.fromkeys(map(_tag, described))],
    }


class Schemas:
    """The schemas of every type in the routes, and the components that they refer to."""

    def __init__(self, routes: Sequence[Route]) -> None:
        types = list(dict.fromkeys(kind for route in routes for kind in _types_of(route)))
        found, components = msgspec.json.schema_components(types, ref_template=_SCHEMA_REF)
        self._of: dict[type, Json] = {
            kind: _published(schema) for kind, schema in zip(types, found, strict=True)
        }
        self.components: Json = _published(components)
        queries = {route.query for route in routes}
        names = {kind: self._of[kind]["$ref"].rpartition("/")[2] for kind in queries}
        # a query is documented as parameters
        self._queries = {kind: self.components.pop(name) for kind, name in names.items()}
        for component in self.components.values():
            for schema in component.get("properties", {}).values():
                if "minItems" in schema and not schema.get("default", True):
                    del schema["default"]  # it may be absent, but not empty

    def of(self, kind: type) -> Json:
        """The schema of a type."""
        return self._of[kind]

    def query(self, kind: type) -> Iterator[Json]:
        """The parameters of a query."""
        schema = self._queries[kind]
        for name, of_field in schema["properties"].items():
            described = {key: of_field[key] for key in ("description",) if key in of_field}
            required = name in schema["required"]
            yield {
                "name": name,
                "in": "query",
                "required": required,
                "schema": of_field,
                **described,
            }


def _types_of(route: Route) -> Iterator[type]:
    yield from (route.query, route.response, *route.other_responses.values())
    if route.body:
        yield route.body.kind


def _published(schema: Any) -> Any:
    """The schema with the published names of all classes in it."""
    match schema:
        case dict():
            return {SCHEMA_NAMES.get(key, key): _published(value) for key, value in schema.items()}
        case list():
            return [_published(value) for value in schema]
        case str():
            where, slash, name = schema.rpartition("/")
            return f"{where}{slash}{SCHEMA_NAMES.get(name, name)}"
    return schema


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
        content = _content("application/json", route.body.kind, schemas)
        if isinstance(route.body, FormBody):
            content |= _content(FORM.decode(), route.body.kind, schemas)
        optional = isinstance(route.body, JsonBody) and route.body.optional
        operation["requestBody"] = {"required": not optional, "content": content}
    return operation


def _tag(route: Route) -> str:
    module = route.endpoint.__module__.rpartition(".")[2]
    return TAGS.get(route.name, TAGS.get(module, module))


def _permission(route: Route) -> str:
    if not route.permission:
        return ""
    if not route.privilege:
        return f"Needs the permission `{route.permission}`."
    return (
        f"Needs the permission `{route.permission}` for what belongs to the caller, or "
        f"`{route.privilege}` for what belongs to anyone."
    )


def _security(route: Route) -> list[Json]:
    bearer: list[Json] = [{"bearer": []}]
    if route.permission:
        return bearer
    return [*bearer, {}] if "unauthenticated" in route.refusals else []  # {}: or without a token


def _parameters(route: Route, schemas: Schemas) -> Iterator[Json]:
    for part in route.path.split("/"):
        if part.startswith("{"):
            name = part.strip("{}")
            described = PATH_PARAMETERS.get(name, {"schema": {"type": "string"}})
            yield {"name": name, "in": "path", "required": True, **described}
    yield from schemas.query(route.query)
    keyed = ("Idempotency-Key",) if route.keyed else ()
    for name in (*keyed, *route.request_headers):
        yield {"$ref": _REF.format("parameters", name)}


def _successes(route: Route, schemas: Schemas) -> Iterator[tuple[str, Json]]:
    cached = ("ETag",) if route.method == "GET" and "If-None-Match" in route.request_headers else ()
    headers = _headers(route, *cached, *route.response_headers)
    for status, kind in ((route.status, route.response), *route.other_responses.items()):
        content = _content(route.produces, kind, schemas)
        content |= _PAGE if isinstance(route.body, FormBody) else {}
        yield str(status), {"description": _phrase(status), "headers": headers, "content": content}
    if cached:
        yield "304", {"description": _phrase(304), "headers": headers}


def _refusals(route: Route) -> Iterator[tuple[str, Json]]:
    by_status: dict[int, list[str]] = defaultdict(list)
    for code in sorted(refusals_of(route)):
        by_status[KINDS[code].status].append(code)
    for status, codes in by_status.items():
        if status in route.other_responses:
            continue
        named = ", ".join(f"`{code}`" for code in codes)
        content: Json = {
            _PROBLEM_MEDIA: {
                "schema": {"$ref": _REF.format("schemas", "ProblemDetails")},
                "examples": {code: {"$ref": _REF.format("examples", code)} for code in codes},
            },
            **(_PAGE if isinstance(route.body, FormBody) else {}),
        }
        response: Json = {
            "description": f"{_phrase(status)}: {named}.",
            "headers": _headers(route, *_PROBLEM_HEADERS.get(status, ())),
            "content": content,
        }
        yield str(status), response


def _headers(route: Route, *names: str) -> Json:
    limited = ("RateLimit-Policy", "RateLimit") if route.limit_class is not LimitClass.NONE else ()
    every = ("X-Request-ID", *limited, *names)
    return {name: {"$ref": _REF.format("headers", name)} for name in every}


def _content(media: str, kind: type, schemas: Schemas) -> Json:
    has_example = kind in EXAMPLES and (kind is not str or media == "text/plain")  # no page has
    example = {"example": EXAMPLES[kind]} if has_example else {}
    return {media: {"schema": schemas.of(kind), **example}}


def _problem_schema() -> Json:
    code = {**PROBLEM["properties"]["code"], "enum": sorted(KINDS)}
    return {**PROBLEM, "properties": {**PROBLEM["properties"], "code": code}}


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase
