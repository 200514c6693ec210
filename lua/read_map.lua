--[[
Read the counts, map and areas of an event at one journal position.

KEYS[1-9]  event seats map areas bookings deadlines customers ended journal

ARGV[1]    position   journal position of the copy the caller has; "" = none

Returns  {"OK", position, layout_version, sales, opens_at_ms, closes_at_ms,
           available, held, sold, blocked, map, area, value, ...}
         {"OK"}                  nothing has changed since that position
         {"EVENT_NOT_FOUND"}
]]
local event_key, map_key, areas_key = KEYS[1], KEYS[3], KEYS[4]
local row = redis.call("HMGET", event_key, "position", "layout_version", "sales", "opens_at_ms",
  "closes_at_ms", "available", "held", "sold", "blocked")
if not row[1] then
  return { "EVENT_NOT_FOUND" }
elseif row[1] == ARGV[1] then
  return { "OK" }
end
local reply = { "OK", unpack(row) }
reply[#reply + 1] = redis.call("GET", map_key) or ""
for _, text in ipairs(redis.call("HGETALL", areas_key)) do
  reply[#reply + 1] = text
end
return reply
