--[[
Add seats and areas to an event that may be on sale. Existing seats keep their index.

KEYS[1-9]  event seats map areas bookings deadlines customers ended journal
KEYS[10]   layout     string   gzipped JSON

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
ARGV[11]   seat count      1 to 2,000
ARGV[12...] seat, value pairs, then area, value pairs

Returns  {"OK"}
         {"EVENT_NOT_FOUND"} {"NOT_OWNER"} {"LAYOUT_CHANGED"} {"SEAT_EXISTS", seat, ...}
         A refusal writes nothing.
]]
-- @include lib/event
-- @include lib/journal
local box = event.open(KEYS, ARGV[1])
local owner, known_version, layout, version, prices = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local map, available, blocked = ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9])
local added, areas_from = ARGV[10], 12 + 2 * tonumber(ARGV[11])

if not box then
  return { "EVENT_NOT_FOUND" }
elseif owner ~= "" and owner ~= event.owner_id(box) then
  return { "NOT_OWNER" }
elseif redis.call("HGET", box.event, "layout_version") ~= known_version then
  return { "LAYOUT_CHANGED" }
end
local there = {}
for i = 12, #ARGV, 2 do
  local key = i < areas_from and box.seats or box.areas
  if redis.call("HEXISTS", key, ARGV[i]) == 1 then
    there[#there + 1] = ARGV[i]
  end
end
if #there > 0 then
  return { "SEAT_EXISTS", unpack(there) }
end

-- Writes.
for i = 12, #ARGV, 2 do
  redis.call("HSET", i < areas_from and box.seats or box.areas, ARGV[i], ARGV[i + 1])
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
