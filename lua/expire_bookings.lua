--[[
Expire the pending bookings whose deadline has passed, and delete the records of bookings that
ended long ago.

The listener passes the bookings to check; the sweep passes none. Calls may arrive twice, late or
out of order: only bookings that are pending, and overdue by the clock of Redis, are changed.

KEYS[1-9]  event seats map areas bookings deadlines customers ended journal

ARGV[1]    now_ms     "" = the clock of Redis
ARGV[2]    limit      most bookings to expire, and most records to delete; 1 to 256
ARGV[3...] ulid       bookings to check; none = the earliest deadlines

Returns  {"OK", now_ms, next_deadline_ms or "", pending_count, forgotten_count, late_ms, ...}
         late_ms: one number per booking expired
         {"EVENT_NOT_FOUND"}
]]
-- @include lib/event
-- @include lib/bookings
local box = event.open(KEYS, ARGV[1])
local limit = tonumber(ARGV[2])

if not box then
  return { "EVENT_NOT_FOUND" }
end
local ulids = {}
for i = 3, math.min(#ARGV, 2 + limit) do
  ulids[#ulids + 1] = ARGV[i]
end
if #ulids == 0 then
  ulids = redis.call("ZRANGE", box.deadlines, "-inf", box.now_ms, "BYSCORE", "LIMIT", 0, limit)
end
local overdue, late_ms, seen = {}, {}, {}
if #ulids > 0 then
  for i, json in ipairs(redis.call("HMGET", box.bookings, unpack(ulids))) do
    local record = not seen[ulids[i]] and json and cjson.decode(json)
    seen[ulids[i]] = true
    if record and record.status == "pending" and record.expires_at_ms <= box.now_ms then
      overdue[#overdue + 1] = { ulid = ulids[i], record = record, json = json }
      late_ms[#late_ms + 1] = box.now_ms - record.expires_at_ms
    end
  end
end
local gone = redis.call("ZRANGE", box.ended, "-inf", box.now_ms, "BYSCORE", "LIMIT", 0, limit)

-- Writes.
if #overdue > 0 then
  bookings.finish(box, "booking_expired", overdue, "expired")
  event.save(box)
end
if #gone > 0 then
  redis.call("HDEL", box.bookings, unpack(gone))
  redis.call("ZREM", box.ended, unpack(gone))
end
local next_due = redis.call("ZRANGE", box.deadlines, 0, 0, "WITHSCORES")
return { "OK", tostring(box.now_ms), next_due[2] or "",
  tostring(redis.call("ZCARD", box.deadlines)), tostring(#gone), unpack(late_ms) }
