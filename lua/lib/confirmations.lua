-- @include lib/batches
-- @include lib/seats
-- @include lib/areas
-- @include lib/bookings
-- @include lib/claims
-- @include lib/payments
-- Decides payments that succeeded: which of them buy their places, and which are owed.
local confirmations = {}

-- A payment in the form of confirm_booking.
function confirmations.new(keys, key_at, args, at)
  return { hold_key = keys[key_at + 1], ulid = args[at + 2], caller = args[at + 3],
    payment = { id = args[at + 4], amount = args[at + 5], currency = args[at + 6],
      source = args[at + 7], note = args[at + 8] } }
end

confirmations.FORMS = { payment = { keys = 1, args = 8, new = confirmations.new } }

-- The reply to one payment.
function confirmations.decide(batch, request)
  local box, ulid, caller = batch.box, request.ulid, request.caller
  local source = request.payment.source
  if source == "box_office" and caller ~= "" and caller ~= event.owner_id(box) then
    return { "NOT_OWNER" }
  end
  local record, json = bookings.read(box, ulid, source == "box_office" and "" or caller)
  if not record then
    return { "BOOKING_NOT_FOUND" }
  elseif source == "free" and record.amount_minor > 0 then
    return { "PAYMENT_BY_PROVIDER" }
  end
  local list = payments.of(ulid, record)
  local payment = payments.new(box, ulid, record, request.payment)
  local known, is_unchecked = payments.known(list, payment)
  local is_judged = known and not payments.OPEN[known.outcome]
  if is_judged and not is_unchecked then
    return payments.answer(known, ulid, record, json)
  elseif known and (known.refunded_minor or 0) >= math.max(payment.amount_minor, 1) then
    return { "PAYMENT_REFUNDED" }
  elseif not known and #list >= payments.KEPT_MAX then
    return payments.too_many(payment)
  end

  -- Writes.
  if is_judged then
    payments.verify(record, list, known, payment)
    json = bookings.write(box, "payment_verified", ulid, record)
    return payments.answer(known, ulid, record, json)
  end
  local outcome, refusal, late_ms = confirmations.take(batch, request, record, payment)
  local entry = payments.put(list, known, payment, outcome)
  if not payments.BUYS[outcome] then
    payments.keep(record, list)
    payments.owe(record, entry, refusal and string.lower(refusal[1]) or outcome)
    bookings.write_owed(box, ulid, record)
    return payments.answer(entry, ulid, record)
  end
  batch.hold_keys = batch.hold_keys or {}
  batch.hold_keys[#batch.hold_keys + 1] = request.hold_key
  record.status, record.confirmed_at_ms = "confirmed", box.now_ms
  if known or #list > 1 or entry.note then
    payments.keep(record, list)
  else
    payments.keep_one(ulid, record, entry)
  end
  json = bookings.write(box, "booking_confirmed", ulid, record)
  return { "OK", ulid, json, "new", unpack(late_ms) }
end

-- Sell the places to the booking if the payment buys them. Returns what comes of the payment; why
-- its places were not given, if it came too late; how late each hold was that expired here.
function confirmations.take(batch, request, record, payment)
  local box, ulid = batch.box, request.ulid
  local outcome = payments.obstacle(record, payment)
  if outcome then
    return outcome
  end
  local claim = claims.new(ulid, record.customer, record.seats, record.areas)
  if record.status == "pending" and box.now_ms < record.expires_at_ms then
    confirmations.sell_held(batch, record, claim)
    return "confirmed", nil, {}
  end
  claim.overdue = record.status == "pending" and { [ulid] = record } or nil
  local refusal = event.late_refusal(box) or claims.refusal(box, claim)
  if refusal then
    bookings.end_overdue(box, ulid, record)
    box.overdue_areas = nil
    return "refund_due", refusal
  end
  local late_ms = claims.clear(box, claim)
  claims.sell_late(box, claim, record)
  return "late_confirmed", nil, late_ms
end

-- Sell what a pending booking holds.
function confirmations.sell_held(batch, record, claim)
  local box, ulid = batch.box, claim.ulid
  seats.put(box, bookings.own_seats(box, ulid, record), "s", ulid, 0)
  for i = 1, #claim.areas do
    areas.move(box, claim.areas[i].id, "held", "sold", claim.areas[i].quantity)
  end
  event.move(box, "held", "sold", claim.places)
  batch.sold = batch.sold or {}
  batch.sold[#batch.sold + 1] = ulid
end

-- Write what the payments of a call have in common.
function confirmations.write(batch)
  if batch.sold then
    redis.call("ZREM", batch.box.deadlines, unpack(batch.sold))
  end
  if batch.hold_keys then
    redis.call("DEL", unpack(batch.hold_keys))
  end
end
