-- @include lib/event
-- @include lib/bookings
-- What was paid for a booking: `payments` in its record, one entry for each payment. An entry says
-- what came of the payment (`outcome`), how much must go back (`owed_minor`, `reason`) and how much
-- the provider has paid back (`refunded_minor`): every cent is for the places, owed, or back.
local payments = {}

-- The most payments that a record keeps.
payments.KEPT_MAX = 50
-- Outcomes of a payment that bought the places.
payments.BUYS = { confirmed = true, late_confirmed = true }
-- Outcomes of a payment that has not succeeded yet, as far as its notices have arrived.
payments.OPEN = { processing = true, payment_failed = true, refunded = true, disputed = true }

function payments.digits(amount_minor)
  return string.format("%.0f", amount_minor or 0)
end

-- An entry. A payment without an id of the provider's is one of its source; the provider's, one of
-- its amount.
function payments.new(box, ulid, record, given)
  local amount_minor = tonumber(given.amount) or record.amount_minor
  local currency = given.currency ~= "" and given.currency or record.currency
  local id = given.source .. ":" .. ulid
  if given.source == "provider" then
    id = id .. ":" .. payments.digits(amount_minor) .. currency
  end
  return { id = given.id ~= "" and given.id or id, amount_minor = amount_minor,
    currency = currency, source = given.source, at_ms = box.now_ms,
    note = given.note ~= "" and given.note or nil }
end

-- The list of a record. Without a list it is the one payment that the record says of itself, in
-- `payment`: "<source> <id>", or nothing for the one unchecked payment.
function payments.of(ulid, record)
  local sold = record.status == "confirmed" or record.status == "cancelled"
  if record.payments or not (sold or record.refund_reason) then
    return record.payments or {}
  end
  local outcome = not sold and "refund_due" or record.late and "late_confirmed" or "confirmed"
  local source, id = string.match(record.payment or "", "^(%S+) (.+)$")
  return { { id = id or "unchecked:" .. ulid, amount_minor = record.amount_minor,
    currency = record.currency, source = source or "unchecked", outcome = outcome,
    at_ms = record.confirmed_at_ms or record.ended_at_ms, owed_minor = record.refund_minor,
    reason = record.refund_reason } }
end

-- Keep the list in the record.
function payments.keep(record, list)
  record.payments, record.payment = list, nil
end

-- Keep the one payment of a sale, which is new. Most sales have no other, and a list of it would be
-- half of the record.
function payments.keep_one(ulid, record, one)
  if one.source ~= "unchecked" or one.id ~= "unchecked:" .. ulid then
    record.payment = one.source .. " " .. one.id
  end
end

-- The entry of the list that a payment is, if it is known; and true for an unchecked one that this
-- report is about. A customer's word is about the payment that was judged last.
function payments.known(list, payment)
  local is_word = payment.source == "unchecked" or payment.source == "free"
  local newest, unchecked
  for _, one in ipairs(list) do
    if one.id == payment.id or one.provider_id == payment.id then
      return one, false
    elseif payments.BUYS[one.outcome] or one.outcome == "refund_due" then
      newest = one
      if one.source == "unchecked" and one.amount_minor == payment.amount_minor
        and one.currency == payment.currency then
        unchecked = one
      end
    end
  end
  if is_word then
    return newest, false
  end
  return unchecked, unchecked ~= nil
end

function payments.too_many(payment)
  return { "TOO_MANY_PAYMENTS", tostring(payments.KEPT_MAX),
    payments.digits(payment.amount_minor), payment.currency }
end

-- Why a payment cannot buy the places, whatever else is true of them: its outcome. nil: it may.
function payments.obstacle(record, payment)
  if record.status == "confirmed" then
    return "paid_twice"
  elseif record.status == "cancelled" then
    return "booking_cancelled"
  elseif payment.amount_minor ~= record.amount_minor or payment.currency ~= record.currency then
    return "amount_differs"
  end
end

-- The provider's word, or the organiser's, for an unchecked payment.
function payments.verify(record, list, one, payment)
  payments.keep(record, list)
  one.source, one.provider_id, one.note = payment.source, payment.id, payment.note
end

-- Put a payment on the list, in place of what was known of it. Returns its entry.
function payments.put(list, known, payment, outcome)
  local one = known or {}
  one.outcome = outcome
  for name, value in pairs(payment) do
    one[name] = value
  end
  if not known then
    list[#list + 1] = one
  end
  return one
end

-- All of an entry that is not back yet must go back. `of_all`: what the record says of it, if not
-- the same.
function payments.owe(record, one, reason, of_all)
  one.owed_minor, one.reason = math.max(0, one.amount_minor - (one.refunded_minor or 0)), reason
  payments.sum(record, of_all or reason)
end

-- What the record says of all its payments: owed in the booking's own currency, and why.
function payments.sum(record, reason)
  local owed_minor = 0
  for _, one in ipairs(record.payments) do
    if one.currency == record.currency then
      owed_minor = owed_minor + (one.owed_minor or 0)
    end
  end
  record.refund_minor, record.refund_reason = owed_minor, reason
end

-- Nothing of what bought the places is for them any more.
function payments.give_back(record, reason)
  for _, one in ipairs(record.payments) do
    if payments.BUYS[one.outcome] and not one.owed_minor then
      one.owed_minor, one.reason = math.max(0, one.amount_minor - (one.refunded_minor or 0)), reason
    end
  end
  payments.sum(record, record.amount_minor > 0 and reason or nil)
end

-- What a payment that was judged is told, now and each time it comes again.
function payments.answer(one, ulid, record, json)
  if one.outcome == "refund_due" then
    return { "REFUND_DUE", payments.digits(one.owed_minor), one.reason }
  elseif one.outcome == "paid_twice" then
    return { "PAID_TWICE", payments.digits(one.amount_minor), one.currency }
  elseif one.outcome == "amount_differs" then
    return { "AMOUNT_DIFFERS", payments.digits(record.amount_minor), record.currency }
  elseif record.status == "confirmed" then
    return { "OK", ulid, json, "repeated" }
  end
  return { "BOOKING_CANCELLED" }
end
