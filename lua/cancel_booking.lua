--[[
Undo a confirmed booking: its places are available again, and what bought them is owed.

A customer may do so until the time that the event's terms name, the organiser always.

KEYS[1-9]  event seats map areas bookings deadlines customers ended journal

ARGV[1]    now_ms     "" = Redis' own clock
ARGV[2]    ulid
ARGV[3]    caller     the customer or the event's organiser; "" = anybody

Returns  {"OK", ulid, record, "new"}
         {"OK", ulid, record, "repeated"}   it was cancelled before
         {"CANCEL_CLOSED", until_ms}        no customer cancels (any more); no time: none ever does
         {"EVENT_NOT_FOUND"} {"BOOKING_NOT_FOUND"} {"BOOKING_EXPIRED"} {"BOOKING_RELEASED"}
         {"NOT_CONFIRMED"}
         A refusal has written nothing.
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
local by_organiser = caller == "" or caller == box.is.owner_id
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
record.payments = payments.of(ulid, record)
payments.give_back(record, "cancelled")
local ending = { { ulid = ulid, record = record } }
json = bookings.finish(box, "booking_cancelled", ending, "cancelled")[1]
event.save(box)
return { "OK", ulid, json, "new" }
