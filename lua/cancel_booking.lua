--[[
Undo a confirmed booking: its places are available again, and what was paid is to be refunded.

KEYS[1-9]  event seats map areas bookings deadlines customers ended journal

ARGV[1]    now_ms     "" = Redis' own clock
ARGV[2]    ulid
ARGV[3]    customer   "" = anybody's booking

Returns  {"OK", ulid, record, "new"}
         {"OK", ulid, record, "repeated"}   it was cancelled before
         {"EVENT_NOT_FOUND"} {"BOOKING_NOT_FOUND"} {"BOOKING_EXPIRED"} {"BOOKING_RELEASED"}
         {"NOT_CONFIRMED"}
         A refusal has written nothing.
]]
-- @include lib/event
-- @include lib/bookings
-- @include lib/refusals
local box = event.open(KEYS, ARGV[1])
local ulid, customer = ARGV[2], ARGV[3]

if not box then
  return { "EVENT_NOT_FOUND" }
end
local record, json = bookings.read(box, ulid, customer)
if record and record.status == "cancelled" then
  return { "OK", ulid, json, "repeated" }
elseif record and record.status == "pending" then
  return { "NOT_CONFIRMED" }
elseif not record or record.status ~= "confirmed" then
  return refusals.not_pending(record)
end
if record.amount_minor > 0 then
  record.refund_minor, record.refund_reason = record.amount_minor, "cancelled"
end

-- Writes.
local ending = { { ulid = ulid, record = record } }
json = bookings.finish(box, "booking_cancelled", ending, "cancelled")[1]
event.save(box)
return { "OK", ulid, json, "new" }
