--[[
Put a staged event in place, atomically.

The seats are gathered in a staging hash first, so a load of any size does not block the server for
long, and an interrupted load leaves no partial event.

KEYS[1-9]  event seats map areas bookings deadlines customers ended journal
KEYS[10]   staged     hash     seat -> value; renamed to the seats key
KEYS[11]   layout     string   gzipped JSON

ARGV[1]    now_ms     "" = the clock of Redis
ARGV[2]    mode       "new", or "replace" an event that has nothing held or sold; the owner stays
ARGV[3]    seat count that must be staged
ARGV[4]    map
ARGV[5]    layout
ARGV[6]    field count
ARGV[7...] field, value pairs of the event hash, then area, value pairs

Returns  {"OK"}
         {"EVENT_EXISTS"} {"EVENT_IN_USE", held, sold} {"LOAD_INCOMPLETE", staged}
         {"TERMS_CONTRADICT", field, other}   lib/terms has the rules
         A refusal writes nothing.
]]
-- @include lib/event
-- @include lib/terms
-- @include lib/journal
local staged_key, layout_key = KEYS[10], KEYS[11]
local mode, seat_count, map, layout = ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local areas_from = 7 + 2 * tonumber(ARGV[6])

local old = event.open(KEYS, ARGV[1])
if old and mode ~= "replace" then
  return { "EVENT_EXISTS" }
elseif old and old.state.held + old.state.sold > 0 then
  return { "EVENT_IN_USE", tostring(old.state.held), tostring(old.state.sold) }
end
local staged = redis.call("HLEN", staged_key)
if staged ~= seat_count then
  return { "LOAD_INCOMPLETE", tostring(staged) }
end
local settings = {}
for i = 7, areas_from - 1, 2 do
  settings[ARGV[i]] = ARGV[i + 1]
end
if old then
  settings.owner_id = event.owner_id(old)
end
local refusal = terms.contradiction(settings, settings)
if refusal then
  return refusal
end

-- Writes.
redis.call("DEL", KEYS[2], KEYS[3], KEYS[4])
redis.call("HSET", KEYS[1], unpack(ARGV, 7, areas_from - 1))
redis.call("HSET", KEYS[1], "owner_id", settings.owner_id)
redis.call("HSETNX", KEYS[1], "epoch", 1)
if seat_count > 0 then
  redis.call("RENAME", staged_key, KEYS[2])
  redis.call("PERSIST", KEYS[2])  -- RENAME keeps the TTL of the staging key
  redis.call("SET", KEYS[3], map)
end
for i = areas_from, #ARGV, 2 do
  redis.call("HSET", KEYS[4], ARGV[i], ARGV[i + 1])
end
redis.call("SET", layout_key, layout)
local box = event.open(KEYS, ARGV[1])
redis.call("HSET", box.event, "loaded_at_ms", box.now_ms)
settings.loaded_at_ms = tostring(box.now_ms)
journal.event(box, "event_loaded", cjson.encode(settings), layout)
event.save(box)
return { "OK" }
