"""The terms of an event over HTTP: what a PATCH changes and refuses, and under which conditions."""

import asyncio
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.events import EventView, view_of
from engine import Engine
from engine.ids import EventId
from engine.timestamps import rfc3339
from persistence.database import connect
from persistence.event_record import read_event
from persistence.journal.tables import Store
from tests.api.client import EVENT, Api, bearer
from tests.support.box_office import START_MS, TTL_MS
from tests.support.factories import layout, terms

ORLA = bearer("orla", "organizer")
GALA = f"{EVENT}/gala"
INSTANTS = ("opensAt", "closesAt", "startsAt", "cancelUntil")


async def test_set_terms_pauses_and_schedules(api: Api) -> None:
    await api.office.open(owner_id="orla")
    path = f"{EVENT}/gala"
    paused = await api.call("PATCH", path, ORLA, json={"sales": "paused"})
    assert (paused.status_code, paused.json()["sales"]) == (200, "paused")
    window = {"opensAt": "2030-06-01T19:30:00+02:00", "closesAt": "2030-06-02T00:00:00.5Z"}
    planned = await api.call("PATCH", path, ORLA, json={"sales": "open"} | window)
    assert planned.json()["opensAt"] == "2030-06-01T17:30:00.000Z"
    assert planned.json()["closesAt"] == "2030-06-02T00:00:00.500Z"
    freed = await api.call("PATCH", path, ORLA, json={"opensAt": None, "closesAt": None})
    assert (freed.json()["opensAt"], freed.json()["closesAt"]) == (None, None)
    assert (await api.hold("ann", "A-1-1")).status_code == 201


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "sales"),
        ({"sales": "shut"}, "sales"),
        ({"sales": None}, "sales"),
        ({"opensAt": "31.12.2030"}, "opensAt"),
        ({"opensAt": "2030-01-01T00:00:00"}, "opensAt"),
        ({"opensAt": 1_900_000_000}, "opensAt"),
        ({"closesAt": "2030-13-01T00:00:00Z"}, "closesAt"),
        ({"closesAt": "1969-12-31T23:59:59Z"}, "closesAt"),
        ({"closesAt": "9999-12-31T23:59:59Z"}, "closesAt"),
        ({"opensAt": "5138-11-16T09:46:40.001Z"}, "opensAt"),
        ({"name": "Other"}, "name"),
        ({"startsAt": "tomorrow"}, "startsAt"),
        ({"startsAt": "2030-06-01T19:30:00"}, "startsAt"),
        ({"startsAt": "1969-12-31T23:59:59Z"}, "startsAt"),
        ({"cancelUntil": 7}, "cancelUntil"),
        ({"timeZone": ""}, "timeZone"),
        ({"timeZone": "CEST"}, "timeZone"),
        ({"timeZone": "Europe"}, "timeZone"),
        ({"timeZone": "../etc/passwd"}, "timeZone"),
        ({"timeZone": "localtime"}, "timeZone"),
        ({"timeZone": "Europe/Berlin\n"}, "timeZone"),
        ({"latePayment": "keep"}, "latePayment"),
        ({"paymentMaxMs": -1}, "paymentMaxMs"),
        ({"paymentMaxMs": 14 * 86_400_000 + 1}, "paymentMaxMs"),
        ({"paymentMaxMs": 9e5}, "paymentMaxMs"),
        ({"paymentMaxMs": 900_000.5}, "paymentMaxMs"),
    ],
)
async def test_set_terms_with_an_invalid_body_names_the_field(
    api: Api, body: object, field: str
) -> None:
    await api.office.open(owner_id="orla")
    problem = await api.refused(422, "invalid", "PATCH", f"{EVENT}/gala", ORLA, json=body)
    assert problem["field"] == field


async def test_set_terms_to_the_last_moment_there_is_leaves_the_event_readable(api: Api) -> None:
    await api.office.open(owner_id="orla")
    path, last = f"{EVENT}/gala", "5138-11-16T09:46:40.000Z"
    for body in ({"closesAt": last}, {"sales": "paused"}):
        assert (await api.call("PATCH", path, ORLA, json=body)).json()["closesAt"] == last
    for url in (path, EVENT, f"{path}/availability", "/api/v1/booking?eventId=gala"):
        assert (await api.call("GET", url)).status_code == 200


async def test_set_terms_sets_each_term_and_null_unsets_it(api: Api) -> None:
    await api.office.open(owner_id="orla")
    before = (await api.call("GET", GALA)).json()
    body = {
        "sales": "closed",
        "opensAt": rfc3339(START_MS),
        "closesAt": rfc3339(START_MS + 1),
        "startsAt": rfc3339(START_MS + 2),
        "timeZone": "America/Argentina/Buenos_Aires",
        "cancelUntil": rfc3339(START_MS + 2),
        "latePayment": "refund",
        "paymentMaxMs": TTL_MS,
    }
    answer = (await api.call("PATCH", GALA, ORLA, json=body)).json()
    assert answer.items() >= body.items()
    assert (await api.call("GET", GALA)).json() == answer
    cleared = dict.fromkeys(body) | {"sales": "open"}
    after = (await api.call("PATCH", GALA, ORLA, json=cleared)).json()
    assert after == before | {"position": after["position"], "cancelUntil": None}


@pytest.mark.parametrize(
    ("has", "body", "found"),
    [
        ({"closes_at_ms": 5000}, {"opensAt": 5}, ("opensAt", "closesAt")),
        ({"opens_at_ms": 5000}, {"closesAt": 4}, ("closesAt", "opensAt")),
        ({"opens_at_ms": 5000}, {"startsAt": 5}, ("startsAt", "opensAt")),
        ({"starts_at_ms": 5000}, {"cancelUntil": 6}, ("cancelUntil", "startsAt")),
        ({}, {"paymentMaxMs": TTL_MS - 1}, ("paymentMaxMs", "holdTtlMs")),
    ],
)
async def test_set_terms_that_contradict_others_is_422_and_names_both(
    api: Api, has: dict[str, Any], body: dict[str, int], found: tuple[str, str]
) -> None:
    """Before: 200 for `opensAt` after `closesAt`, an event that never sells."""
    await api.office.open(owner_id="orla", **has)
    sent = {name: rfc3339(n * 1000) if name in INSTANTS else n for name, n in body.items()}
    problem = await api.refused(422, "terms_contradict", "PATCH", GALA, ORLA, json=sent)
    assert (problem["field"], problem["otherField"]) == found


async def test_set_terms_moves_two_terms_past_the_others_in_one_call(api: Api) -> None:
    await api.office.open(owner_id="orla", opens_at_ms=1000, closes_at_ms=2000)
    body = {"opensAt": rfc3339(3000), "closesAt": rfc3339(4000)}
    assert (await api.call("PATCH", GALA, ORLA, json=body)).status_code == 200


async def _tag(api: Api) -> str:
    return (await api.call("GET", GALA)).headers["etag"]


@pytest.mark.parametrize(
    "form",
    ["{}", "*", " * ", '"x", {}', '{} ,"x"', '"a","b",\t{}', 'W/"x", {}', ", {},", '"a,b", {}'],
)
async def test_set_terms_if_match_of_the_tag_that_get_shows_changes_it(api: Api, form: str) -> None:
    await api.office.open(owner_id="orla")
    condition = {"if-match": form.format(await _tag(api))}
    answer = await api.call("PATCH", GALA, ORLA | condition, json={"sales": "paused"})
    assert (answer.status_code, answer.headers["etag"]) == (200, await _tag(api))


@pytest.mark.parametrize(
    "form", ['"bogus"', "W/{}", '"*"', '"x", "y"', '""', 'W/{}, "x"', '"1-1-0"']
)
async def test_set_terms_if_match_of_another_tag_is_412(api: Api, form: str) -> None:
    """Before: 200, the header was not read."""
    await api.office.open(owner_id="orla")
    condition = {"if-match": form.format(await _tag(api))}
    await api.refused(
        412, "precondition_failed", "PATCH", GALA, ORLA | condition, json={"sales": "paused"}
    )


@pytest.mark.parametrize("header", ["if-match", "if-none-match"])
@pytest.mark.parametrize(
    "form", ["bogus", "", '"a" "b"', '"1-1-0 1-1-1"', '"open', "*, *", 'w/"x"', '"x", *']
)
async def test_set_terms_with_a_condition_that_is_no_list_of_tags_is_400(
    api: Api, header: str, form: str
) -> None:
    await api.office.open(owner_id="orla")
    condition = {header: form}
    problem = await api.refused(
        400, "malformed", "PATCH", GALA, ORLA | condition, json={"sales": "paused"}
    )
    assert problem["field"].lower() == header


@pytest.mark.parametrize("form", ["*", "{}", "W/{}", '"x", {}'])
async def test_set_terms_if_none_match_of_its_tag_is_412(api: Api, form: str) -> None:
    await api.office.open(owner_id="orla")
    condition = {"if-none-match": form.format(await _tag(api))}
    body = {"sales": "paused"}
    await api.refused(412, "precondition_failed", "PATCH", GALA, ORLA | condition, json=body)
    other = {"if-none-match": '"x"', "if-unmodified-since": "Thu, 01 Jan 1970 00:00:00 GMT"}
    assert (await api.call("PATCH", GALA, ORLA | other, json=body)).status_code == 200


@pytest.mark.parametrize(
    ("header", "status"), [("if-match", 200), ("if-none-match", 412)], ids=lambda value: str(value)
)
async def test_set_terms_reads_every_line_of_a_condition(
    api: Api, header: str, status: int
) -> None:
    await api.office.open(owner_id="orla")
    lines = [(header, await _tag(api)), (header, '"x"'), *ORLA.items()]
    answer = await api.http.request("PATCH", GALA, headers=lines, json={"sales": "paused"})
    assert answer.status_code == status


async def test_set_terms_if_match_refuses_what_a_hold_or_another_organiser_changed(
    api: Api,
) -> None:
    await api.office.open(owner_id="orla")
    read = ORLA | {"if-match": await _tag(api)}
    bodies = [{"opensAt": rfc3339(n)} for n in range(1, 11)]
    calls = (api.call("PATCH", GALA, read, json=body) for body in bodies)
    statuses = sorted(answer.status_code for answer in await asyncio.gather(*calls))
    assert statuses == [200, *[412] * 9]
    read = ORLA | {"if-match": await _tag(api)}
    await api.held("ann", "A-1-1")
    await api.refused(412, "precondition_failed", "PATCH", GALA, read, json={"sales": "paused"})


async def test_set_terms_if_match_comes_after_404_and_403_and_before_the_terms(api: Api) -> None:
    sent = ORLA | {"if-match": '"bogus"'}
    body = {"opensAt": rfc3339(9000)}
    await api.refused(404, "event_not_found", "PATCH", GALA, sent, json=body)
    await api.office.open(owner_id="org", closes_at_ms=5000)
    await api.refused(403, "not_owner", "PATCH", GALA, sent, json=body)
    admin = bearer("root", "admin") | {"if-match": '"bogus"'}
    await api.refused(412, "precondition_failed", "PATCH", GALA, admin, json=body)


async def test_get_event_with_its_tag_is_304_until_something_changes(api: Api) -> None:
    await api.office.open(owner_id="orla")
    tag = await _tag(api)
    unchanged = await api.call("GET", GALA, {"if-none-match": tag})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    await api.held("ann", "A-1-1")
    changed = await api.call("GET", GALA, {"if-none-match": tag})
    assert (changed.status_code, changed.json()["counts"]["held"]) == (200, 1)


@pytest.mark.parametrize("path", ["seats", "seats/block", "seats/unblock"])
@pytest.mark.parametrize("header", ["If-Match", "If-None-Match"])
async def test_change_of_seats_with_a_condition_it_cannot_compare_is_412(
    api: Api, path: str, header: str
) -> None:
    await api.office.open(owner_id="orla")
    body = {} if path == "seats" else {"seatIds": ["gala:A-1-1"]}
    for value in ("*", '"bogus"', await _tag(api)):
        problem = await api.refused(
            412, "precondition_failed", "POST", f"{GALA}/{path}", ORLA | {header: value}, json=body
        )
        assert problem["field"] == header


_AT = st.sampled_from([None, *(rfc3339(START_MS + n) for n in range(4))])
_CHANGES = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(INSTANTS, _AT),
        "sales": st.sampled_from(["open", "paused", "closed"]),
        "timeZone": st.sampled_from([None, "Europe/Berlin", "UTC", "Mars/Base"]),
        "latePayment": st.sampled_from([None, "confirm", "refund"]),
        "paymentMaxMs": st.sampled_from([None, 0, TTL_MS - 1, TTL_MS, 2 * TTL_MS]),
    },
)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(_CHANGES, min_size=4, max_size=12))
async def test_set_terms_in_any_sequence_keeps_every_rule_in_redis_postgres_and_http(
    api: Api, engine: Engine, database_url: str, changes: list[dict[str, Any]]
) -> None:
    event = EventId(f"gala-{uuid4().hex}")
    path = f"{EVENT}/{event}"
    await engine.events.load_event(event, layout(rows=1), terms(owner_id="orla"))
    await engine.journal.create_group(event)
    for body in changes:
        before = (await api.call("GET", path)).json()
        answer = await api.call("PATCH", path, ORLA, json=body)
        after = (await api.call("GET", path)).json()
        if answer.status_code == 200:
            assert after == answer.json()
            assert {name: after.get(name) for name, value in body.items() if value} == {
                name: value for name, value in body.items() if value
            }
        else:
            assert (answer.status_code, after) == (422, before)
        _keeps_every_rule(after)
    entries = await engine.journal.read([event], "terms", count=100, block_ms=0)
    pool = await connect(database_url)
    try:
        assert await Store(pool).write(entries) == []
        stored = await read_event(pool, event)
    finally:
        await pool.close()
    assert stored
    in_redis = await engine.events.read_event(event)
    folded = msgspec.structs.asdict(stored.terms)
    assert folded == {name: getattr(in_redis, name) for name in folded}
    assert view_of(in_redis) == msgspec.convert(after, EventView)


def _keeps_every_rule(event: dict[str, Any]) -> None:
    """Instants in one form and zone sort as texts."""
    opens, closes, starts, cancel = (event[name] or "" for name in INSTANTS)
    assert not closes or opens < closes
    assert not (opens and starts) or opens < starts
    assert not (cancel and starts) or cancel <= starts
    assert (event["paymentMaxMs"] or TTL_MS) >= event["holdTtlMs"]
    assert (event["timeZone"] or "UTC") in ("UTC", "Europe/Berlin")
