--[[
Read how far an event has come, and which of its keys are missing.

A key is missing when the event hash or another key shows that it must exist: a server that evicts
keys, or an operator, has deleted it. Each check is one command whose cost does not grow with the
event; only the areas are read, which are few.

KEYS[1-9]  event seats map areas bookings deadlines customers ended journal
KEYS[10]   layout     string   gzipped JSON
KEYS[11]   rows       hash     records of rows, for lib/best
KEYS[12]   order      hash     stretches of the map, for lib/best

Returns  {"OK", epoch, position, sales, name of a missing key, ...}
         {"EVENT_NOT_FOUND"}
]]
local row = redis.call("HMGET", KEYS[1], "epoch", "position", "sales", "available", "held", "sold",
  "blocked")
if not (row[1] and row[2] and row[3]) then
  return { "EVENT_NOT_FOUND" }
end
local held, sold = tonumber(row[5]), tonumber(row[6])
local place_count = tonumber(row[4]) + held + sold + tonumber(row[7])
local seat_count = redis.call("HLEN", KEYS[2])
local standing_count = 0
for _, area in ipairs(redis.call("HVALS", KEYS[4])) do
  standing_count = standing_count + tonumber(string.match(area, "^(%d+),"))
end

local reply = { "OK", row[1], row[2], row[3] }
local function expect(name, key)
  if redis.call("EXISTS", key) == 0 then
    reply[#reply + 1] = name
  end
end
if standing_count < place_count then
  expect("seats", KEYS[2])
end
if seat_count < place_count then
  expect("areas", KEYS[4])
end
if standing_count < place_count or seat_count > 0 then
  expect("map", KEYS[3])
end
if held + sold > 0 then
  expect("bookings", KEYS[5])
  expect("customers", KEYS[7])
end
if held > 0 then
  expect("deadlines", KEYS[6])
end
expect("journal", KEYS[9])
expect("layout", KEYS[10])
expect("order", KEYS[12])
if redis.call("HLEN", KEYS[11]) ~= tonumber(redis.call("HGET", KEYS[12], "rows") or 0) then
  reply[#reply + 1] = "rows"
end
return reply
