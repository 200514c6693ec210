--[[
Replace an event with its restored state, atomically. The event stays fenced.

Everything is gathered in staging keys first, the new journal with its consumer group included. A
restore of any size does not block the server for long, and a killed restore leaves the event as it
was.

KEYS[1-9]    event seats map areas bookings deadlines customers ended journal
KEYS[10]     layout     string   gzipped JSON
KEYS[11]     rows       hash     records of rows, for lib/best
KEYS[12]     order      hash     stretches of the map, for lib/best
KEYS[13-19]  staged     seats rows order bookings customers ended journal

ARGV[1]    now_ms     "" = the clock of Redis
ARGV[2]    restore    ULID of the restore
ARGV[3-9]  how many must be staged, of each
ARGV[10]   map
ARGV[11]   layout
ARGV[12]   field count
ARGV[13..] field, value pairs of the event hash, then area, value pairs

Returns  {"OK"}
         {"RESTORE_SUPERSEDED"}        another restore took over
         {"LOAD_INCOMPLETE", count}    of the first staging key with the wrong count
         A refusal writes nothing.
]]
local event_key, map_key, areas_key, layout_key = KEYS[1], KEYS[3], KEYS[4], KEYS[10]
local restore, map, layout = ARGV[2], ARGV[10], ARGV[11]
local areas_from = 13 + 2 * tonumber(ARGV[12])
local place = { KEYS[2], KEYS[11], KEYS[12], KEYS[5], KEYS[7], KEYS[8], KEYS[9] }
local count = { "HLEN", "HLEN", "HLEN", "HLEN", "ZCARD", "ZCARD", "XLEN" }

if redis.call("HGET", event_key, "restore") ~= restore then
  return { "RESTORE_SUPERSEDED" }
end
for i = 1, #place do
  local staged = redis.call(count[i], KEYS[12 + i])
  if staged ~= tonumber(ARGV[2 + i]) then
    return { "LOAD_INCOMPLETE", tostring(staged) }
  end
end

-- Writes.
redis.call("UNLINK", KEYS[11], KEYS[12], unpack(KEYS, 1, 9))
redis.call("HSET", event_key, "restore", restore, unpack(ARGV, 13, areas_from - 1))
for i = 1, #place do
  if ARGV[2 + i] ~= "0" then
    redis.call("RENAME", KEYS[12 + i], place[i])
    redis.call("PERSIST", place[i])  -- RENAME keeps the TTL of the staging key
  end
end
redis.call("SET", map_key, map)
for i = areas_from, #ARGV, 2 do
  redis.call("HSET", areas_key, ARGV[i], ARGV[i + 1])
end
redis.call("SET", layout_key, layout)
return { "OK" }
