-- @include lib/event
-- @include lib/seats
-- @include lib/areas
-- @include lib/journal
-- The record of a booking is JSON; `seats` is "A-1-1 A-1-2", `areas` is "floor=2 pit=1".
local bookings = {}

-- The longest time that the record of a booking is kept after it ended unpaid, and that the request
-- of a hold is known. Holding and giving up again and again leaves no more than this in Redis.
bookings.UNPAID_TTL_MS = 3600000

-- The record and its JSON, or nil if there is none or `customer` ("" = any) does not own it.
function bookings.read(box, ulid, customer)
  local json = box.fresh and box.fresh[ulid] or redis.call("HGET", box.bookings, ulid)
  local record = json and cjson.decode(json)
  if record and (customer == "" or customer == record.customer) then
    return record, json
  end
end

-- A list of the words in `text`, as of seats. Most have one, and a pattern costs more than the rest
-- of a claim.
function bookings.words(text)
  if text ~= "" and not string.find(text, " ", 1, true) then
    return { text }
  end
  local list = {}
  for word in string.gmatch(text, "%S+") do
    list[#list + 1] = word
  end
  return list
end

bookings.NO_AREAS = {}

-- A list of { id, quantity }.
function bookings.areas(text)
  if text == "" then
    return bookings.NO_AREAS
  end
  local list = {}
  for id, quantity in string.gmatch(text, "(%S+)=(%d+)") do
    list[#list + 1] = { id = id, quantity = tonumber(quantity) }
  end
  return list
end

-- The seats of the record whose value still has the id of this booking.
function bookings.own_seats(box, ulid, record)
  local own = {}
  for _, seat in ipairs((seats.read(box, bookings.words(record.seats)))) do
    if seat.booking == ulid then
      own[#own + 1] = seat
    end
  end
  return own
end

-- Write the record and its journal entry. Returns the record's JSON.
function bookings.write(box, kind, ulid, record)
  local json = cjson.encode(record)
  redis.call("HSET", box.bookings, ulid, json)
  journal.booking(box, kind, ulid, json)
  return json
end

-- Write a record that owes money. One that has ended is kept as long as one that ends now.
function bookings.write_owed(box, ulid, record)
  if record.status ~= "pending" and record.status ~= "confirmed" then
    redis.call("ZADD", box.ended, box.now_ms + box.state.ended_ttl_ms, ulid)
  end
  return bookings.write(box, "refund_due", ulid, record)
end

-- Another deadline for a pending booking, in all the places that name it.
function bookings.move_deadline(box, hold_key, ulid, record, expires_at_ms)
  seats.put(box, bookings.own_seats(box, ulid, record), "h", ulid, expires_at_ms)
  redis.call("ZADD", box.deadlines, expires_at_ms, ulid)
  redis.call("SET", hold_key, "", "PX", expires_at_ms - box.now_ms)
  record.expires_at_ms = expires_at_ms
end

-- List a pending or confirmed booking for its customer: it counts against the purchase limit.
function bookings.list_for_customer(box, ulid, record)
  redis.call("ZADD", box.customers, 0, record.customer .. " " .. ulid)
end

-- How long the record of a booking that ends is kept: `ended_ttl_ms`, but UNPAID_TTL_MS at most if
-- there is no payment to know of.
function bookings.kept_ms(box, record, status)
  if status == "cancelled" or record.payments or record.refund_reason then
    return box.state.ended_ttl_ms
  end
  return math.min(box.state.ended_ttl_ms, bookings.UNPAID_TTL_MS)
end

-- End bookings of one status, each a { ulid, record }: free their places and keep the records for
-- a while. In bulk, because 100,000 holds may end at one instant. Returns the records' JSON.
function bookings.finish(box, kind, list, status)
  local from = list[1].record.status == "confirmed" and "sold" or "held"
  local ending, named, seat_ids, quantities = {}, {}, {}, {}
  for _, item in ipairs(list) do
    ending[item.ulid] = true
    for id in string.gmatch(item.record.seats, "%S+") do
      if not named[id] then
        named[id], seat_ids[#seat_ids + 1] = true, id
      end
    end
    for id, quantity in string.gmatch(item.record.areas, "(%S+)=(%d+)") do
      quantities[id] = (quantities[id] or 0) + quantity
    end
  end
  event.move(box, from, "available", seats.free(box, seat_ids, ending))
  for id, quantity in pairs(quantities) do
    areas.move(box, id, from, "available", quantity)
    event.move(box, from, "available", quantity)
  end
  return bookings.write_ended(box, kind, list, status)
end

-- Expire an overdue booking, if it is still pending.
function bookings.end_overdue(box, ulid, record)
  if record.status == "pending" then
    bookings.finish(box, "booking_expired", { { ulid = ulid, record = record } }, "expired")
  end
end

-- Write the records of bookings that end, and remove the bookings from the lists of active ones.
-- The JSON of a pending booking, if the caller passes it, is edited as text: encoding takes a tenth
-- of the time in a rush. Quotes within a value are escaped, so the pattern matches only the status.
function bookings.write_ended(box, kind, list, status)
  local ulids, claimed, kept, rows, jsons = {}, {}, {}, {}, {}
  local ended = string.format('"status":"%s","ended_at_ms":%.0f', status, box.now_ms)
  for i, item in ipairs(list) do
    local record = item.record
    claimed[i] = record.customer .. " " .. item.ulid
    record.status, record.ended_at_ms = status, box.now_ms
    local json, changed = string.gsub(item.json or "", '"status":"pending"', ended, 1)
    ulids[i], jsons[i] = item.ulid, changed == 1 and json or cjson.encode(record)
    local gone_at_ms = box.now_ms + bookings.kept_ms(box, record, status)
    kept[2 * i - 1], kept[2 * i] = string.format("%.0f", gone_at_ms), item.ulid
    rows[2 * i - 1], rows[2 * i] = item.ulid, jsons[i]
  end
  redis.call("ZADD", box.ended, unpack(kept))
  redis.call("ZREM", box.deadlines, unpack(ulids))
  redis.call("ZREM", box.customers, unpack(claimed))
  redis.call("HSET", box.bookings, unpack(rows))
  for i, item in ipairs(list) do
    journal.booking(box, kind, item.ulid, jsons[i])
  end
  return jsons
end
