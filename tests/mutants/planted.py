"""Bugs with a name: each a promise broken on purpose, and the check that has to see it.

They are said by the line they change, so that a script that is rewritten makes them fail to be
planted, never to be planted nowhere.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from tests.mutants.lua_source import scripts_with, text_of


class Planted(NamedTuple):
    """In `file`, `line` becomes `instead`. `seen_by` names a check of tests/mutants/checks.py."""

    name: str
    file: str
    line: str
    instead: str
    seen_by: str = "tour"


def _p(name: str, file: str, line: str, instead: str = "", seen_by: str = "tour") -> Planted:
    return Planted(name, f"{file}.lua", line, instead, seen_by)


_FALSE = "elseif false then"
PLANTED = (
    _p(
        "customer check dropped",
        "lib/bookings",
        'if record and (customer == "" or customer == record.customer) then',
        "if record then",
    ),
    _p(
        "organiser check dropped",
        "set_terms",
        'elseif owner ~= "" and owner ~= event.owner_id(box) then',
        _FALSE,
    ),
    _p(
        "terms that contradict taken",
        "lib/terms",
        "if before > 0 and after > 0 and contradict then",
        "if false then",
    ),
    _p(
        "contradiction of the other side taken",
        "lib/terms",
        "if changed[first] or changed[second] then",
        "if changed[second] then",
    ),
    _p("taken seat given", "lib/claims", "    if not free then", "    if false then"),
    _p(
        "blocked seat given",
        "lib/claims",
        'seat.letter == "a" or seat',
        '(seat.letter == "a" or seat.letter == "b") or seat',
    ),
    _p(
        "deadline compare flipped at payment",
        "lib/confirmations",
        "box.now_ms < record.expires_at_ms",
        "box.now_ms > record.expires_at_ms",
    ),
    _p(
        "payment taken at the deadline",
        "lib/confirmations",
        "box.now_ms < record.expires_at_ms",
        "box.now_ms <= record.expires_at_ms",
    ),
    _p(
        "overdue a millisecond late",
        "lib/claims",
        "record.expires_at_ms <= box.now_ms then",
        "record.expires_at_ms < box.now_ms then",
    ),
    _p(
        "sweep takes what is not due",
        "expire_bookings",
        "and record.expires_at_ms <= box.now_ms then",
        "then",
    ),
    _p(
        "stale expiry event obeyed",
        "expire_bookings",
        'record and record.status == "pending" and',
        "record and",
    ),
    _p(
        "release without comparing the id",
        "lib/seats",
        "if ending[booking] then",
        "if booking then",
        "damaged",
    ),
    _p(
        "sale without comparing the id",
        "lib/bookings",
        "if seat.booking == ulid then",
        "if true then",
        "damaged",
    ),
    _p(
        "own clock instead of the one given",
        "lib/clock",
        'if given ~= "" then',
        "if false then",
    ),
    _p(
        "count not moved",
        "lib/confirmations",
        '  event.move(box, "held", "sold", claim.places)\n',
    ),
    _p("map not written", "lib/seats", '    redis.call("SETRANGE", box.map, indexes[i], letter)\n'),
    _p(
        "map not written for what is freed",
        "lib/seats",
        '  redis.call("SETRANGE", box.map, from, string.rep("a", past - from))\n  return freed',
        "  return freed",
    ),
    _p("gaps in the map freed too", "lib/seats", "if index ~= past then", "if false then"),
    _p("map not written for a load", "load_event", '  redis.call("SET", KEYS[3], map)\n'),
    _p(
        "deadline not listed",
        "lib/holds",
        '  redis.call("ZADD", box.deadlines, unpack(batch.deadlines))\n',
    ),
    _p(
        "deadline not taken off",
        "lib/confirmations",
        '    redis.call("ZREM", batch.box.deadlines, unpack(batch.sold))\n',
    ),
    _p(
        "customer not listed",
        "lib/holds",
        '  redis.call("ZADD", box.customers, unpack(batch.customers))\n',
    ),
    _p(
        "customer not taken off",
        "lib/bookings",
        '  redis.call("ZREM", box.customers, unpack(claimed))\n',
    ),
    _p(
        "request not remembered",
        "lib/holds",
        "requests.remember(request.request_key, request.digest, ulid, batch.request_ttl_ms)\n",
        "nil\n",
    ),
    _p(
        "request's body not compared",
        "lib/holds",
        "if earlier_digest and earlier_digest ~= digest then",
        "if false then",
    ),
    _p("journal entry missing", "lib/bookings", "  journal.booking(box, kind, ulid, json)\n"),
    _p(
        "journal entry of an end missing",
        "lib/bookings",
        "    journal.booking(box, kind, item.ulid, jsons[i])\n",
    ),
    _p(
        "hold not cleared on confirm",
        "lib/confirmations",
        'redis.call("DEL", unpack(batch.hold_keys))\n',
    ),
    _p("hold not cleared on release", "release_booking", 'redis.call("DEL", hold_key)\n'),
    _p(
        "late payment takes the seat",
        "lib/confirmations",
        "event.late_refusal(box) or claims.refusal(box, claim)\n",
        "nil\n",
    ),
    _p(
        "late payment after the event has begun",
        "lib/event",
        "elseif terms.starts_at_ms > 0 and box.now_ms >= terms.starts_at_ms then",
        _FALSE,
    ),
    _p(
        "late payment passes the limit",
        "lib/claims",
        "\n    or claims.check_limit(box, claim)",
    ),
    _p(
        "refund twice",
        "lib/confirmations",
        "if is_judged and not is_unchecked then",
        "if false then",
    ),
    _p(
        "refund not recorded",
        "lib/confirmations",
        "    payments.owe(record, entry, refusal and string.lower(refusal[1]) or outcome)\n",
    ),
    _p("second payment lost", "lib/payments", '    return "paid_twice"\n', "    return nil\n"),
    _p("payment of a cancelled booking lost", "lib/payments", '    return "booking_cancelled"\n'),
    _p(
        "refund of a cancellation forgotten",
        "cancel_booking",
        'payments.give_back(record, "cancelled")\n',
    ),
    _p(
        "customer cancels after the time for it",
        "cancel_booking",
        "if not by_organiser and box.now_ms >= until_ms then",
        "if false then",
    ),
    _p(
        "refund in part forgotten",
        "lib/payments",
        "reason = math.max(0, one.amount_minor - (one.refunded_minor or 0)), reason\n"
        "  payments.sum",
        "reason = one.amount_minor, reason\n  payments.sum",
    ),
    _p(
        "deadline of a slow payment stays",
        "update_payment",
        "if change.expires_at_ms then",
        "if false then",
    ),
    _p(
        "anybody confirms where a provider does",
        "lib/confirmations",
        'elseif source == "free" and record.amount_minor > 0 then',
        _FALSE,
    ),
    _p(
        "bought places not counted",
        "lib/claims",
        "      has = has + (record and record.places or 0)\n",
    ),
    _p(
        "cancelled seats stay sold",
        "lib/seats",
        '      redis.call("HSET", box.seats, unpack(fields, 1, n))\n',
    ),
    _p(
        "extension without end",
        "extend_booking",
        "  record.held_at_ms + event.terms(box).hold_max_ms)",
        "  box.now_ms * 2)",
    ),
    _p(
        "sold before the sale opens",
        "lib/event",
        "elseif box.now_ms < state.opens_at_ms then",
        _FALSE,
    ),
    _p(
        "amount not compared",
        "lib/payments",
        "payment.amount_minor ~= record.amount_minor",
        "false",
    ),
    _p("sold booking forgotten", "lib/claims", '  redis.call("ZREM", box.ended, claim.ulid)\n'),
    _p(
        "ended booking never forgotten",
        "lib/bookings",
        '  redis.call("ZADD", box.ended, unpack(kept))\n',
    ),
    _p("area oversold by one", "lib/claims", "if lacking > 0 and", "if lacking > 1 and"),
    _p(
        "load over an event in use",
        "load_event",
        "elseif old and old.state.held + old.state.sold > 0 then",
        _FALSE,
    ),
    _p(
        "a seat blocked twice counts twice",
        "block_seats",
        "    if not seen[seat.id] then",
        "    if true then",
    ),
    _p(
        "sold while it is restored",
        "lib/event",
        'if box and box.state.sales == "restoring" then',
        "if false then",
        "restoring",
    ),
    _p(
        "one call more than the limit",
        "lib/limits",
        "tat_ms - limit.burst * limit.interval_ms - now_ms",
        "tat_ms - (limit.burst + 1) * limit.interval_ms - now_ms",
        "limits",
    ),
    _p(
        "limit never taken",
        "lib/limits",
        '    redis.call("SET", limit.key, text, "PX", math.ceil(limit.tat_ms - now_ms))\n',
        "",
        "limits",
    ),
    _p(
        "limit taken once by the requests of one call",
        "lib/limits",
        "    texts[limit.key] = text\n",
        "",
        "limits",
    ),
    _p(
        "seat given twice in one call",
        "lib/seats",
        "      box.rows[seat.id] = text\n",
    ),
    _p(
        "seat freed in one call not given in it",
        "lib/seats",
        "          box.rows[id] = fields[n + 2]\n",
    ),
    _p(
        "purchase limit of each request alone",
        "lib/holds",
        "  box.held_places[customer] = (box.held_places[customer] or 0) + request.places\n",
    ),
    _p(
        "request repeated in one call held twice",
        "lib/holds",
        "    batch.texts[request.request_key] =\n      requests",
        "    local _ =\n      requests",
    ),
    _p(
        "places of an expired hold given twice in one call",
        "lib/claims",
        "    box.overdue_areas = nil\n",
    ),
    _p(
        "overdue places of one payment counted for another of the call",
        "lib/confirmations",
        "    box.overdue_areas = nil\n",
        "",
    ),
    _p(
        "hold of one payment of a call not cleared",
        "lib/confirmations",
        "batch.hold_keys[#batch.hold_keys + 1]",
        "batch.hold_keys[1]",
    ),
    _p(
        "party parted that did not allow it",
        "lib/parties",
        "  local windows = asked.rows and count > 1 and",
        "  local windows = count > 1 and",
        "best",
    ),
    _p(
        "single seat left where another place is as good",
        "lib/rows",
        " and not (run.avoid and rows.is_single(run, window, window + count - 1)) then",
        " then",
        "best",
    ),
    _p(
        "search ended before the best row",
        "lib/best",
        "row.lowest * count * rows.WIDTH >= found.legal.score",
        "found.legal.score >= 0",
        "best",
    ),
    _p(
        "seat of another category given",
        "lib/rows",
        "\n    and search.categories[rows.category(row, i)]",
        "",
        "best",
    ),
    _p(
        "wheelchair place given to everybody",
        "lib/rows",
        "w = is_released, c = is_released",
        "w = true, c = is_released",
        "best",
    ),
    _p(
        "price ceiling not kept",
        "lib/best",
        "elseif claims.price(search.box, tonumber(number)) <= wanted.price_max then",
        "else",
        "best",
    ),
    _p(
        "middle of the row not preferred",
        "lib/rows",
        "local score = sum * rows.WIDTH + math.abs(2 * window - middle)",
        "local score = sum * rows.WIDTH",
        "best",
    ),
    _p(
        "seats of the same call offered again",
        "lib/holds",
        "  holds.write_seats(batch)\n  return request.choose",
        "  return request.choose",
        "best",
    ),
    _p(
        "booking of the same call not found",
        "lib/holds",
        "  box.fresh[ulid] = json\n",
    ),
)


@contextmanager
def planting(bug: Planted) -> Iterator[None]:
    """While this lasts, the engine runs scripts with this bug."""
    text = text_of(bug.file).decode()
    assert text.count(bug.line) == 1, f"{bug.name}: {bug.line!r} is not once in {bug.file}"
    with scripts_with({bug.file: text.replace(bug.line, bug.instead)}):
        yield
