-- @include lib/bookings
-- Idempotency: the request id of a customer maps to `<digest of the body> <booking ulid>`.
local requests = {}

-- The digest and the booking of an earlier call with this request id, or nil.
function requests.find(key)
  local text = redis.call("GET", key)
  if text then
    return string.match(text, "^(%S+) (%S+)$")
  end
end

-- The request expires before the record, whose time starts when the booking ends.
function requests.remember(box, key, digest, ulid)
  redis.call("SET", key, digest .. " " .. ulid, "PX",
    math.min(box.state.ended_ttl_ms, bookings.UNPAID_TTL_MS))
end
