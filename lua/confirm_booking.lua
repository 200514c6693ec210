--[[
Record the payment of a booking: its places are sold.

A payment after the deadline gets the same places if they are still free, otherwise exactly one
refund obligation. It never takes a seat from another booking. The purchase limit is checked again,
so that a late payment cannot exceed it.

KEYS[1-9]  event seats map areas bookings deadlines customers ended journal
KEYS[10]   hold       string

ARGV[1]    now_ms     "" = the clock of Redis
ARGV[2]    ulid
ARGV[3]    customer   the booking must be this customer's; "" = not checked
ARGV[4]    amount     amount paid, in minor units; "" = not checked
ARGV[5]    currency   currency of the payment; "" = not checked

Returns  {"OK", ulid, record, "new", late_ms, ...}   late_ms: one number per hold expired here
         {"OK", ulid, record, "repeated"}            the booking was confirmed before
         {"REFUND_DUE", amount_minor, reason}        written to the record and the journal
         {"AMOUNT_DIFFERS", amount_minor, currency}  what the booking costs
         {"EVENT_NOT_FOUND"} {"BOOKING_NOT_FOUND"} {"BOOKING_CANCELLED"}
         A refusal writes nothing, except the first REFUND_DUE of a booking.
]]
-- @include lib/event
-- @include lib/seats
-- @include lib/bookings
-- @include lib/claims
local box = event.open(KEYS, ARGV[1])
local hold_key, ulid, customer = KEYS[10], ARGV[2], ARGV[3]
local paid, currency = tonumber(ARGV[4]), ARGV[5]

if not box then
  return { "EVENT_NOT_FOUND" }
end
local record, json = bookings.read(box, ulid, customer)
if not record then
  return { "BOOKING_NOT_FOUND" }
elseif paid and paid ~= record.amount_minor
  or currency ~= "" and currency ~= record.currency then
  return { "AMOUNT_DIFFERS", string.format("%.0f", record.amount_minor), record.currency }
elseif record.status == "confirmed" then
  return { "OK", ulid, json, "repeated" }
elseif record.status == "cancelled" then
  return { "BOOKING_CANCELLED" }
elseif record.refund_minor then
  return { "REFUND_DUE", tostring(record.refund_minor), record.refund_reason }
end

local in_time = record.status == "pending" and box.now_ms < record.expires_at_ms
local claim = claims.new(ulid, record.customer, bookings.seat_ids(record), bookings.areas(record))
local refusal
if in_time then
  claim.seat_rows = bookings.own_seats(box, ulid, record)
else
  claim.overdue[ulid] = record.status == "pending" and record or nil
  refusal = claims.refusal(box, claim)
end

-- Writes.
local late_ms = {}
if refusal then
  if record.status == "pending" then
    bookings.finish(box, "booking_expired", { { ulid = ulid, record = record } }, "expired")
  end
  record.refund_minor, record.refund_reason = record.amount_minor, string.lower(refusal[1])
  redis.call("ZADD", box.ended, box.now_ms + box.is.ended_ttl_ms, ulid)
  bookings.write(box, "refund_due", ulid, record)
  event.save(box)
  return { "REFUND_DUE", tostring(record.refund_minor), record.refund_reason }
elseif in_time then
  seats.put(box, claim.seat_rows, "s", ulid, 0)
  for _, area in ipairs(claim.areas) do
    areas.move(box, area.id, "held", "sold", area.quantity)
  end
  event.move(box, "held", "sold", claim.places)
  redis.call("ZREM", box.deadlines, ulid)
else
  late_ms = claims.clear(box, claim)
  claims.take(box, claim, "s", 0)
  redis.call("ZREM", box.ended, ulid)
  bookings.list_for_customer(box, ulid, record)
  record.ended_at_ms, record.late = nil, true
end
redis.call("DEL", hold_key)
record.status, record.confirmed_at_ms = "confirmed", box.now_ms
json = bookings.write(box, "booking_confirmed", ulid, record)
event.save(box)
return { "OK", ulid, json, "new", unpack(late_ms) }
