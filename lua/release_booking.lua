--[[
Release a pending booking that the customer gives up: its places become available.

KEYS[1-9]  event seats map areas bookings deadlines customers ended journal
KEYS[10]   hold       string

ARGV[1]    now_ms     "" = the clock of Redis
ARGV[2]    ulid
ARGV[3]    customer   the booking must be this customer's; "" = not checked

Returns  {"OK", ulid, record, "new"}
         {"OK", ulid, record, "repeated"}   the booking was released before
         {"EVENT_NOT_FOUND"} {"BOOKING_NOT_FOUND"} {"BOOKING_EXPIRED"} {"BOOKING_CANCELLED"}
         {"ALREADY_CONFIRMED"}
         A refusal writes nothing.
]]
-- @include lib/event
-- @include lib/bookings
-- @include lib/refusals
local box = event.open(KEYS, ARGV[1])
local hold_key, ulid, customer = KEYS[10], ARGV[2], ARGV[3]

if not box then
  return { "EVENT_NOT_FOUND" }
end
local record, json = bookings.read(box, ulid, customer)
if record and record.status == "released" then
  return { "OK", ulid, json, "repeated" }
end
local refusal = refusals.not_pending(record)
if refusal then
  return refusal
end

-- Writes.
local ending = { { ulid = ulid, record = record } }
json = bookings.finish(box, "booking_released", ending, "released")[1]
redis.call("DEL", hold_key)
event.save(box)
return { "OK", ulid, json, "new" }
