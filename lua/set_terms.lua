--[[
Change terms of an event: its sales and their window, when it begins, how it is paid and cancelled.

KEYS[1-9]  event seats map areas bookings deadlines customers ended journal

ARGV[1]    now_ms         "" = the clock of Redis
ARGV[2]    owner          the event must belong to this organiser; "" = not checked
ARGV[3]    if_match       the event must be at one of these versions; "" = not checked
ARGV[4]    if_none_match  it must be at none of these; "" = not checked
                          each version `<epoch>-<position>`, between spaces; " * " = every version
ARGV[5..]  field, value pairs of the event hash: sales opens_at_ms closes_at_ms starts_at_ms
           time_zone cancel_until_ms late_payment payment_max_ms single_seats
           accessible_release_at_ms; 0 or "" = not set

Returns  {"OK"}
         {"EVENT_NOT_FOUND"} {"NOT_OWNER"}
         {"PRECONDITION_FAILED"}              if_match or if_none_match
         {"TERMS_CONTRADICT", field, other}   lib/terms has the rules
         A refusal writes nothing.
]]
-- @include lib/event
-- @include lib/terms
-- @include lib/journal
local FIELDS = { "sales", "opens_at_ms", "closes_at_ms", "starts_at_ms", "time_zone",
  "cancel_until_ms", "late_payment", "payment_max_ms", "single_seats", "accessible_release_at_ms" }
local DEFAULTS = { starts_at_ms = "0", time_zone = "", cancel_until_ms = "0",
  late_payment = "confirm", payment_max_ms = "0", single_seats = "avoid",
  accessible_release_at_ms = "0" }

local box = event.open(KEYS, ARGV[1])
local owner, if_match, if_none_match = ARGV[2], ARGV[3], ARGV[4]

local function has(versions, version)
  return versions == " * " or string.find(versions, " " .. version .. " ", 1, true)
end

if not box then
  return { "EVENT_NOT_FOUND" }
elseif owner ~= "" and owner ~= event.owner_id(box) then
  return { "NOT_OWNER" }
end
local version = box.state.epoch .. "-" .. redis.call("HGET", box.event, "position")
if if_match ~= "" and not has(if_match, version) or has(if_none_match, version) then
  return { "PRECONDITION_FAILED" }
end
local stored = redis.call("HMGET", box.event, unpack(FIELDS))
local wanted, changed = { hold_ttl_ms = box.state.hold_ttl_ms }, {}
for i, field in ipairs(FIELDS) do
  wanted[field] = stored[i] or DEFAULTS[field]  -- an older release may have loaded the event
end
for i = 5, #ARGV, 2 do
  wanted[ARGV[i]], changed[ARGV[i]] = ARGV[i + 1], true
end
local refusal = terms.contradiction(wanted, changed)
if refusal then
  return refusal
end

-- Writes.
local after = {}
for _, field in ipairs(FIELDS) do
  after[field] = wanted[field]
  redis.call("HSET", box.event, field, wanted[field])
end
journal.event(box, "terms_set", cjson.encode(after))
event.save(box)
return { "OK" }
