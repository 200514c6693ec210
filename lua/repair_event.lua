--[[
Recompute everything that follows from the seats and the bookings: orphan holds, map, counts, areas,
lists, and the copy of its booking's deadline that each held seat has.

Blocks the server for about 50 ms at 50,000 seats: for repairs only, never on the path of a sale.

KEYS[1-9]  event seats map areas bookings deadlines customers ended journal

ARGV[1]    now_ms     "" = the clock of Redis

Returns  {"OK", "orphan_holds", n, "map", n, "counts", n, "areas", n, "deadlines", n,
           "customers", n}
         n: how many were wrong and are repaired; "deadlines" counts those of seats and of the list
         {"EVENT_NOT_FOUND"}
]]
-- @include lib/event
-- @include lib/seats
-- @include lib/areas
-- @include lib/bookings
-- @include lib/recount
local box = event.open(KEYS, ARGV[1])
if not box then
  return { "EVENT_NOT_FOUND" }
end
local records = recount.records(box)
local rows, orphans, other = recount.seats(box, records)
local area_rows = recount.areas(box, records)
local counts = recount.counts(rows, area_rows)
local map = redis.call("GET", box.map) or ""
local deadlines = redis.call("ZRANGE", box.deadlines, 0, -1)
local customers = redis.call("ZRANGE", box.customers, 0, -1)

-- Writes.
seats.put(box, orphans, "a")
local repaired = {
  orphan_holds = #orphans,
  map = recount.write_map(box, rows, map),
  counts = recount.write_counts(box, counts),
  areas = recount.write_areas(box, area_rows),
  deadlines = recount.write_seat_deadlines(box, records, other)
    + recount.write_deadlines(box, records, deadlines),
  customers = recount.write_customers(box, records, customers),
}
journal.event(box, "event_repaired", cjson.encode({
  available = tostring(counts.available), held = tostring(counts.held),
  sold = tostring(counts.sold), blocked = tostring(counts.blocked),
}))
event.save(box)
local reply = { "OK" }
for name, count in pairs(repaired) do
  reply[#reply + 1] = name
  reply[#reply + 1] = tostring(count)
end
return reply
