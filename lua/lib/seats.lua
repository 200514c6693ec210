-- A seat is `<index>,<category number>,<letter>[,<booking ulid>,<deadline ms>]`.
-- Letters: a available, h held, s sold, b blocked; the same letter stands in the map at `index`.
local seats = {}

function seats.parse(id, text)
  local index, category, letter, booking, deadline =
    string.match(text, "^(%d+),(%d+),(%l),?([^,]*),?(%d*)$")
  return { id = id, index = index, category = category, letter = letter, booking = booking,
    deadline_ms = tonumber(deadline) or 0 }
end

-- The most seats one command names: a Lua call takes about 8,000 arguments.
seats.AT_ONCE = 2000

-- The seats of a list, and the ids the event does not have.
function seats.read(box, ids)
  local found, unknown = {}, {}
  for first = 1, #ids, seats.AT_ONCE do
    local last = math.min(first + seats.AT_ONCE - 1, #ids)
    for i, text in ipairs(redis.call("HMGET", box.seats, unpack(ids, first, last))) do
      local id = ids[first + i - 1]
      if text then
        found[#found + 1] = seats.parse(id, text)
      else
        unknown[#unknown + 1] = id
      end
    end
  end
  return found, unknown
end

-- Give every seat of the list one status. `booking` and `deadline_ms` only with h and s.
function seats.put(box, list, letter, booking, deadline_ms)
  local behind = "," .. letter .. (booking and ("," .. booking .. "," .. deadline_ms) or "")
  for first = 1, #list, seats.AT_ONCE do
    local fields, n = {}, 0
    for i = first, math.min(first + seats.AT_ONCE - 1, #list) do
      local seat = list[i]
      fields[n + 1], fields[n + 2] = seat.id, seat.index .. "," .. seat.category .. behind
      n = n + 2
    end
    redis.call("HSET", box.seats, unpack(fields, 1, n))
  end
  for _, seat in ipairs(list) do
    redis.call("SETRANGE", box.map, seat.index, letter)
  end
end
