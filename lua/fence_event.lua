--[[
Close an event until it is restored: Redis has less of it than Postgres.

From here on every script answers RESTORING for it (`lib/event`): nothing in it moves, and a payment
notice comes again. An event that is gone gets a stub, so that it can say so.

KEYS[1-9]  event seats map areas bookings deadlines customers ended journal
KEYS[10]   layout     string   gzipped JSON

ARGV[1]    now_ms     "" = Redis' own clock
ARGV[2]    restore    the ULID of the restore that takes over; "" = a look that found it behind
ARGV[3]    epoch      that was looked at; another one by now is left alone. "" = there was none,
                      "*" = whatever there is
ARGV[4]    why        for the journal
ARGV[5]    layout     of a stub
ARGV[6...] field, value pairs of a stub

Returns  {"OK", "new"}
         {"OK", "repeated"}       the event was fenced before
         {"RESTORE_SUPERSEDED"}   the event has another epoch; nothing was written
]]
-- @include lib/event
-- @include lib/journal
local layout_key = KEYS[10]
local restore, epoch, why, layout = ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local box = event.read(KEYS, ARGV[1])
if epoch ~= "*" and epoch ~= (box and tostring(box.is.epoch) or "") then
  return { "RESTORE_SUPERSEDED" }
end
local was_fenced = box and box.is.sales == "restoring"

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
