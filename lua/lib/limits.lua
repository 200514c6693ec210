-- @include lib/clock
-- Rate limits by GCRA: a key holds the time at which its bucket is empty again (`tat_ms`). It needs
-- one number per subject, and has no window that resets for all clients at once.
local limits = {}

-- Run `script` unless one of the limits is reached. The limits follow the script's own arguments:
-- the last n KEYS; and at the end of ARGV `interval_ms, burst` for each of them, then n. The reply
-- of the script gets two more items: calls left, and ms until all calls are available again.
function limits.guard(script, keys, args)
  local now_ms = clock.now_ms(args[1])
  local taken, left, full_in_ms = {}, math.huge, 0
  for _ = 1, tonumber(table.remove(args)) do
    local burst, interval_ms = tonumber(table.remove(args)), tonumber(table.remove(args))
    local key = table.remove(keys)
    local tat_ms = math.max(tonumber(redis.call("GET", key)) or 0, now_ms) + interval_ms
    local wait_ms = tat_ms - burst * interval_ms - now_ms
    if wait_ms > 0 then
      return { "RATE_LIMITED", tostring(math.ceil(wait_ms)) }
    end
    taken[key] = tat_ms
    left = math.min(left, math.floor(-wait_ms / interval_ms))
    full_in_ms = math.max(full_in_ms, tat_ms - now_ms)
  end

  -- Writes.
  for key, tat_ms in pairs(taken) do
    redis.call("SET", key, string.format("%.3f", tat_ms), "PX", math.ceil(tat_ms - now_ms))
  end
  local reply = script()
  reply[#reply + 1] = tostring(left)
  reply[#reply + 1] = tostring(math.ceil(full_in_ms))
  return reply
end
