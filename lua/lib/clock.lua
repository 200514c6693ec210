-- Redis' clock decides; tests bring their own.
local clock = {}

-- `given` "" means now. Milliseconds since the epoch. Time stands still within a script.
function clock.now_ms(given)
  if given ~= "" then
    return tonumber(given)
  end
  local time = redis.call("TIME")
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
