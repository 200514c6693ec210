--[[
Open, pause or close the sales of an event, or move its sales window.

KEYS[1-9]  event seats map areas bookings deadlines customers ended journal

ARGV[1]    now_ms        "" = the clock of Redis
ARGV[2]    owner         the event must belong to this organiser; "" = not checked
ARGV[3]    sales         open, paused or closed; "" = unchanged
ARGV[4]    opens_at_ms   "" = unchanged
ARGV[5]    closes_at_ms  "" = unchanged; 0 = never

Returns  {"OK"}
         {"EVENT_NOT_FOUND"} {"NOT_OWNER"}   nothing was written
]]
-- @include lib/event
-- @include lib/journal
local box = event.open(KEYS, ARGV[1])
local owner = ARGV[2]

if not box then
  return { "EVENT_NOT_FOUND" }
elseif owner ~= "" and owner ~= box.is.owner_id then
  return { "NOT_OWNER" }
end
-- "%.0f": `tostring` would write a number of more than 14 digits with an exponent.
local change = {
  sales = ARGV[3] ~= "" and ARGV[3] or box.is.sales,
  opens_at_ms = ARGV[4] ~= "" and ARGV[4] or string.format("%.0f", box.is.opens_at_ms),
  closes_at_ms = ARGV[5] ~= "" and ARGV[5] or string.format("%.0f", box.is.closes_at_ms),
}

-- Writes.
redis.call("HSET", box.event, "sales", change.sales, "opens_at_ms", change.opens_at_ms,
  "closes_at_ms", change.closes_at_ms)
journal.event(box, "sales_set", cjson.encode(change))
event.save(box)
return { "OK" }
