-- A seat is `<index>,<category number>,<letter>[,<booking ulid>,<deadline ms>]`.
-- Letters: a available, h held, s sold, b blocked; the same letter stands in the map at `index`.
local seats = {}

function seats.parse(id, text)
  local index, category, letter, booking, deadline =
    string.match(text, "^(%d+),(%d+),(%l),?([^,]*),?(%d*)$")
  return { id = id, index = index, category = category, letter = letter, booking = booking,
    deadline_ms = tonumber(deadline) or 0 }
end

-- The seats of a list, and the ids the event does not have.
function seats.read(box, ids)
  local found, unknown = {}, {}
  if #ids == 0 then
    return found, unknown
  end
  for i, text in ipairs(redis.call("HMGET", box.seats, unpack(ids))) do
    if text then
      found[#found + 1] = seats.parse(ids[i], text)
    else
      unknown[#unknown + 1] = ids[i]
    end
  end
  return found, unknown
end

-- Give every seat of the list one status. `booking` and `deadline_ms` only with h and s.
function seats.put(box, list, letter, booking, deadline_ms)
  if #list == 0 then
    return
  end
  local owner = booking and ("," .. booking .. "," .. deadline_ms) or ""
  local fields = {}
  for _, seat in ipairs(list) do
    fields[#fields + 1] = seat.id
    fields[#fields + 1] = seat.index .. "," .. seat.category .. "," .. letter .. owner
  end
  redis.call("HSET", box.seats, unpack(fields))
  for _, seat in ipairs(list) do
    redis.call("SETRANGE", box.map, seat.index, letter)
  end
end
