-- A seat is `<index>,<category number>,<letter>[,<booking ulid>,<deadline ms>]`.
-- Letters: a = available, h = held, s = sold, b = blocked. The map has the same letter at `index`.
local seats = {}

-- `booking` and `deadline_ms` are those of a held or sold seat. A ULID has 26 characters. A damaged
-- value is an error: a payment must not confirm a booking whose seat cannot be sold to it.
function seats.parse(id, text)
  local index, category, letter, owner = string.match(text, "^(%d+),(%d+),(%l),?()")
  if not letter then
    error({ err = "ERR the value of seat " .. id .. " is damaged: " .. text })
  end
  if letter ~= "h" and letter ~= "s" then
    return { id = id, index = index, category = category, letter = letter }
  end
  local deadline = string.sub(text, owner + 27)
  return { id = id, index = index, category = category, letter = letter,
    booking = string.sub(text, owner, owner + 25),
    deadline_ms = deadline ~= "" and deadline + 0 or 0 }
end

-- The most seats in one command: `unpack` is limited to about 8,000 values.
seats.AT_ONCE = 2000

-- Read the seats of several requests in one command, for `seats.read` in the same call.
function seats.read_ahead(box, ids)
  local rows = {}
  for first = 1, #ids, seats.AT_ONCE do
    local last = math.min(first + seats.AT_ONCE - 1, #ids)
    for i, text in ipairs(redis.call("HMGET", box.seats, unpack(ids, first, last))) do
      rows[ids[first + i - 1]] = text
    end
  end
  box.rows = rows
end

-- The seats of a list, and the ids the event does not have: nil if it has all. For a few thousand
-- seats at most.
function seats.read(box, ids)
  local found, rows, unknown = {}, box.rows, nil
  local texts = not rows and #ids > 0 and redis.call("HMGET", box.seats, unpack(ids))
  for i = 1, #ids do
    local id = ids[i]
    local text = rows and rows[id] or texts and texts[i]
    if text then
      found[#found + 1] = seats.parse(id, text)
    else
      unknown = unknown or {}
      unknown[#unknown + 1] = id
    end
  end
  return found, unknown
end

-- Read seats that are not read yet, for `seats.read` in the same call. Returns those there are.
function seats.read_more(box, ids)
  local missing = {}
  for i = 1, #ids do
    if not box.rows[ids[i]] then
      missing[#missing + 1] = ids[i]
    end
  end
  for i, text in ipairs(#missing > 0 and redis.call("HMGET", box.seats, unpack(missing)) or {}) do
    box.rows[missing[i]] = text
  end
  return (seats.read(box, ids))
end

-- Seats that get the same letter: the fields of the hash, and the places in the map.
function seats.writes()
  return { fields = {}, indexes = {} }
end

-- Give every seat of the list one status, in `writes` for `seats.write`. `booking` and
-- `deadline_ms` are passed with h and s only.
function seats.put_later(box, writes, list, letter, booking, deadline_ms)
  local behind = "," .. letter .. (booking and ("," .. booking .. "," .. deadline_ms) or "")
  local fields, indexes = writes.fields, writes.indexes
  for i = 1, #list do
    local seat, n = list[i], #indexes
    local text = seat.index .. "," .. seat.category .. behind
    fields[2 * n + 1] = seat.id
    fields[2 * n + 2] = text
    indexes[n + 1] = seat.index
    if box.rows then
      box.rows[seat.id] = text
    end
  end
end

-- Write what `seats.put_later` collected.
function seats.write(box, writes, letter)
  local fields, indexes = writes.fields, writes.indexes
  for first = 1, #fields, 2 * seats.AT_ONCE do
    local last = math.min(first + 2 * seats.AT_ONCE - 1, #fields)
    redis.call("HSET", box.seats, unpack(fields, first, last))
  end
  for i = 1, #indexes do
    redis.call("SETRANGE", box.map, indexes[i], letter)
  end
end

-- Give every seat of the list one status at once.
function seats.put(box, list, letter, booking, deadline_ms)
  local writes = seats.writes()
  seats.put_later(box, writes, list, letter, booking, deadline_ms)
  seats.write(box, writes, letter)
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
        local id = ids[first + i - 1]
        fields[n + 1], fields[n + 2] = id, index .. "," .. category .. ",a"
        if box.rows then
          box.rows[id] = fields[n + 2]
        end
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
