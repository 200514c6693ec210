-- The refusal for each booking status.
local refusals = {}

refusals.BY_STATUS = {
  confirmed = "ALREADY_CONFIRMED",
  released = "BOOKING_RELEASED",
  expired = "BOOKING_EXPIRED",
  cancelled = "BOOKING_CANCELLED",
}

-- nil for a pending booking, otherwise the refusal.
function refusals.not_pending(record)
  if not record then
    return { "BOOKING_NOT_FOUND" }
  end
  local code = refusals.BY_STATUS[record.status]
  return code and { code }
end
