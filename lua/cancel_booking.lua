--[[
Cancel a confirmed booking: its places become available, and the record says what to refund.

KEYS[1-9]  event seats map areas bookings deadlines customers ended journal

ARGV[1]    now_ms     "" = the clock of Redis
ARGV[2]    ulid
ARGV[3]    customer   the booking must be this customer's; "" = not checked

Returns  {"OK", ulid, record, "new"}
         {"OK", ulid, record, "repeated"}   the booking was cancelled before
         {"EVENT_NOT_FOUND"} {"BOOKING_NOT_FOUND"} {"BOOKING_EXPIRED"} {"BOOKING_RELEASED"}
         {"NOT_CONFIRMED"}
         A refusal writes nothing.
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
