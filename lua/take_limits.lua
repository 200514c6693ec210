--[[
Count one call against rate limits: all of them, or none when one is reached.

The calls of a sale do not need this script: the same check runs in front of theirs, in one call
(`lib/limits`). It is for calls that ask Redis for nothing else, or only read.

KEYS[1...n]  limit   string   when the bucket would be empty again, ms since the epoch

ARGV[1]      now_ms  "" = Redis' own clock
ARGV[2...]   interval_ms, burst   for each key; then n

Returns  {"OK", left, full_in_ms}
         {"RATE_LIMITED", retry_after_ms}   nothing was written
]]
-- @include lib/limits
return limits.guard(function()
  return { "OK" }
end, KEYS, ARGV)
