-- @include lib/event
-- @include lib/seats
-- @include lib/areas
-- @include lib/journal
-- A booking's record is JSON; `seats` is "A-1-1 A-1-2", `areas` is "floor=2 pit=1".
local bookings = {}

-- The record, if there is one and it is this customer's ("" = anybody's).
function bookings.read(box, ulid, customer)
  local json = redis.call("HGET", box.bookings, ulid)
  local record = json and cjson.decode(json)
  if record and (customer == "" or customer == record.customer) then
    return record, json
  end
end

function bookings.seat_ids(record)
  local ids = {}
  for id in string.gmatch(record.seats, "%S+") do
    ids[#ids + 1] = id
  end
  return ids
end

-- List of { id, quantity }.
function bookings.areas(record)
  local list = {}
  for id, quantity in string.gmatch(record.areas, "(%S+)=(%d+)") do
    list[#list + 1] = { id = id, quantity = tonumber(quantity) }
  end
  return list
end

-- The seats of the record that still carry its id.
function bookings.own_seats(box, ulid, record)
  local own = {}
  for _, seat in ipairs((seats.read(box, bookings.seat_ids(record)))) do
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

-- A claim that stands: it counts against the customer's limit.
function bookings.list_for_customer(box, ulid, record)
  redis.call("ZADD", box.customers, 0, record.customer .. " " .. ulid)
end

-- Give everything back and keep the record for a while. Returns the record's JSON.
function bookings.finish(box, kind, ulid, record, status)
  local from = record.status == "confirmed" and "sold" or "held"
  local own = bookings.own_seats(box, ulid, record)
  seats.put(box, own, "a")
  event.move(box, from, "available", #own)
  for _, area in ipairs(bookings.areas(record)) do
    areas.move(box, area.id, from, "available", area.quantity)
    event.move(box, from, "available", area.quantity)
  end
  redis.call("ZADD", box.ended, box.now_ms + box.is.ended_ttl_ms, ulid)
  redis.call("ZREM", box.deadlines, ulid)
  redis.call("ZREM", box.customers, record.customer .. " " .. ulid)
  record.status, record.ended_at_ms = status, box.now_ms
  return bookings.write(box, kind, ulid, record)
end
