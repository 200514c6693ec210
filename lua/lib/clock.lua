-- The clock of Redis decides; tests pass their own time.
local clock = {}

-- Milliseconds since the Unix epoch; `given` "" = now. The time does not change within a script.
function clock.now_ms(given)
  if given ~= "" then
    return tonumber(given)
  end
  local time = redis.call("TIME")
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
