"""The document: valid, complete, and true to the structs and the table it is made from."""

import gzip
import json
import re
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from api import document
from api.http.calls import Route
from api.http.problems import KINDS
from api.openapi.components import SCHEMA_NAMES, TAG_DESCRIPTIONS, TAGS
from api.openapi.examples import EXAMPLES
from api.openapi.examples.problems import problem_example
from api.routes import ROUTES, refusals_of
from engine.ids import BookingId, CustomerId, EventId, SeatId
from engine.models import Booking, BookingStatus, Terms
from engine.plans.reader import read_plan
from engine.ports.webhooks import MessageKind
from persistence.delivery.messages import encode_message
from tests.api.client import EVENT, Api, bearer

DOCUMENT: dict[str, Any] = json.loads(gzip.decompress(document.document().gzipped))
SHOWN = [route for route in ROUTES if route.described]
LEFT_OUT = {
    "read_metrics",
    "read_page",
    "read_styles",
    "read_bundle",
    "read_start",
    "read_icon",
    "read_problem",
}
"""The same metrics at a second path, and the parts of a page: no calls of the API."""

BOOKING = msgspec.json.encode(
    Booking(
        id=BookingId("gala:01JDTESTTESTTESTTESTTESTTE"),
        event_id=EventId("gala"),
        customer_id=CustomerId("ann"),
        status=BookingStatus.PENDING,
        seats=(SeatId("gala:SC-A-1"),),
        areas=(),
        amount_minor=9800,
        currency="EUR",
        held_at_ms=1_906_572_600_000,
        expires_at_ms=1_906_573_500_000,
    )
).decode()
"""A booking of which nothing is known but that it is held."""


def _named(route: Route) -> str:
    return f"{route.method} {route.path}"


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = DOCUMENT["paths"][route.path][route.method.lower()]
    return operation


def _contents(route: Route) -> Iterator[dict[str, Any]]:
    """The media types of a body and of the successes."""
    operation = _operation(route)
    bodies = [operation["requestBody"]] if "requestBody" in operation else []
    answers = [
        operation["responses"][str(status)] for status in (route.status, *route.other_responses)
    ]
    for told in (*bodies, *answers):
        yield told["content"]


def _check(value: object, schema: dict[str, Any]) -> None:
    whole = {**schema, "components": DOCUMENT["components"]}
    Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(value)


every_route = pytest.mark.parametrize("route", SHOWN, ids=_named)


def test_document_is_valid_openapi() -> None:
    validate(DOCUMENT)
    assert DOCUMENT["openapi"].startswith("3.1")


def test_every_route_is_in_it_under_a_name_of_its_own() -> None:
    assert {route.name for route in ROUTES if not route.described} == LEFT_OUT
    found = [
        operation["operationId"]
        for path in DOCUMENT["paths"].values()
        for operation in path.values()
    ]
    assert sorted(found) == sorted(route.name for route in SHOWN)
    assert len(set(found)) == len(found)


def test_published_names_stay_when_a_class_or_module_is_renamed() -> None:
    schemas = set(DOCUMENT["components"]["schemas"])
    assert set(SCHEMA_NAMES.values()) <= schemas
    assert not schemas & set(SCHEMA_NAMES)
    tags = {tag["name"] for tag in DOCUMENT["tags"]}
    assert set(TAGS.values()) <= tags
    assert not tags & set(TAGS)


@every_route
def test_operation_has_what_the_route_table_says(route: Route) -> None:
    operation = _operation(route)
    assert operation["summary"]
    assert not operation["summary"].endswith(".")
    assert (operation["security"] == [{"bearer": []}]) == bool(route.permission)
    for permission in (route.permission, route.privilege):
        assert permission is None or f"`{permission}`" in operation["description"]
    codes = {
        code
        for status, answer in operation["responses"].items()
        for code in answer.get("content", {})
        .get("application/problem+json", {})
        .get("examples", ())
        if KINDS[code].status == int(status)
    }
    told_otherwise = {
        code for code in refusals_of(route) if KINDS[code].status in route.other_responses
    }
    assert codes == refusals_of(route) - told_otherwise


@every_route
def test_operation_names_every_parameter(route: Route) -> None:
    given = _operation(route)["parameters"]
    here = {(told["in"], told["name"]) for told in given if "name" in told}
    in_path = {("path", part[1:-1]) for part in route.path.split("/") if part.startswith("{")}
    fields = msgspec.structs.fields(route.query)
    assert here == in_path | {("query", field.encode_name) for field in fields}
    headers = {told["$ref"].rpartition("/")[2] for told in given if "$ref" in told}
    assert headers == {*route.request_headers, *(["Idempotency-Key"] if route.keyed else [])}
    assert all(told.get("description") for told in given if told.get("in") == "path")


@every_route
def test_operation_has_examples_that_fit_their_schema(route: Route) -> None:
    for content in _contents(route):
        for media, told in content.items():
            if media != "text/html":
                _check(told["example"], told["schema"])


@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)
def test_example_is_what_its_struct_reads_and_writes(kind: type) -> None:
    example = msgspec.json.encode(EXAMPLES[kind])
    decoded: object = msgspec.json.decode(example, type=kind)
    if kind in {route.response for route in ROUTES}:
        assert msgspec.json.encode(decoded, order="sorted") == msgspec.json.encode(
            EXAMPLES[kind], order="sorted"
        )


def test_a_page_has_no_example_of_another_text() -> None:
    pages = [content for route in SHOWN for content in _pages(route)]
    assert pages
    assert [content for content in pages if "example" in content] == []


def _pages(route: Route) -> Iterator[dict[str, Any]]:
    for answer in _operation(route)["responses"].values():
        if "text/html" in answer.get("content", {}):
            yield answer["content"]["text/html"]


def test_every_type_of_a_route_has_an_example() -> None:
    needed = {kind for route in SHOWN for kind in (route.response, *route.other_responses.values())}
    needed |= {route.body.kind for route in SHOWN if route.body}
    assert {kind.__name__ for kind in needed - set(EXAMPLES)} == set()


@pytest.mark.parametrize("code", KINDS)
def test_every_problem_fits_the_schema_of_problems(code: str) -> None:
    schema = {"$ref": "#/components/schemas/ProblemDetails"}
    example = problem_example(code)
    _check(example, schema)
    assert example["code"] == code
    named = set(DOCUMENT["components"]["schemas"]["ProblemDetails"]["properties"])
    assert set(example) <= named


async def test_document_is_served_as_it_is_made_and_not_twice(api: Api) -> None:
    answer = await api.call("GET", "/api/openapi.json")
    assert answer.json() == DOCUMENT
    assert answer.headers["content-type"] == "application/json"
    known = {"if-none-match": answer.headers["etag"]}
    again = await api.call("GET", "/api/openapi.json", known)
    assert (again.status_code, again.content) == (304, b"")
    plain = await api.call("GET", "/api/openapi.json", {"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.json() == DOCUMENT


def test_messages_of_webhooks_are_those_that_are_sent() -> None:
    assert list(DOCUMENT["webhooks"]) == [kind.value for kind in MessageKind]
    for kind, path in DOCUMENT["webhooks"].items():
        operation = path["post"]
        names = [told["$ref"].rpartition("/")[2] for told in operation["parameters"]]
        assert names == ["webhook-id", "webhook-timestamp", "webhook-signature"]
        content = operation["requestBody"]["content"]["application/json"]
        assert content["example"]["type"] == kind
        _check(content["example"], content["schema"])
        body = encode_message(MessageKind(kind), 1_906_572_660_000, BOOKING)
        sent = json.loads(body)
        _check(sent, content["schema"])
        assert set(sent["data"]) == set(content["example"]["data"])


def test_fields_of_responses_are_always_there_or_said_to_be_left_out() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    kinds = {kind for route in SHOWN for kind in (route.response, *route.other_responses.values())}
    for kind in kinds - {str, dict}:
        schema = schemas[SCHEMA_NAMES.get(kind.__name__, kind.__name__)]
        assert set(schema["required"]) == set(schema["properties"])
    seat = schemas["LayoutSeat"]
    assert set(seat["properties"]) - set(seat["required"]) == {
        *("x", "y", "accessible", "blocked", "rank", "companionOf", "restrictedView"),
    }
    assert [name for name, told in seat["properties"].items() if "default" in told] == []


def test_letters_of_the_map_are_described() -> None:
    told = DOCUMENT["components"]["schemas"]["AvailabilityShown"]["properties"]["map"]
    for letter, status in (("a", "available"), ("h", "held"), ("s", "sold"), ("b", "blocked")):
        assert f"`{letter}` {status}" in told["description"]


def test_document_is_of_this_release_and_says_what_each_part_is_about() -> None:
    assert DOCUMENT["info"]["version"] == version("ticket-wars")
    assert set(DOCUMENT["info"]) >= {"contact", "license", "summary", "description"}
    assert [tag["name"] for tag in DOCUMENT["tags"]] == sorted(TAG_DESCRIPTIONS)
    for path in DOCUMENT["paths"].values():
        for operation in path.values():
            described = [told for told in operation["parameters"] if "name" in told]
            assert all(told["description"] for told in described)


async def test_examples_can_be_tried_on_the_gala_of_the_readme(api: Api) -> None:
    """`engine load venue:hall --event gala`, then "Try it out" on the page."""
    await api.office.engine.events.load_event(
        EventId("gala"), read_plan("venue:hall").layout, Terms(name="gala", owner_id="root")
    )
    admin = bearer("root", "admin")
    for name in ("hold_seats", "block_seats", "unblock_seats", "set_terms", "add_seats"):
        [route] = [route for route in SHOWN if route.name == name]
        assert route.body
        path = route.path.replace("{event_id}", "gala")
        answer = await api.call(route.method, path, admin, json=EXAMPLES[route.body.kind])
        assert answer.status_code == route.status, (name, answer.text)
    left = await api.call("GET", f"{EVENT}/gala/seats")
    seats = {
        f"gala:{seat['id']}"
        for section in left.json()["sections"]
        for row in section["rows"]
        for seat in row["seats"]
    }
    named = set(re.findall(r'"(gala:[A-Z0-9]+-[A-Z0-9]+-[0-9]+)"', json.dumps(DOCUMENT)))
    assert named - seats == {"gala:SC-Z-9"}, "the example of a seat that is none"
