--[[
Move the deadline of a pending booking to one hold TTL from now, at most `hold_max_ms` after the
booking was held.

KEYS[1-9]  event seats map areas bookings deadlines customers ended journal
KEYS[10]   hold       string

ARGV[1]    now_ms     "" = the clock of Redis
ARGV[2]    ulid
ARGV[3]    customer   the booking must be this customer's; "" = not checked

Returns  {"OK", ulid, record, "new"}
         {"EXTEND_LIMIT", expires_at_ms}   the deadline cannot move further
         {"EVENT_NOT_FOUND"} {"BOOKING_NOT_FOUND"} {"BOOKING_EXPIRED"} {"BOOKING_RELEASED"}
         {"BOOKING_CANCELLED"} {"ALREADY_CONFIRMED"}
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
local record = bookings.read(box, ulid, customer)
local refusal = refusals.not_pending(record)
if refusal then
  return refusal
elseif record.expires_at_ms <= box.now_ms then
  return { "BOOKING_EXPIRED" }
end
local expires_at_ms = math.min(box.now_ms + box.state.hold_ttl_ms,
  record.held_at_ms + event.terms(box).hold_max_ms)
if expires_at_ms <= record.expires_at_ms then
  return { "EXTEND_LIMIT", tostring(record.expires_at_ms) }
end

-- Writes.
bookings.move_deadline(box, hold_key, ulid, record, expires_at_ms)
local json = bookings.write(box, "booking_extended", ulid, record)
event.save(box)
return { "OK", ulid, json, "new" }
