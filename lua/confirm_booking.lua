--[[
A booking is paid: its places are sold, once, and every other payment for it is owed.

A payment that comes late gets the same places if they are still free and the event's terms allow
it. It never takes a seat from its new owner, and a customer at the purchase limit cannot pass it
by paying late. A payment that buys nothing is recorded and owed: whatever the state of the booking.

KEYS[1-9]  event seats map areas bookings deadlines customers ended journal
KEYS[10]   hold       string

ARGV[1]    now_ms     "" = Redis' own clock
ARGV[2]    ulid
ARGV[3]    caller     "" = anybody's booking; box_office: the organiser
ARGV[4]    payment    the provider's id of it; "" = the one of this source
ARGV[5]    amount     what was paid, in minor units; "" = what the booking costs
ARGV[6]    currency   "" = the booking's
ARGV[7]    source     provider, box_office, unchecked (a customer's word) or free (a customer's
                      word that counts only where nothing is to be paid)
ARGV[8]    note       of the box office; "" = none

Returns  {"OK", ulid, record, "new", late_ms, ...}   late_ms: one for each hold expired on the way
         {"OK", ulid, record, "repeated"}            this payment confirmed it before
         {"REFUND_DUE", owed_minor, reason}          too late; owed
         {"PAID_TWICE", owed_minor, currency}        another payment confirmed it; owed
         {"AMOUNT_DIFFERS", amount_minor, currency}  of the booking; what was paid is owed
         {"BOOKING_CANCELLED"}                       owed, unless it is the payment that is owed
         {"PAYMENT_REFUNDED"}                        it went back before it was announced
         {"TOO_MANY_PAYMENTS", kept_max, amount_minor, currency}   of this one; nothing was written
         {"EVENT_NOT_FOUND"} {"BOOKING_NOT_FOUND"} {"NOT_OWNER"} {"PAYMENT_BY_PROVIDER"}
         A payment that is known is answered as the first time, and nothing is written.
]]
-- @include lib/event
-- @include lib/bookings
-- @include lib/claims
-- @include lib/payments
local box = event.open(KEYS, ARGV[1])
local hold_key, ulid, caller, source = KEYS[10], ARGV[2], ARGV[3], ARGV[7]

if not box then
  return { "EVENT_NOT_FOUND" }
elseif source == "box_office" and caller ~= "" and caller ~= box.is.owner_id then
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
local claim = claims.new(ulid, record.customer, bookings.seat_ids(record), bookings.areas(record))
local outcome, refusal = payments.obstacle(record, payment), nil
if not outcome and in_time then
  outcome, claim.seat_rows = "confirmed", bookings.own_seats(box, ulid, record)
elseif not outcome then
  claim.overdue[ulid] = record.status == "pending" and record or nil
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
