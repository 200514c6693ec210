--[[
Record a payment of a booking: its places are sold, once; every other payment of it is owed.

A payment after the deadline gets the same places if they are still free and the terms of the event
allow it. It never takes a seat from another booking. The purchase limit is checked again, so that
a late payment cannot exceed it. A payment that buys nothing is recorded and owed in every state.

KEYS[1-9]  event seats map areas bookings deadlines customers ended journal
KEYS[10]   hold       string

ARGV[1]    now_ms     "" = the clock of Redis
ARGV[2]    ulid
ARGV[3]    caller     the booking must be this customer's, for box_office the event this owner's;
                      "" = not checked
ARGV[4]    payment    the provider's id of the payment; "" = the one payment of this source
ARGV[5]    amount     amount paid, in minor units; "" = the price of the booking
ARGV[6]    currency   currency of the payment; "" = the currency of the booking
ARGV[7]    source     provider, box_office, unchecked (the customer alone says so) or free (the
                      same, and only for a booking that costs nothing)
ARGV[8]    note       of the box office; "" = none

Returns  {"OK", ulid, record, "new", late_ms, ...}   late_ms: one number per hold expired here
         {"OK", ulid, record, "repeated"}            this payment confirmed the booking before
         {"REFUND_DUE", owed_minor, reason}          too late; owed
         {"PAID_TWICE", owed_minor, currency}        another payment bought the booking; owed
         {"AMOUNT_DIFFERS", amount_minor, currency}  what the booking costs; what was paid is owed
         {"BOOKING_CANCELLED"}                       owed
         {"PAYMENT_REFUNDED"}                        it was paid back before
         {"TOO_MANY_PAYMENTS", kept_max, amount_minor, currency}   of this one; nothing is written
         {"EVENT_NOT_FOUND"} {"BOOKING_NOT_FOUND"} {"NOT_OWNER"} {"PAYMENT_BY_PROVIDER"}
         A known payment gets the same reply each time, and nothing is written.
]]
-- @include lib/event
-- @include lib/bookings
-- @include lib/claims
-- @include lib/payments
local box = event.open(KEYS, ARGV[1])
local hold_key, ulid, caller, source = KEYS[10], ARGV[2], ARGV[3], ARGV[7]

if not box then
  return { "EVENT_NOT_FOUND" }
elseif source == "box_office" and caller ~= "" and caller ~= event.owner_id(box) then
  return { "NOT_OWNER" }
end
local record, json = bookings.read(box, ulid, source == "box_office" and "" or caller)
if not record then
  return { "BOOKING_NOT_FOUND" }
elseif source == "free" and record.amount_minor > 0 then
  return { "PAYMENT_BY_PROVIDER" }
end
local list = payments.of(ulid, record)
local payment = payments.new(box, ulid, record,
  { id = ARGV[4], amount = ARGV[5], currency = ARGV[6], source = source, note = ARGV[8] })
local known, is_unchecked = payments.known(list, payment)
local is_judged = known and not payments.OPEN[known.outcome]
if is_judged and not is_unchecked then
  return payments.answer(known, ulid, record, json)
elseif known and (known.refunded_minor or 0) >= math.max(payment.amount_minor, 1) then
  return { "PAYMENT_REFUNDED" }
elseif not known and #list >= payments.KEPT_MAX then
  return payments.too_many(payment)
end

local in_time = record.status == "pending" and box.now_ms < record.expires_at_ms
local claim = claims.new(ulid, record.customer, record.seats, record.areas)
local outcome, refusal = payments.obstacle(record, payment), nil
if not outcome and in_time then
  outcome, claim.seat_rows = "confirmed", bookings.own_seats(box, ulid, record)
elseif not outcome then
  claim.overdue = record.status == "pending" and { [ulid] = record } or nil
  refusal = event.late_refusal(box) or claims.refusal(box, claim)
  outcome = refusal and "refund_due" or "late_confirmed"
end

-- Writes.
if is_judged then
  payments.verify(record, list, known, payment)
  json = bookings.write(box, "payment_verified", ulid, record)
  event.save(box)
  return payments.answer(known, ulid, record, json)
end
local late_ms = {}
if outcome == "late_confirmed" then
  late_ms = claims.clear(box, claim)
elseif refusal then
  bookings.end_overdue(box, ulid, record)
end
record.payments = list
local entry = payments.put(list, known, payment, outcome)
if not payments.BUYS[outcome] then
  payments.owe(record, entry, refusal and string.lower(refusal[1]) or outcome)
  bookings.write_owed(box, ulid, record)
  event.save(box)
  return payments.answer(entry, ulid, record)
elseif in_time then
  bookings.sell_held(box, ulid, claim)
else
  claims.sell_late(box, claim, record)
end
redis.call("DEL", hold_key)
record.status, record.confirmed_at_ms = "confirmed", box.now_ms
json = bookings.write(box, "booking_confirmed", ulid, record)
event.save(box)
return { "OK", ulid, json, "new", unpack(late_ms) }
