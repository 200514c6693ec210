--[[
What the provider says of a payment, other than that it succeeded: it takes days, it failed, it was
paid back, the customer disputes it.

A payment that takes days moves the deadline as far as the event's terms allow; one that fails then
leaves one hold TTL for another try. What is paid back is not owed any more, and a booking whose
payment is back in full is cancelled.

KEYS[1-9]  event seats map areas bookings deadlines customers ended journal
KEYS[10]   hold       string

ARGV[1]    now_ms     "" = Redis' own clock
ARGV[2]    ulid
ARGV[3]    what       processing, failed, refunded or disputed
ARGV[4]    payment    the provider's id of it; "" = not said
ARGV[5]    amount     of the payment; refunded: what is back by now, in total; "" = all of it
ARGV[6]    currency   "" = the booking's

Returns  {"OK", ulid, record, "new"}
         {"OK", ulid, record, "repeated"}   nothing to do: it is known, or came after its outcome
         {"TOO_MANY_PAYMENTS", kept_max, amount_minor, currency}   of this one
         {"EVENT_NOT_FOUND"} {"BOOKING_NOT_FOUND"}
         A refusal has written nothing.
]]
-- @include lib/event
-- @include lib/bookings
-- @include lib/payments
-- @include lib/updates
local box = event.open(KEYS, ARGV[1])
local hold_key, ulid, what = KEYS[10], ARGV[2], ARGV[3]

if not box then
  return { "EVENT_NOT_FOUND" }
end
local record, json = bookings.read(box, ulid, "")
if not record then
  return { "BOOKING_NOT_FOUND" }
end
local list = payments.of(ulid, record)
local payment = payments.new(box, ulid, record, { id = ARGV[4], source = "provider", note = "",
  amount = what ~= "refunded" and ARGV[5] or "", currency = ARGV[6] })
local known, is_unchecked = payments.known(list, payment)
if ARGV[4] == "" and not known and (what == "refunded" or what == "disputed") then
  known = list[#list]
end
local change = updates[what](box, record, known, payment, tonumber(ARGV[5]))
if not change then
  return { "OK", ulid, json, "repeated" }
elseif not known and #list >= payments.KEPT_MAX then
  return payments.too_many(payment)
end

-- Writes.
payments.keep(record, list)
local entry = known or payments.put(list, nil, payment, change.outcome)
if is_unchecked then
  payments.verify(record, list, entry, payment)
end
for name, value in pairs(change.entry) do
  entry[name] = value
end
if change.expires_at_ms then
  bookings.move_deadline(box, hold_key, ulid, record, change.expires_at_ms)
end
if entry.owed_minor then
  payments.owe(record, entry, entry.reason, record.refund_reason)
end
if change.cancels then
  payments.give_back(record, "refunded")
  local ending = { { ulid = ulid, record = record } }
  json = bookings.finish(box, "booking_cancelled", ending, "cancelled")[1]
else
  json = bookings.write(box, "payment_" .. what, ulid, record)
end
event.save(box)
return { "OK", ulid, json, "new" }
