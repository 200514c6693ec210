-- @include lib/bookings
-- Idempotency: the request id of a customer maps to `<digest of the body> <booking ulid>`.
local requests = {}

-- The digest and the booking of an earlier call, from the text of its key, or nil.
function requests.parse(text)
  if text then
    return string.match(text, "^(%S+) (%S+)$")
  end
end

-- How long a request is known. It expires before the record, whose time starts when the booking
-- ends.
function requests.ttl_ms(box)
  return math.min(box.state.ended_ttl_ms, bookings.UNPAID_TTL_MS)
end

-- Returns the text.
function requests.remember(key, digest, ulid, ttl_ms)
  local text = digest .. " " .. ulid
  redis.call("SET", key, text, "PX", ttl_ms)
  return text
end
