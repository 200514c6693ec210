-- @include lib/seats
-- @include lib/areas
-- @include lib/bookings
-- An event recomputed from what is true about it: its seats and its bookings.
local recount = {}

recount.STATUS = { a = "available", h = "held", s = "sold", b = "blocked" }

-- ulid -> record of every booking that claims places.
function recount.records(box)
  local records, all = {}, redis.call("HGETALL", box.bookings)
  for i = 1, #all, 2 do
    local record = cjson.decode(all[i + 1])
    if record.status == "pending" or record.status == "confirmed" then
      records[all[i]] = record
    end
  end
  return records
end

-- Every seat; those held for a booking that does not hold them: in `rows` they are free; and by
-- booking those that say another deadline than it.
function recount.seats(box, records)
  local rows, orphans, other, all = {}, {}, {}, redis.call("HGETALL", box.seats)
  for i = 1, #all, 2 do
    local seat = seats.parse(all[i], all[i + 1])
    local record = records[seat.booking]
    if seat.letter == "h" and (not record or record.status ~= "pending") then
      seat.letter = "a"
      orphans[#orphans + 1] = seat
    elseif seat.letter == "h" and seat.deadline_ms ~= record.expires_at_ms then
      other[seat.booking] = other[seat.booking] or {}
      table.insert(other[seat.booking], seat)
    end
    rows[#rows + 1] = seat
  end
  return rows, orphans, other
end

-- area -> what it should say.
function recount.areas(box, records)
  local rows, all = {}, redis.call("HKEYS", box.areas)
  for _, id in ipairs(all) do
    rows[id] = areas.read(box, id)
    rows[id].held, rows[id].sold = 0, 0
  end
  for _, record in pairs(records) do
    local status = record.status == "pending" and "held" or "sold"
    for _, area in ipairs(bookings.areas(record)) do
      rows[area.id][status] = rows[area.id][status] + area.quantity
    end
  end
  return rows
end

function recount.counts(rows, area_rows)
  local counts = { available = 0, held = 0, sold = 0, blocked = 0 }
  for _, seat in ipairs(rows) do
    local status = recount.STATUS[seat.letter]
    counts[status] = counts[status] + 1
  end
  for _, area in pairs(area_rows) do
    counts.held = counts.held + area.held
    counts.sold = counts.sold + area.sold
    counts.available = counts.available + area.capacity - area.held - area.sold
  end
  return counts
end

function recount.write_map(box, rows)
  local bytes, wrong, last = {}, 0, -1
  for _, seat in ipairs(rows) do
    bytes[tonumber(seat.index)] = seat.letter
    last = math.max(last, tonumber(seat.index))
  end
  local old = redis.call("GET", box.map) or ""
  for index = 0, last do
    bytes[index] = bytes[index] or "/"
    if string.sub(old, index + 1, index + 1) ~= bytes[index] then
      wrong = wrong + 1
    end
  end
  if wrong > 0 or #old ~= last + 1 then
    redis.call("SET", box.map, table.concat(bytes, "", 0, last))
  end
  return wrong
end

function recount.write_counts(box, counts)
  local wrong = 0
  for status, count in pairs(counts) do
    if box.is[status] ~= count then
      wrong = wrong + 1
      box.is[status] = count
    end
  end
  return wrong
end

function recount.write_areas(box, area_rows)
  local wrong = 0
  for id, area in pairs(area_rows) do
    local text = area.capacity .. "," .. area.category .. "," .. area.held .. "," .. area.sold
    if redis.call("HGET", box.areas, id) ~= text then
      wrong = wrong + 1
      redis.call("HSET", box.areas, id, text)
    end
  end
  return wrong
end

-- Every pending booking has its deadline, nothing else has one.
function recount.write_deadlines(box, records)
  local wrong = 0
  for _, ulid in ipairs(redis.call("ZRANGE", box.deadlines, 0, -1)) do
    if not records[ulid] or records[ulid].status ~= "pending" then
      wrong = wrong + redis.call("ZREM", box.deadlines, ulid)
    end
  end
  for ulid, record in pairs(records) do
    if record.status == "pending" then
      wrong = wrong + redis.call("ZADD", box.deadlines, "CH", record.expires_at_ms, ulid)
    end
  end
  return wrong
end

-- A held seat ends when its booking does: another's hold goes by what the seat says.
function recount.write_seat_deadlines(box, records, other)
  local wrong = 0
  for ulid, list in pairs(other) do
    wrong = wrong + #list
    seats.put(box, list, "h", ulid, records[ulid].expires_at_ms)
  end
  return wrong
end

-- Every claim is listed for its customer, nothing else is: what is listed counts for his limit.
function recount.write_customers(box, records)
  local wrong, claimed = 0, {}
  for ulid, record in pairs(records) do
    local member = record.customer .. " " .. ulid
    claimed[member] = true
    wrong = wrong + redis.call("ZADD", box.customers, 0, member)
  end
  for _, member in ipairs(redis.call("ZRANGE", box.customers, 0, -1)) do
    if not claimed[member] then
      wrong = wrong + redis.call("ZREM", box.customers, member)
    end
  end
  return wrong
end
