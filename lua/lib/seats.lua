-- A seat is `<index>,<category number>,<letter>[,<booking ulid>,<deadline ms>]`.
-- Letters: a = available, h = held, s = sold, b = blocked. The map has the same letter at `index`.
local seats = {}

function seats.parse(id, text)
  local index, category, letter, booking, deadline =
    string.match(text, "^(%d+),(%d+),(%l),?([^,]*),?(%d*)$")
  return { id = id, index = index, category = category, letter = letter, booking = booking,
    deadline_ms = tonumber(deadline) or 0 }
end

-- The seats of a list, and the ids the event does not have. For a few thousand seats at most.
function seats.read(box, ids)
  local found, unknown = {}, {}
  local texts = #ids > 0 and redis.call("HMGET", box.seats, unpack(ids)) or {}
  for i, text in ipairs(texts) do
    if text then
      found[#found + 1] = seats.parse(ids[i], text)
    else
      unknown[#unknown + 1] = ids[i]
    end
  end
  return found, unknown
end

-- The most seats in one command: `unpack` is limited to about 8,000 values.
seats.AT_ONCE = 2000

-- Give every seat of the list one status. `booking` and `deadline_ms` are passed with h and s only.
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

-- Free the seats that belong to a booking of the set `ending`. Returns their number. Up to 100,000
-- holds may end at one instant: so no table is made per seat, and adjacent letters of the map are
-- written in one command.
function seats.free(box, ids, ending)
  local freed, from, past = 0, 0, 0
  for first = 1, #ids, seats.AT_ONCE do
    local last = math.min(first + seats.AT_ONCE - 1, #ids)
    local fields, n = {}, 0
    for i, text in ipairs(redis.call("HMGET", box.seats, unpack(ids, first, last))) do
      local index, category, booking = string.match(text or "", "^(%d+),(%d+),%l,([^,]+)")
      if ending[booking] then
        fields[n + 1], fields[n + 2] = ids[first + i - 1], index .. "," .. category .. ",a"
        n, freed, index = n + 2, freed + 1, tonumber(index)
        if index ~= past then
          redis.call("SETRANGE", box.map, from, string.rep("a", past - from))
          from = index
        end
        past = index + 1
      end
    end
    if n > 0 then
      redis.call("HSET", box.seats, unpack(fields, 1, n))
    end
  end
  redis.call("SETRANGE", box.map, from, string.rep("a", past - from))
  return freed
end
