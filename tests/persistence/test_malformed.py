"""Values and keys in Redis that no release has written: reported with event and place, no crash."""

from typing import Any

import pytest

from cli.status.poller import StatusPoller
from cli.status.refusal_counts import RefusalCounts
from cli.status.text import lines_of, status_of
from engine import Engine, invariants, keys
from engine.errors import Malformed
from engine.ids import EventId
from persistence.reconcile.rounds import Rounds
from persistence.restorer import Restorer
from tests.persistence.sale import Sale, ulid
from tests.support.factories import GALA, layout, terms

VALUES = {
    "seat without a number": ("seats", "A-1-5", "x,0,a"),
    "seat without its status": ("seats", "A-1-5", "4,0"),
    "seat of another status": ("seats", "A-1-5", "4,0,x"),
    "seat with half an owner": ("seats", "A-1-5", "4,0,h,owner"),
    "seat with too much": ("seats", "A-1-5", "4,0,h,owner,1,2"),
    "seat that is not text": ("seats", "A-1-5", b"\xff"),
    "area without a number": ("areas", "floor", "50,0,x,3"),
    "area with too little": ("areas", "floor", "50,0,3"),
    "area with too much": ("areas", "floor", "50,0,0,3,1"),
    "booking that is no JSON": ("bookings", "", "{"),
    "booking without a customer": ("bookings", "", "{}"),
    "booking with an area of no quantity": ("bookings", "", None),
}
"""The hash, the id in it ("" = the pending booking's) and the value (None: a damaged area list)."""

KEYS = ("event", "seats", "map", "areas", "bookings", "deadlines", "customers", "ended", "journal")
"""Each is given another type."""


async def _damage(sale: Sale, name: str) -> str:
    """Plant one value; its id."""
    key, local, value = VALUES[name]
    local = local or ulid(sale.pending)
    if value is None:
        stored = await sale.redis.hget("{gala}:bookings", local)
        value = stored.replace(b'"areas":""', b'"areas":"floor=x"')
        assert value != stored
    await sale.redis.hset(f"{{gala}}:{key}", local, value)
    return local


async def _replace_key(sale: Sale, name: str) -> None:
    """Give a key another type."""
    await sale.redis.delete(f"{{gala}}:{name}")
    await sale.redis.sadd(f"{{gala}}:{name}", "x")


@pytest.mark.parametrize("name", [*KEYS, "layout"])
async def test_restore_of_an_event_with_a_key_of_another_type_mends_it(
    sale: Sale, restorer: Restorer, name: str
) -> None:
    await sale.write()
    await _replace_key(sale, name)
    restored = await restorer.restore(GALA)
    assert (restored.standing, restored.confirmed_count) == ((), 2)
    if name in ("event", "journal"):
        assert await sale.redis.type(f"{{gala}}:damaged:{name}") == b"set"
        assert 0 < await sale.redis.ttl(f"{{gala}}:damaged:{name}") <= 7 * 86_400
    await sale.hold("A-1-5")
    await sale.write()
    assert await sale.found() == []


@pytest.mark.parametrize(
    ("key", "field", "value"),
    [("event", "sold", "many"), ("event", "epoch", "x"), ("areas", "floor", "x")],
)
async def test_restore_of_an_event_with_a_value_that_cannot_be_read_mends_it(
    sale: Sale, restorer: Restorer, key: str, field: str, value: str
) -> None:
    await sale.write()
    await sale.redis.hset(f"{{gala}}:{key}", field, value)
    restored = await restorer.restore(GALA)
    assert (restored.standing, restored.confirmed_count) == ((), 2)
    await sale.hold("A-1-5")
    await sale.write()
    assert await sale.found() == []


def _poller(engine: Engine, tmp_path: Any, chosen: EventId | None) -> StatusPoller:
    return StatusPoller(engine, RefusalCounts(None, tmp_path), chosen, with_sections=False)


@pytest.mark.parametrize("name", VALUES)
async def test_verify_and_reconcile_of_a_malformed_value_name_it(sale: Sale, name: str) -> None:
    subject = await _damage(sale, name)
    found = await invariants.verify(sale.engine, GALA)
    malformed = [violation for violation in found if violation.kind == "malformed"]
    assert [violation.subject for violation in malformed] == [subject]
    assert "has b'" in malformed[0].detail

    report = await sale.reconcile(repair=True)
    [difference] = [d for d in report.differences if d.kind == "malformed"]
    assert (difference.event_id, difference.subject) == (GALA, subject)
    assert difference.is_violation
    assert difference.repaired is None


async def test_verify_of_a_malformed_seat_reports_what_else_is_broken(sale: Sale) -> None:
    await _damage(sale, "seat without a number")
    await sale.redis.hdel("{gala}:bookings", ulid(sale.confirmed))
    found = await invariants.verify(sale.engine, GALA)
    assert {(v.kind, v.subject) for v in found} == {
        ("malformed", "A-1-5"),
        ("orphan_sale", "A-1-2"),
    }


@pytest.mark.parametrize("name", KEYS)
async def test_verify_and_reconcile_of_a_key_of_another_type_name_it(sale: Sale, name: str) -> None:
    await _replace_key(sale, name)
    for kind, subject, detail in [
        *((v.kind, v.subject, v.detail) for v in await invariants.verify(sale.engine, GALA)),
        *((d.kind, d.subject, d.detail) for d in (await sale.reconcile(repair=True)).differences),
    ]:
        assert (kind, subject) == ("malformed", GALA)
        assert f"gala: the key {{gala}}:{name} cannot be read: WRONGTYPE" in detail


@pytest.mark.parametrize(
    ("field", "value"), [("sold", "many"), ("sales", "sometimes"), ("version", None)]
)
async def test_verify_and_reconcile_of_a_malformed_event_name_it(
    sale: Sale, field: str, value: str | None
) -> None:
    if value is None:
        await sale.redis.hdel("{gala}:event", "available")
    else:
        await sale.redis.hset("{gala}:event", field, value)
    [violation] = await invariants.verify(sale.engine, GALA)
    assert (violation.kind, violation.subject) == ("malformed", GALA)
    [difference] = (await sale.reconcile()).differences
    assert (difference.kind, difference.subject) == ("malformed", GALA)


async def test_reconcile_of_dead_letters_of_another_type_names_the_key(sale: Sale) -> None:
    key = keys.dead_letters(GALA)
    await sale.redis.set(key, "x")
    assert await sale.found() == [("malformed", key)]


@pytest.mark.parametrize("name", KEYS)
async def test_round_with_a_damaged_event_compares_the_others(sale: Sale, name: str) -> None:
    await sale.engine.events.load_event(EventId("other"), layout(), terms())
    await _replace_key(sale, name)
    rounds = Rounds(sale.engine, sale.pool, 60)
    assert await rounds.run_once() == ("failed" if name == "journal" else "differences")


@pytest.mark.parametrize("name", ["event", "deadlines", "journal", "record"])
async def test_status_of_all_shows_the_others_and_why_one_cannot_be_read(
    sale: Sale, tmp_path: Any, name: str
) -> None:
    other = EventId("other")
    await sale.engine.events.load_event(other, layout(), terms())
    if name == "record":
        await sale.redis.hset("{gala}:event", "sold", "many")
    else:
        await _replace_key(sale, name)
    snapshot = await _poller(sale.engine, tmp_path, None).poll()
    assert [*snapshot.events] == [other]
    assert [*snapshot.unreadable] == [GALA]
    assert "gala" in snapshot.unreadable[GALA]
    assert status_of(snapshot).unreadable == snapshot.unreadable
    assert any(" event=gala unreadable=" in line for line in lines_of(snapshot))


@pytest.mark.parametrize("name", ["event", "deadlines", "journal"])
async def test_status_of_one_that_cannot_be_read_is_an_error_that_names_it(
    sale: Sale, tmp_path: Any, name: str
) -> None:
    await _replace_key(sale, name)
    with pytest.raises(Malformed, match=r"gala.*cannot be read"):
        await _poller(sale.engine, tmp_path, GALA).poll()
    snapshot = await _poller(sale.engine, tmp_path, GALA).try_poll()
    assert snapshot.trouble
    assert snapshot.trouble.kind == "malformed"
