--[[
Fence an event until it is restored: Redis has lost some of it, and Postgres has more.

Every script that calls `event.open` (`lib/event`) then answers RESTORING: nothing changes, and the
payment provider delivers its notices again. An event that is missing gets a stub, so that calls are
answered RESTORING, not EVENT_NOT_FOUND. So does one whose hash cannot be read, in the same step.

KEYS[1-9]  event seats map areas bookings deadlines customers ended journal
KEYS[10]   layout     string   gzipped JSON
KEYS[11]   damaged    any      where the event goes if it cannot be read, for a week
KEYS[12]   damaged    any      the same for the journal

ARGV[1]    now_ms     "" = the clock of Redis
ARGV[2]    restore    ULID of the restore that takes over; "" = fenced by the loss detector, which
                      sets nothing aside
ARGV[3]    epoch      epoch the caller saw; an event with another epoch is not fenced.
                      "" = the event was missing, "*" = any
ARGV[4]    why        reason, for the journal
ARGV[5]    layout     layout of the stub
ARGV[6...] field, value pairs of the stub

Returns  {"OK", epoch, position, name of a key that was set aside, ...}
         {"RESTORE_SUPERSEDED"}   the epoch is not ARGV[3] any more; nothing was written
]]
-- @include lib/event
-- @include lib/journal
local layout_key, aside = KEYS[10], { [KEYS[1]] = KEYS[11], [KEYS[9]] = KEYS[12] }
local restore, epoch, why, layout = ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local function has_other_type(key, kind)
  local found = redis.call("TYPE", key).ok
  return found ~= "none" and found ~= kind
end

local function is_unreadable()
  if has_other_type(KEYS[1], "hash") then
    return true
  end
  local is_read, box = pcall(event.read, KEYS, ARGV[1])
  if not is_read then -- another format is no damage
    return not string.find(type(box) == "table" and box.err or tostring(box), "FORMAT", 1, true)
  end
  local position = box and redis.call("HGET", KEYS[1], "position")
  return box and not string.find(position or "", "^%d+%-%d+$")
end

local damaged = {}
if restore ~= "" then
  damaged[1] = is_unreadable() and KEYS[1] or nil
  damaged[#damaged + 1] = has_other_type(KEYS[9], "stream") and KEYS[9] or nil
end
local box = damaged[1] ~= KEYS[1] and event.read(KEYS, ARGV[1]) or nil
if epoch ~= "*" and epoch ~= (box and tostring(box.state.epoch) or "") then
  return { "RESTORE_SUPERSEDED" }
end

-- Writes.
local names = {}
for i, key in ipairs(damaged) do
  redis.call("RENAME", key, aside[key])
  redis.call("PEXPIRE", aside[key], 604800000)
  names[i] = string.match(key, "[^:]+$")
end
if not box then
  redis.call("HSET", KEYS[1], unpack(ARGV, 6))
  redis.call("SET", layout_key, layout)
  box = event.read(KEYS, ARGV[1])
end
if restore ~= "" then
  redis.call("HSET", box.event, "restore", restore)
end
if box.state.sales ~= "restoring" then
  redis.call("HSET", box.event, "sales", "restoring")
  journal.event(box, "event_fenced", cjson.encode({ why = why }))
  event.save(box)
end
return { "OK", tostring(box.state.epoch), redis.call("HGET", box.event, "position"), unpack(names) }
