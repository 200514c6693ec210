--[[
Reinstate a confirmed booking that Redis lost and Postgres has, if its places are still free.

The purchase limit is not checked again: it was checked before the booking was paid.

KEYS[1-9]  event seats map areas bookings deadlines customers ended journal

ARGV[1]    now_ms     "" = the clock of Redis
ARGV[2]    ulid
ARGV[3]    record     JSON, status confirmed

Returns  {"OK", ulid, record, "new"}
         {"OK", ulid, record, "repeated"}   Redis has the booking, confirmed
         {"BOOKING_KNOWN", status}          Redis has the booking with another status
         {"EVENT_NOT_FOUND"} {"SEAT_NOT_FOUND", seat, ...} {"AREA_NOT_FOUND", area, ...}
         {"SEAT_TAKEN", seat, ...} {"AREA_FULL", area, ...}
         A refusal writes nothing.
]]
-- @include lib/event
-- @include lib/bookings
-- @include lib/claims
local box = event.open(KEYS, ARGV[1])
local ulid, record = ARGV[2], cjson.decode(ARGV[3])

if not box then
  return { "EVENT_NOT_FOUND" }
end
local known, json = bookings.read(box, ulid, "")
if known and known.status == "confirmed" then
  return { "OK", ulid, json, "repeated" }
elseif known then
  return { "BOOKING_KNOWN", known.status }
end
local claim = claims.new(ulid, record.customer, record.seats, record.areas)
local refusal = claims.check_seats(box, claim) or claims.check_areas(box, claim)
if refusal then
  return refusal
end

-- Writes.
claims.clear(box, claim)
claims.sell(box, claim)
bookings.list_for_customer(box, ulid, record)
json = bookings.write(box, "booking_confirmed", ulid, record)
event.save(box)
return { "OK", ulid, json, "new" }
