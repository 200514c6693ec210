-- Idempotency: `<digest of the body> <booking ulid>` under the customer's request id.
local requests = {}

-- The digest and the booking of an earlier call with this request id, or nil.
function requests.find(key)
  local text = redis.call("GET", key)
  if text then
    return string.match(text, "^(%S+) (%S+)$")
  end
end

-- A record of a hold outlives its request: `ended_ttl_ms` counts from the booking's end.
function requests.remember(box, key, digest, ulid)
  redis.call("SET", key, digest .. " " .. ulid, "PX", box.is.ended_ttl_ms)
end
