-- @include lib/event
-- @include lib/payments
-- What a notice changes, one function for each kind: { entry = what to set in the payment's entry,
-- outcome = of a payment that is not known yet, expires_at_ms, cancels }, or nil for nothing.
-- Notices come in any sequence: what is judged stays so.
local updates = {}

function updates.processing(box, record, known, _, _)
  local in_time = record.status == "pending" and box.now_ms < record.expires_at_ms
  if not in_time or known and known.outcome ~= "payment_failed" then
    return nil
  end
  local longest_ms = record.held_at_ms + event.terms(box).payment_max_ms
  return { entry = { outcome = "processing" }, outcome = "processing",
    expires_at_ms = longest_ms > record.expires_at_ms and longest_ms or nil }
end

function updates.failed(box, record, known, _, _)
  if not known or known.outcome ~= "processing" then
    return nil
  end
  local change = { entry = { outcome = "payment_failed" } }
  local others = false
  for _, one in ipairs(record.payments) do
    others = others or one ~= known and one.outcome == "processing"
  end
  local soon_ms = box.now_ms + box.state.hold_ttl_ms
  if record.status == "pending" and soon_ms < record.expires_at_ms and not others then
    change.expires_at_ms = soon_ms
  end
  return change
end

function updates.refunded(_, record, known, payment, back_minor)
  if not known then
    payment.amount_minor = back_minor or payment.amount_minor
  end
  local amount_minor = (known or payment).amount_minor
  local is_open = known and payments.OPEN[known.outcome]
  if is_open then -- its amount is not known for certain before it succeeds
    amount_minor = math.max(amount_minor, back_minor or 0)
  end
  back_minor = math.min(back_minor or amount_minor, amount_minor)
  if known and (known.refunded_minor or 0) >= back_minor then
    return nil
  end
  local change = { entry = { refunded_minor = back_minor }, outcome = "refunded" }
  if is_open then
    change.entry.outcome, change.entry.amount_minor = "refunded", amount_minor
  elseif known and payments.BUYS[known.outcome] then
    change.cancels = record.status == "confirmed" and back_minor >= amount_minor
  end
  return change
end

function updates.disputed(box, _, known, _, _)
  if known and known.disputed_at_ms then
    return nil
  end
  return { entry = { disputed_at_ms = box.now_ms }, outcome = "disputed" }
end
