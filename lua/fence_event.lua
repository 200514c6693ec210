--[[
Fence an event until it is restored: Redis has lost some of it, and Postgres has more.

Every script that calls `event.open` (`lib/event`) then answers RESTORING: nothing changes, and the
payment provider delivers its notices again. An event that is missing gets a stub, so that calls are
answered RESTORING, not EVENT_NOT_FOUND.

KEYS[1-9]  event seats map areas bookings deadlines customers ended journal
KEYS[10]   layout     string   gzipped JSON

ARGV[1]    now_ms     "" = the clock of Redis
ARGV[2]    restore    ULID of the restore that takes over; "" = fenced by the loss detector
ARGV[3]    epoch      epoch the caller saw; an event with another epoch is not fenced.
                      "" = the event was missing, "*" = any
ARGV[4]    why        reason, for the journal
ARGV[5]    layout     layout of the stub
ARGV[6...] field, value pairs of the stub

Returns  {"OK", "new"}
         {"OK", "repeated"}       the event was fenced before
         {"RESTORE_SUPERSEDED"}   the epoch is not ARGV[3] any more; nothing was written
]]
-- @include lib/event
-- @include lib/journal
local layout_key = KEYS[10]
local restore, epoch, why, layout = ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local box = event.read(KEYS, ARGV[1])
if epoch ~= "*" and epoch ~= (box and tostring(box.state.epoch) or "") then
  return { "RESTORE_SUPERSEDED" }
end
local was_fenced = box and box.state.sales == "restoring"

-- Writes.
if not box then
  redis.call("HSET", KEYS[1], unpack(ARGV, 6))
  redis.call("SET", layout_key, layout)
  box = event.read(KEYS, ARGV[1])
end
if restore ~= "" then
  redis.call("HSET", box.event, "restore", restore)
end
if was_fenced then
  return { "OK", "repeated" }
end
redis.call("HSET", box.event, "sales", "restoring")
journal.event(box, "event_fenced", cjson.encode({ why = why }))
event.save(box)
return { "OK", "new" }
