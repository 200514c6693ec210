--[[
Add seats and areas to an event that may be on sale. Existing seats keep their index.

KEYS[1-9]  event seats map areas bookings deadlines customers ended journal
KEYS[10]   layout     string   gzipped JSON
KEYS[11]   rows       hash     records of rows, for lib/best
KEYS[12]   order      hash     stretches of the map, for lib/best

ARGV[1]    now_ms          "" = the clock of Redis
ARGV[2]    owner           the event must belong to this organiser; "" = not checked
ARGV[3]    known version   version of the layout that the new one was made from
ARGV[4]    layout
ARGV[5]    layout version
ARGV[6]    prices
ARGV[7]    map             text to append to the map, its separator included
ARGV[8]    available       number of available places added, areas included
ARGV[9]    blocked         number of blocked places added
ARGV[10]   added           gzipped JSON of a layout with only what is new, for the journal
ARGV[11...] four times a count and so many pairs: seat, value; area, value; row, record;
           field, value of the whole order

Returns  {"OK"}
         {"EVENT_NOT_FOUND"} {"NOT_OWNER"} {"LAYOUT_CHANGED"} {"SEAT_EXISTS", seat, ...}
         A refusal writes nothing.
]]
-- @include lib/event
-- @include lib/journal
local box = event.open(KEYS, ARGV[1])
local owner, known_version, layout, version, prices = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local map, available, blocked = ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9])
local added = ARGV[10]

if not box then
  return { "EVENT_NOT_FOUND" }
elseif owner ~= "" and owner ~= event.owner_id(box) then
  return { "NOT_OWNER" }
elseif redis.call("HGET", box.event, "layout_version") ~= known_version then
  return { "LAYOUT_CHANGED" }
end
local targets, there, at = { box.seats, box.areas, KEYS[11], KEYS[12] }, {}, 11
for target = 1, 2 do
  for i = at + 1, at + 2 * tonumber(ARGV[at]), 2 do
    if redis.call("HEXISTS", targets[target], ARGV[i]) == 1 then
      there[#there + 1] = ARGV[i]
    end
  end
  at = at + 1 + 2 * tonumber(ARGV[at])
end
if #there > 0 then
  return { "SEAT_EXISTS", unpack(there) }
end

-- Writes.
at = 11
for target = 1, 4 do
  for i = at + 1, at + 2 * tonumber(ARGV[at]), 2 do
    redis.call("HSET", targets[target], ARGV[i], ARGV[i + 1])
  end
  at = at + 1 + 2 * tonumber(ARGV[at])
end
redis.call("APPEND", box.map, map)
redis.call("SET", KEYS[10], layout)
redis.call("HSET", box.event, "layout_version", version, "prices", prices)
redis.call("HINCRBY", box.event, "capacity", available + blocked)
box.state.available = box.state.available + available
box.state.blocked = box.state.blocked + blocked
journal.event(box, "seats_added", cjson.encode({ known_version = known_version,
  layout_version = version, prices = prices }), added)
event.save(box)
return { "OK" }
