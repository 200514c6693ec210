--[[
Count one call against its rate limits: against all of them, or none if one is reached.

The scripts of a sale do not need this one: the same check runs in front of them, in one call
(`lib/limits`). It serves calls that need nothing else from Redis, or only read.

KEYS[1...n]  limit   string   when the bucket is empty again, ms since the Unix epoch

ARGV[1]      now_ms  "" = the clock of Redis
ARGV[2...]   interval_ms, burst for each key, then n

Returns  {"OK", left, full_in_ms}
         {"RATE_LIMITED", retry_after_ms}   nothing was written
]]
-- @include lib/limits
return limits.guard(function()
  return { "OK" }
end, KEYS, ARGV)
