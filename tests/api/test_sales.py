"""Sales by category, and seats off sale, over HTTP."""

import pytest

from engine.availability import AvailabilityReader
from engine.ids import EventId
from engine.models import Availability
from engine.plans.addition import addition_of
from tests.api.client import EVENT, Api, bearer
from tests.support.factories import GALA, layout
from tests.support.raw_redis import raw

ORLA = bearer("orla", "organizer")
SALES, BLOCK, UNBLOCK = (
    f"{EVENT}/gala/{name}" for name in ("sales", "seats/block", "seats/unblock")
)


async def test_sales_are_counted_by_category(api: Api) -> None:
    await api.office.open(areas={"pit": 10}, blocked="A-2-5", owner_id="orla")
    await api.office.confirm(await api.office.hold("ann", "A-1-1", "A-1-2", pit=3))
    await api.office.hold("bob", "A-1-3", pit=1)
    answer = await api.call("GET", SALES, ORLA)
    assert answer.status_code == 200
    found = answer.json()
    seat, standing = found["categories"]
    assert (seat["available"], seat["held"], seat["sold"], seat["blocked"]) == (6, 1, 2, 1)
    assert (standing["available"], standing["held"], standing["sold"]) == (6, 1, 3)
    assert (seat["soldMinor"], standing["soldMinor"], found["soldMinor"]) == (3000, 2700, 5700)


async def test_sales_while_seats_are_added_are_those_of_the_new_layout(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.office.open(owner_id="orla")
    read_map = AvailabilityReader.read_map
    grown = layout(rows=3, areas={"pit": 4})

    async def read_too_early(reader: AvailabilityReader, event: EventId) -> Availability:
        monkeypatch.undo()
        found = await read_map(reader, event)
        await api.office.engine.events.add_seats(GALA, addition_of(grown, layout()))
        return found

    monkeypatch.setattr(AvailabilityReader, "read_map", read_too_early)
    answer = await api.call("GET", SALES, ORLA)
    assert answer.status_code == 200, answer.text
    assert [category["available"] for category in answer.json()["categories"]] == [15, 4]


async def test_sales_of_a_layout_that_is_never_the_maps_are_503(api: Api) -> None:
    await api.office.open(owner_id="orla")
    await raw(api.office.engine).hset("{gala}:event", "layout_version", "another")
    await api.refused(503, "unavailable", "GET", SALES, ORLA)


async def test_sales_are_the_organisers_own(api: Api) -> None:
    await api.office.open(owner_id="orla")
    await api.refused(403, "not_owner", "GET", SALES, bearer("oscar", "organizer"))
    await api.refused(403, "forbidden", "GET", SALES, bearer("ann"))
    assert (await api.call("GET", SALES, bearer("root", "admin"))).status_code == 200


async def test_seats_are_blocked_and_unblocked(api: Api) -> None:
    await api.office.open(owner_id="orla")
    body = {"seatIds": ["gala:A-1-1"]}
    blocked = await api.call("POST", BLOCK, ORLA, json=body)
    assert blocked.json()["counts"]["blocked"] == 1
    assert (await api.hold("ann", "A-1-1")).status_code == 409
    unblocked = await api.call("POST", UNBLOCK, ORLA, json=body)
    assert unblocked.json()["counts"]["blocked"] == 0
    assert (await api.hold("ann", "A-1-1")).status_code == 201
    problem = await api.refused(409, "seat_taken", "POST", BLOCK, ORLA, json=body)
    assert problem["seatIds"] == ["gala:A-1-1"]


async def test_seats_of_another_event_or_form_are_refused(api: Api) -> None:
    await api.office.open(owner_id="orla")
    for seat_ids in (
        ["opera:A-1-1"],
        ["A-1-1"],
        ["gala:{}"],
        [],
        ["gala:A-1-1"] * 501,
        "gala:A-1-1",
    ):
        await api.refused(422, "invalid", "POST", BLOCK, ORLA, json={"seatIds": seat_ids})
