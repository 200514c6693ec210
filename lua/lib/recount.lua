-- @include lib/seats
-- @include lib/areas
-- @include lib/bookings
-- Recomputes an event from its seats and its bookings, which are the truth.
local recount = {}

recount.STATUS = { a = "available", h = "held", s = "sold", b = "blocked" }

-- ulid -> record of every pending and confirmed booking.
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

-- Returns all seats; the orphans, held for a booking that is not pending, which `rows` has as
-- available; and, by booking, the held seats whose deadline differs from that of the booking.
function recount.seats(box, records)
  local rows, orphans, other, all = {}, {}, {}, redis.call("HGETALL", box.seats)
  for i = 1, #all, 2 do
    local seat = seats.parse(all[i], all[i + 1])
    local record = records[seat.booking]
    if seat.letter == "h" and (not record or record.status ~= "pending") then
      seat.letter, seat.is_orphan = "a", true
      orphans[#orphans + 1] = seat
    elseif seat.letter == "h" and seat.deadline_ms ~= record.expires_at_ms then
      other[seat.booking] = other[seat.booking] or {}
      table.insert(other[seat.booking], seat)
    end
    rows[#rows + 1] = seat
  end
  return rows, orphans, other
end

-- area -> its value as it should be, and as it was found.
function recount.areas(box, records)
  local rows = {}
  for _, id in ipairs(redis.call("HKEYS", box.areas)) do
    local found = areas.read(box, id)
    rows[id] = { capacity = found.capacity, category = found.category, held = 0, sold = 0,
      found = found }
  end
  for _, record in pairs(records) do
    local status = record.status == "pending" and "held" or "sold"
    for _, area in ipairs(bookings.areas(record.areas)) do
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

-- `found` is the map as it was read. Orphans are not counted here: they have a count of their own.
function recount.write_map(box, rows, found)
  local bytes, orphans, wrong, last = {}, {}, 0, -1
  for _, seat in ipairs(rows) do
    local index = tonumber(seat.index)
    bytes[index], orphans[index] = seat.letter, seat.is_orphan
    last = math.max(last, index)
  end
  for index = 0, last do
    bytes[index] = bytes[index] or "/"
    if not orphans[index] and string.sub(found, index + 1, index + 1) ~= bytes[index] then
      wrong = wrong + 1
    end
  end
  if wrong > 0 or #found ~= last + 1 then
    redis.call("SET", box.map, table.concat(bytes, "", 0, last))
  end
  return wrong
end

function recount.write_counts(box, counts)
  local wrong = 0
  for status, count in pairs(counts) do
    if box.state[status] ~= count then
      wrong = wrong + 1
      box.state[status] = count
    end
  end
  return wrong
end

function recount.write_areas(box, area_rows)
  local wrong = 0
  for id, area in pairs(area_rows) do
    if area.held ~= area.found.held or area.sold ~= area.found.sold then
      wrong = wrong + 1
      redis.call("HSET", box.areas, id,
        area.capacity .. "," .. area.category .. "," .. area.held .. "," .. area.sold)
    end
  end
  return wrong
end

-- List the deadlines of exactly the pending bookings. `listed` is the list as it was read.
function recount.write_deadlines(box, records, listed)
  local wrong = 0
  for _, ulid in ipairs(listed) do
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

-- Copy the deadline of each booking to its held seats: other holds go by the copy in the seat.
function recount.write_seat_deadlines(box, records, other)
  local wrong = 0
  for ulid, list in pairs(other) do
    wrong = wrong + #list
    seats.put(box, list, "h", ulid, records[ulid].expires_at_ms)
  end
  return wrong
end

-- List exactly the pending and confirmed bookings for their customers: a listed booking counts
-- against the purchase limit. `listed` is the list as it was read.
function recount.write_customers(box, records, listed)
  local wrong, claimed = 0, {}
  for ulid, record in pairs(records) do
    local member = record.customer .. " " .. ulid
    claimed[member] = true
    wrong = wrong + redis.call("ZADD", box.customers, 0, member)
  end
  for _, member in ipairs(listed) do
    if not claimed[member] then
      wrong = wrong + redis.call("ZREM", box.customers, member)
    end
  end
  return wrong
end
