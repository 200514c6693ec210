--[[
Cancel a confirmed booking: its places become available, and the payment that bought them is owed.

A customer can cancel until the time that the event names, the organiser always.

KEYS[1-9]  event seats map areas bookings deadlines customers ended journal

ARGV[1]    now_ms     "" = the clock of Redis
ARGV[2]    ulid
ARGV[3]    caller     the customer of the booking or the owner of the event; "" = not checked

Returns  {"OK", ulid, record, "new"}
         {"OK", ulid, record, "repeated"}   the booking was cancelled before
         {"CANCEL_CLOSED", until_ms}        only the organiser can cancel; no time: always so
         {"EVENT_NOT_FOUND"} {"BOOKING_NOT_FOUND"} {"BOOKING_EXPIRED"} {"BOOKING_RELEASED"}
         {"NOT_CONFIRMED"}
         A refusal writes nothing.
]]
-- @include lib/event
-- @include lib/bookings
-- @include lib/payments
-- @include lib/refusals
local box = event.open(KEYS, ARGV[1])
local ulid, caller = ARGV[2], ARGV[3]

if not box then
  return { "EVENT_NOT_FOUND" }
end
local by_organiser = caller == "" or caller == event.owner_id(box)
local record, json = bookings.read(box, ulid, by_organiser and "" or caller)
if record and record.status == "cancelled" then
  return { "OK", ulid, json, "repeated" }
elseif record and record.status == "pending" then
  return { "NOT_CONFIRMED" }
elseif not record or record.status ~= "confirmed" then
  return refusals.not_pending(record)
end
local until_ms = event.terms(box).cancel_until_ms
if not by_organiser and box.now_ms >= until_ms then
  return { "CANCEL_CLOSED", until_ms > 0 and string.format("%.0f", until_ms) or nil }
end

-- Writes.
payments.keep(record, payments.of(ulid, record))
payments.give_back(record, "cancelled")
local ending = { { ulid = ulid, record = record } }
json = bookings.finish(box, "booking_cancelled", ending, "cancelled")[1]
event.save(box)
return { "OK", ulid, json, "new" }
