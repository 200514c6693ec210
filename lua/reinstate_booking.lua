--[[
Give Redis back a confirmed booking that only Postgres remembers, if its places are still free.

It was paid when the purchase limit was asked, so the limit is not asked again.

KEYS[1-9]  event seats map areas bookings deadlines customers ended journal

ARGV[1]    now_ms     "" = Redis' own clock
ARGV[2]    ulid
ARGV[3]    record     JSON, status confirmed

Returns  {"OK", ulid, record, "new"}
         {"OK", ulid, record, "repeated"}   Redis has it, confirmed
         {"BOOKING_KNOWN", status}          Redis has it with another status
         {"EVENT_NOT_FOUND"} {"SEAT_NOT_FOUND", seat, ...} {"AREA_NOT_FOUND", area, ...}
         {"SEAT_TAKEN", seat, ...} {"AREA_FULL", area, ...}
         A refusal has written nothing.
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
local claim = claims.new(ulid, record.customer, bookings.seat_ids(record), bookings.areas(record))
local refusal = claims.check_seats(box, claim) or claims.check_areas(box, claim)
if refusal then
  return refusal
end

-- Writes.
claims.clear(box, claim)
claims.take(box, claim, "s", 0)
bookings.list_for_customer(box, ulid, record)
json = bookings.write(box, "booking_confirmed", ulid, record)
event.save(box)
return { "OK", ulid, json, "new" }
