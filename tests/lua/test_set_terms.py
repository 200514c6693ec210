"""set_terms: what it changes, which terms contradict each other, and conditional changes."""

import asyncio
import json

import pytest

from engine.errors import EventNotFound, NotOwner, PreconditionFailed, TermsContradict
from engine.models import MILLISECONDS_MAX, Event, LatePayment, Sales, TermsChange, Versions
from tests.support.box_office import START_MS, TTL_MS, BoxOffice
from tests.support.factories import GALA
from tests.support.raw_redis import raw

ANY = Versions(any=True)
EVERYTHING = TermsChange(
    sales=Sales.CLOSED,
    opens_at_ms=START_MS,
    closes_at_ms=START_MS + 3,
    starts_at_ms=START_MS + 2,
    time_zone="Europe/Berlin",
    cancel_until_ms=START_MS + 2,
    late_payment=LatePayment.REFUND,
    payment_max_ms=TTL_MS,
)
UNSET = TermsChange(
    opens_at_ms=0,
    closes_at_ms=0,
    starts_at_ms=0,
    time_zone="",
    cancel_until_ms=0,
    late_payment=LatePayment.CONFIRM,
    payment_max_ms=0,
)
_ADDED = ("starts_at_ms", "time_zone", "cancel_until_ms", "late_payment", "payment_max_ms")


def _terms(event: Event) -> dict[str, object]:
    return {name: getattr(event, name) for name in TermsChange.__struct_fields__}


async def _told(office: BoxOffice) -> dict[str, str]:
    """What the newest journal entry says of the event."""
    [*_, (_, fields)] = await office.engine.client.xrange("{gala}:journal")
    said: dict[str, str] = json.loads(fields[b"event"])
    return said


async def test_set_terms_changes_only_what_is_asked(office: BoxOffice) -> None:
    await office.open(owner_id="org", closes_at_ms=START_MS)
    events = office.engine.events
    event = await events.set_terms(GALA, TermsChange(sales=Sales.PAUSED), owner_id="org")
    assert (event.sales, event.opens_at_ms, event.closes_at_ms) == ("paused", 0, START_MS)
    event = await events.set_terms(GALA, TermsChange(opens_at_ms=5, closes_at_ms=0))
    assert (event.sales, event.opens_at_ms, event.closes_at_ms) == ("paused", 5, 0)
    assert (await office.kinds())[1:] == ["terms_set", "terms_set"]


async def test_set_terms_sets_and_unsets_each_and_the_journal_has_them_all(
    office: BoxOffice,
) -> None:
    await office.open()
    events = office.engine.events
    for change in (EVERYTHING, UNSET):
        event = await events.set_terms(GALA, change)
        assert _terms(event).items() >= change.fields.items()
        assert await _told(office) == {name: str(value) for name, value in _terms(event).items()}


@pytest.mark.parametrize("far_ms", [MILLISECONDS_MAX - 1, MILLISECONDS_MAX])
async def test_set_terms_keeps_a_time_as_far_away_as_one_may_be(
    office: BoxOffice, far_ms: int
) -> None:
    await office.open()
    set_terms = office.engine.events.set_terms
    await set_terms(GALA, TermsChange(opens_at_ms=far_ms - 1, closes_at_ms=far_ms))
    event = await set_terms(GALA, TermsChange(sales=Sales.PAUSED))
    assert (event.opens_at_ms, event.closes_at_ms) == (far_ms - 1, far_ms)
    assert (await _told(office))["closes_at_ms"] == str(far_ms)


async def test_set_terms_refusals_change_nothing(office: BoxOffice) -> None:
    change = TermsChange(sales=Sales.CLOSED)
    events = office.engine.events
    await office.refused(EventNotFound, events.set_terms(GALA, change, if_match=ANY))
    await office.open(owner_id="org")
    refused = events.set_terms(GALA, change, owner_id="other", if_match=Versions())
    await office.refused(NotOwner, refused)


@pytest.mark.parametrize(
    ("has", "change", "found"),
    [
        ({"closes_at_ms": 5}, {"opens_at_ms": 5}, ("opens_at_ms", "closes_at_ms")),
        ({"opens_at_ms": 5}, {"closes_at_ms": 4}, ("closes_at_ms", "opens_at_ms")),
        ({}, {"opens_at_ms": 5, "closes_at_ms": 5}, ("opens_at_ms", "closes_at_ms")),
        ({"starts_at_ms": 5}, {"opens_at_ms": 5}, ("opens_at_ms", "starts_at_ms")),
        ({"opens_at_ms": 5}, {"starts_at_ms": 4}, ("starts_at_ms", "opens_at_ms")),
        ({"starts_at_ms": 5}, {"cancel_until_ms": 6}, ("cancel_until_ms", "starts_at_ms")),
        ({"cancel_until_ms": 5}, {"starts_at_ms": 4}, ("starts_at_ms", "cancel_until_ms")),
        ({}, {"payment_max_ms": TTL_MS - 1}, ("payment_max_ms", "hold_ttl_ms")),
    ],
)
async def test_set_terms_that_contradict_others_changes_nothing_and_names_both(
    office: BoxOffice, has: dict[str, int], change: dict[str, int], found: tuple[str, str]
) -> None:
    await office.open(**has)
    refused = office.engine.events.set_terms(GALA, TermsChange(**change))  # type: ignore[arg-type]
    assert (await office.refused(TermsContradict, refused)).found == found


async def test_set_terms_that_meet_at_one_instant_or_are_unset_agree(office: BoxOffice) -> None:
    await office.open(opens_at_ms=4, closes_at_ms=5, starts_at_ms=5)
    set_terms = office.engine.events.set_terms
    change = TermsChange(cancel_until_ms=5, payment_max_ms=TTL_MS)
    assert (await set_terms(GALA, change)).cancel_until_ms == 5
    change = TermsChange(closes_at_ms=0, starts_at_ms=0, opens_at_ms=9)
    assert (await set_terms(GALA, change)).opens_at_ms == 9


async def test_set_terms_of_an_event_that_an_older_release_left_with_a_contradiction_pauses_it(
    office: BoxOffice,
) -> None:
    await office.open(closes_at_ms=5)
    await raw(office.engine).hset("{gala}:event", "opens_at_ms", 9)
    set_terms = office.engine.events.set_terms
    await set_terms(GALA, TermsChange(sales=Sales.PAUSED, cancel_until_ms=7))
    await office.refused(TermsContradict, set_terms(GALA, TermsChange(opens_at_ms=8)))
    assert (await set_terms(GALA, TermsChange(opens_at_ms=4))).opens_at_ms == 4


async def test_set_terms_of_an_event_that_an_older_release_loaded_gives_it_the_usual_ones(
    office: BoxOffice,
) -> None:
    await office.open()
    await raw(office.engine).hdel("{gala}:event", *_ADDED)
    event = await office.engine.events.read_event(GALA)
    assert _terms(event).items() >= UNSET.fields.items()
    changed = await office.engine.events.set_terms(GALA, TermsChange(opens_at_ms=7))
    assert _terms(changed) == {**_terms(event), "opens_at_ms": 7}
    assert await raw(office.engine).hmget("{gala}:event", *_ADDED) == [
        *(b"0", b"", b"0", b"confirm", b"0")
    ]


async def test_set_terms_if_match_changes_the_version_that_was_read(office: BoxOffice) -> None:
    await office.open()
    events, change = office.engine.events, TermsChange(time_zone="UTC")
    read = await events.read_event(GALA)
    changed = await events.set_terms(GALA, change, if_match=Versions(("1-1-0", read.version)))
    assert changed.version != read.version
    for stale in (Versions((read.version,)), Versions()):
        await office.refused(PreconditionFailed, events.set_terms(GALA, change, if_match=stale))
    part = Versions((changed.version[:-1], changed.version[1:], f"{changed.version}0"))
    await office.refused(PreconditionFailed, events.set_terms(GALA, change, if_match=part))
    await events.set_terms(GALA, change, if_match=ANY)


async def test_set_terms_if_none_match_refuses_the_version_that_is_there(
    office: BoxOffice,
) -> None:
    await office.open()
    events, change = office.engine.events, TermsChange(time_zone="UTC")
    here = Versions(((await events.read_event(GALA)).version,))
    for condition in (here, ANY):
        call = events.set_terms(GALA, change, if_none_match=condition)
        await office.refused(PreconditionFailed, call)
    await events.set_terms(GALA, change, if_none_match=Versions())
    await events.set_terms(GALA, change, if_none_match=here)


async def test_set_terms_if_match_judges_the_version_before_the_terms(office: BoxOffice) -> None:
    await office.open(closes_at_ms=5)
    change = TermsChange(opens_at_ms=6)
    call = office.engine.events.set_terms(GALA, change, if_match=Versions())
    await office.refused(PreconditionFailed, call)


async def test_set_terms_by_many_that_read_one_version_is_done_once(office: BoxOffice) -> None:
    await office.open()
    events = office.engine.events
    read = Versions(((await events.read_event(GALA)).version,))
    calls = (
        events.set_terms(GALA, TermsChange(closes_at_ms=number), if_match=read)
        for number in range(1, 21)
    )
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(one, Event) for one in found) == 1
    assert sum(isinstance(one, PreconditionFailed) for one in found) == 19
    assert await office.kinds() == ["event_loaded", "terms_set"]
