--[[
End a restore: lift the fence and set the sales state that Postgres has.

KEYS[1-9]  event seats map areas bookings deadlines customers ended journal

ARGV[1]    now_ms     "" = the clock of Redis
ARGV[2]    restore    ULID of the restore
ARGV[3]    sales      open, paused or closed

Returns  {"OK"}
         {"RESTORE_SUPERSEDED"}   another restore took over; nothing was written
]]
-- @include lib/event
-- @include lib/journal
local box = event.read(KEYS, ARGV[1])
local restore, sales = ARGV[2], ARGV[3]

if not box or redis.call("HGET", box.event, "restore") ~= restore then
  return { "RESTORE_SUPERSEDED" }
end

-- Writes.
redis.call("HSET", box.event, "sales", sales)
redis.call("HDEL", box.event, "restore")
journal.event(box, "terms_set", cjson.encode({ sales = sales }))
event.save(box)
return { "OK" }
