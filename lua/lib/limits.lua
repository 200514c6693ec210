-- @include lib/clock
-- Rate limits by GCRA: a key holds the time at which its bucket is empty again (`tat_ms`). It needs
-- one number per subject, and has no window that resets for all clients at once.
local limits = {}

-- Count a call against its limits, each { key, interval_ms, burst }: against all, or none if one is
-- reached. `texts` has what the keys hold, and from then on what they held last. Returns the
-- refusal or nil, calls left, and ms until all calls are available again.
function limits.take(now_ms, list, texts)
  local left, full_in_ms = math.huge, 0
  for _, limit in ipairs(list) do
    local tat_ms = math.max(tonumber(texts[limit.key]) or 0, now_ms) + limit.interval_ms
    local wait_ms = tat_ms - limit.burst * limit.interval_ms - now_ms
    if wait_ms > 0 then
      return { "RATE_LIMITED", tostring(math.ceil(wait_ms)) }
    end
    limit.tat_ms = tat_ms
    left = math.min(left, math.floor(-wait_ms / limit.interval_ms))
    full_in_ms = math.max(full_in_ms, tat_ms - now_ms)
  end

  -- Writes.
  for _, limit in ipairs(list) do
    local text = string.format("%.3f", limit.tat_ms)
    redis.call("SET", limit.key, text, "PX", math.ceil(limit.tat_ms - now_ms))
    texts[limit.key] = text
  end
  return nil, left, full_in_ms
end

-- The limits that stand in `args` behind `at`, `count` pairs of `interval_ms, burst`, and in `keys`
-- behind `key_at`.
function limits.of(keys, key_at, args, at, count)
  local list = {}
  for i = 1, count do
    list[i] = { key = keys[key_at + i], interval_ms = tonumber(args[at + 2 * i - 1]),
      burst = tonumber(args[at + 2 * i]) }
  end
  return list
end

-- Add to a reply what the limits have left.
function limits.add_left(reply, left, full_in_ms)
  reply[#reply + 1] = tostring(left)
  reply[#reply + 1] = tostring(math.ceil(full_in_ms))
  return reply
end

-- Run `script` unless one of the limits is reached. The limits follow the script's own arguments:
-- the last n KEYS; and at the end of ARGV `interval_ms, burst` for each of them, then n. The reply
-- of the script gets two more items: calls left, and ms until all calls are available again.
function limits.guard(script, keys, args)
  local list, texts = {}, {}
  for _ = 1, tonumber(table.remove(args)) do
    local burst, interval_ms = tonumber(table.remove(args)), tonumber(table.remove(args))
    local key = table.remove(keys)
    list[#list + 1] = { key = key, interval_ms = interval_ms, burst = burst }
    texts[key] = redis.call("GET", key)
  end
  local refusal, left, full_in_ms = limits.take(clock.now_ms(args[1]), list, texts)
  return refusal or limits.add_left(script(), left, full_in_ms)
end
