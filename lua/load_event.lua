--[[
Put a staged event in place, atomically.

The seats are gathered in a staging hash first, so a load of any size does not block the server for
long, and an interrupted load leaves no partial event.

KEYS[1-9]  event seats map areas bookings deadlines customers ended journal
KEYS[10]   layout     string   gzipped JSON
KEYS[11]   rows       hash     records of rows, for lib/best
KEYS[12]   order      hash     stretches of the map, for lib/best
KEYS[13-15] staged    hash     seats, rows and order; renamed to their keys

ARGV[1]    now_ms     "" = the clock of Redis
ARGV[2]    mode       "new", or "replace" an event that has nothing held or sold; the owner stays
ARGV[3-5]  how many must be staged: seats, rows, fields of the order
ARGV[6]    map
ARGV[7]    layout
ARGV[8]    field count
ARGV[9...] field, value pairs of the event hash, then area, value pairs

Returns  {"OK"}
         {"EVENT_EXISTS"} {"EVENT_IN_USE", held, sold}
         {"LOAD_INCOMPLETE", staged}        of the first staging key with the wrong count
         {"TERMS_CONTRADICT", field, other}   lib/terms has the rules
         A refusal writes nothing.
]]
-- @include lib/event
-- @include lib/terms
-- @include lib/journal
local mode, map, layout = ARGV[2], ARGV[6], ARGV[7]
local areas_from = 9 + 2 * tonumber(ARGV[8])
local place = { KEYS[2], KEYS[11], KEYS[12] }

local old = event.open(KEYS, ARGV[1])
if old and mode ~= "replace" then
  return { "EVENT_EXISTS" }
elseif old and old.state.held + old.state.sold > 0 then
  return { "EVENT_IN_USE", tostring(old.state.held), tostring(old.state.sold) }
end
for i = 1, 3 do
  local staged = redis.call("HLEN", KEYS[12 + i])
  if staged ~= tonumber(ARGV[2 + i]) then
    return { "LOAD_INCOMPLETE", tostring(staged) }
  end
end
local settings = {}
for i = 9, areas_from - 1, 2 do
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
redis.call("DEL", KEYS[2], KEYS[3], KEYS[4], KEYS[11], KEYS[12])
redis.call("HSET", KEYS[1], unpack(ARGV, 9, areas_from - 1))
redis.call("HSET", KEYS[1], "owner_id", settings.owner_id)
redis.call("HSETNX", KEYS[1], "epoch", 1)
for i = 1, 3 do
  if ARGV[2 + i] ~= "0" then
    redis.call("RENAME", KEYS[12 + i], place[i])
    redis.call("PERSIST", place[i])  -- RENAME keeps the TTL of the staging key
  end
end
if map ~= "" then
  redis.call("SET", KEYS[3], map)
end
for i = areas_from, #ARGV, 2 do
  redis.call("HSET", KEYS[4], ARGV[i], ARGV[i + 1])
end
redis.call("SET", KEYS[10], layout)
local box = event.open(KEYS, ARGV[1])
redis.call("HSET", box.event, "loaded_at_ms", box.now_ms)
settings.loaded_at_ms = tostring(box.now_ms)
journal.event(box, "event_loaded", cjson.encode(settings), layout)
event.save(box)
return { "OK" }
