"""Generated bugs that change nothing observable, each with the reason."""

from typing import NamedTuple

from tests.mutants.lua_source import Change, text_of


class Equivalent(NamedTuple):
    """A change in a line that contains `line`, which `what` describes; "" is any."""

    file: str
    line: str
    what: str
    why: str


EQUIVALENT: tuple[Equivalent, ...] = (
    Equivalent("lib/claims.lua", "OVERDUE_MAX = 500", "500 becomes", "a bound on work, not a rule"),
    Equivalent(
        "lib/clock.lua",
        "math.floor(time[2] / 1000)",
        "1000 becomes 1001",
        "the divisor: off by less than a millisecond; as the factor it is caught",
    ),
    Equivalent(
        "lib/event.lua",
        "state.closes_at_ms > 0 and",
        "0 becomes 1",
        "no sale closes in the first millisecond of 1970",
    ),
    Equivalent(
        "lib/event.lua",
        "if not row[1] then",
        "1 becomes 2",
        "an event has all these fields or none",
    ),
    Equivalent(
        "lib/bookings.lua",
        '"status":"pending"',
        "1 becomes 2",
        "a record says so once: quotes within a value are escaped",
    ),
    Equivalent(
        "lib/bookings.lua",
        "changed == 1 and json or cjson.encode(record)",
        "1 becomes 2",
        "every record is encoded again: the same, and slower",
    ),
    Equivalent(
        "lib/holds.lua",
        'if text and digest ~= "" then',
        'if text and digest ~= "" becomes text',
        "without a digest there is no such key either",
    ),
    Equivalent(
        "lib/limits.lua",
        "local left, full_in_ms = math.huge, 0",
        "0 becomes 1",
        "a limit is full again after its interval at the earliest, in whole milliseconds",
    ),
    Equivalent(
        "lib/limits.lua",
        "tonumber(texts[limit.key]) or 0, now_ms)",
        "0 becomes 1",
        "the greater of it and now is now",
    ),
    Equivalent(
        "read_map.lua",
        "if not row[1] then",
        "1 becomes 2",
        "an event has a position and a layout version, or neither",
    ),
    Equivalent(
        "expire_bookings.lua",
        "math.min(#ARGV, 2 + limit)",
        "2 becomes 3",
        "a bound on work, not a rule",
    ),
    Equivalent(
        "restore_event.lua",
        'redis.call("UNLINK", unpack(KEYS, 1, 9))',
        "9 becomes 10",
        "the layout is written again behind it",
    ),
    Equivalent(
        "load_event.lua",
        "local old = event.open(KEYS, ARGV[1])",
        "1 becomes 2",
        "nothing of the event that is there is asked that depends on the time",
    ),
    Equivalent(
        "expire_bookings.lua",
        'redis.call("ZRANGE", box.deadlines, 0, 0, "WITHSCORES")',
        "0 becomes 1",
        "of those it gets the first is read; nothing but the end of the range can change unseen",
    ),
    Equivalent(
        "lib/recount.lua",
        "local bytes, orphans, wrong, last = {}, {}, 0, -1",
        "1 becomes 2",
        "a house with no seats gets a map of no letters: it cannot be told from none",
    ),
    Equivalent(
        "lib/recount.lua",
        "#found ~= last + 1 then",
        "+ becomes -",
        "the map is written again as it is",
    ),
    Equivalent(
        "lib/recount.lua",
        "#found ~= last + 1 then",
        "1 becomes 2",
        "the map is written again as it is",
    ),
    *(
        Equivalent(
            "lib/recount.lua",
            "if wrong > 0 or #found ~= last + 1 then",
            what,
            "the map is written again as it is",
        )
        for what in ("> becomes >=", "if wrong > 0 or #found ~= last + 1 becomes true")
    ),
    Equivalent(
        "lib/seats.lua",
        "deadline_ms = tonumber(deadline) or 0",
        "0 becomes 1",
        "only a held seat's is asked, and it has one",
    ),
    Equivalent(
        "lib/seats.lua",
        "if index ~= past then",
        "if index ~= past becomes true",
        "neighbours are written one by one",
    ),
    Equivalent(
        "load_event.lua",
        "for i = 7, areas_from - 1, 2 do",
        "1 becomes 2",
        "names stand at odd places: the last one is two below the areas",
    ),
    Equivalent("lib/seats.lua", "if n > 0 then", "0 becomes 1", "there are two of each"),
    Equivalent(
        "lib/seats.lua",
        "local last = math.min(first + seats.AT_ONCE - 1, #ids)",
        "- becomes +",
        "two pieces overlap, and no booking of the second holds what the first freed",
    ),
    Equivalent("lib/seats.lua", "AT_ONCE = 2000", "2000 becomes", "a bound on work, not a rule"),
    Equivalent(
        "lib/seats.lua",
        "local last = math.min(first + 2 * seats.AT_ONCE - 1, #fields)",
        "- becomes +",
        "two pieces overlap, and what both have is written twice",
    ),
)


def why_equivalent(change: Change) -> str | None:
    """The reason, if it is one of them."""
    line = text_of(change.file).decode().splitlines()[change.line - 1]
    for known in EQUIVALENT:
        if known.file == change.file and known.line in line and known.what in change.what:
            return known.why
    return None
