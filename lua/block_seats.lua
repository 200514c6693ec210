--[[
Take seats off sale, or put them back on sale: all of the list or none.

KEYS[1-9]  event seats map areas bookings deadlines customers ended journal

ARGV[1]    now_ms     "" = the clock of Redis
ARGV[2]    owner      the event must belong to this organiser; "" = not checked
ARGV[3]    letter     b = block the available seats; a = unblock the blocked seats
ARGV[4...] seat       1 to 500 of them

Returns  {"OK", count}   number of seats that changed; the others needed no change
         {"EVENT_NOT_FOUND"} {"NOT_OWNER"} {"SEAT_NOT_FOUND", seat, ...}
         {"SEAT_TAKEN", seat, ...}   a held or sold seat cannot be blocked
         A refusal writes nothing.
]]
-- @include lib/event
-- @include lib/seats
-- @include lib/journal
local box = event.open(KEYS, ARGV[1])
local owner, letter = ARGV[2], ARGV[3]

if not box then
  return { "EVENT_NOT_FOUND" }
elseif owner ~= "" and owner ~= event.owner_id(box) then
  return { "NOT_OWNER" }
end
local found, unknown = seats.read(box, { unpack(ARGV, 4) })
if unknown then
  return { "SEAT_NOT_FOUND", unpack(unknown) }
end
local from, changed, taken, ids = letter == "b" and "a" or "b", {}, {}, {}
local seen = {}  -- the list may repeat a seat
for _, seat in ipairs(found) do
  if seat.letter == from then
    if not seen[seat.id] then
      changed[#changed + 1] = seat
      ids[#ids + 1] = seat.id
    end
    seen[seat.id] = true
  elseif seat.letter ~= letter and letter == "b" then
    taken[#taken + 1] = seat.id
  end
end
if #taken > 0 then
  return { "SEAT_TAKEN", unpack(taken) }
elseif #changed == 0 then
  return { "OK", "0" }
end

-- Writes.
seats.put(box, changed, letter)
if letter == "b" then
  event.move(box, "available", "blocked", #changed)
  journal.event(box, "seats_blocked", cjson.encode({ seats = table.concat(ids, " ") }))
else
  event.move(box, "blocked", "available", #changed)
  journal.event(box, "seats_unblocked", cjson.encode({ seats = table.concat(ids, " ") }))
end
event.save(box)
return { "OK", tostring(#changed) }
