-- @include lib/event
-- @include lib/seats
-- @include lib/areas
-- @include lib/bookings
-- Decides whether a booking may have its places: the same check for a hold and for a late payment.
-- A claim is { ulid, customer, seats = {id}, areas = {{id, quantity}}, places }, and has the texts
-- of a record, `seat_text` and `area_text`. The checks add `seat_rows` and `area_rows`. An overdue
-- hold blocks no claim: the checks collect it in `overdue`, and `claims.clear` expires it.
local claims = {}

claims.OVERDUE_MAX = 500

-- The table has room for what is added later: growing would allocate it again.
function claims.new(ulid, customer, seat_text, area_text)
  local seat_ids, area_list = bookings.words(seat_text), bookings.areas(area_text)
  local places = #seat_ids
  for i = 1, #area_list do
    places = places + area_list[i].quantity
  end
  return { ulid = ulid, customer = customer, seats = seat_ids, areas = area_list, places = places,
    seat_text = seat_text, area_text = area_text, seat_rows = nil, area_rows = nil }
end

-- The record if this booking is an overdue hold that the expirer has not reached yet, else nil.
function claims.add_overdue(box, claim, ulid)
  local record = claim.overdue and claim.overdue[ulid] or bookings.read(box, ulid, "")
  if record and record.status == "pending" and record.expires_at_ms <= box.now_ms then
    claim.overdue = claim.overdue or {}
    claim.overdue[ulid] = record
    return record
  end
end

-- What overdue holds have of every area: { [area_id] = { places, overdue } }. Read once per call,
-- and again after some were expired. Only the OVERDUE_MAX earliest deadlines are read.
function claims.overdue_areas(box)
  local due = redis.call("ZRANGE", box.deadlines, "-inf", box.now_ms, "BYSCORE", "LIMIT", 0,
    claims.OVERDUE_MAX)
  local found = {}
  for i, json in ipairs(#due > 0 and redis.call("HMGET", box.bookings, unpack(due)) or {}) do
    local record = json and cjson.decode(json)
    local is_due = record and record.status == "pending" and record.expires_at_ms <= box.now_ms
    for _, area in ipairs(is_due and bookings.areas(record.areas) or {}) do
      local freed = found[area.id] or { places = 0, overdue = {} }
      freed.places = freed.places + area.quantity
      freed.overdue[due[i]] = record
      found[area.id] = freed
    end
  end
  return found
end

-- Add the overdue holds of one area to the claim. Returns the number of places they free: its own
-- hold's too, which may be later than the earliest.
function claims.overdue_places(box, claim, area_id)
  box.overdue_areas = box.overdue_areas or claims.overdue_areas(box)
  local freed = box.overdue_areas[area_id] or { places = 0, overdue = {} }
  local places, own = freed.places, claim.overdue and claim.overdue[claim.ulid]
  local is_later = own and not freed.overdue[claim.ulid]
  for _, area in ipairs(is_later and bookings.areas(own.areas) or {}) do
    places = places + (area.id == area_id and area.quantity or 0)
  end
  claim.overdue = claim.overdue or {}
  for ulid, record in pairs(freed.overdue) do
    claim.overdue[ulid] = record
  end
  return places
end

function claims.check_areas(box, claim)
  if #claim.areas == 0 then
    return nil
  end
  local unknown, full = {}, {}
  claim.area_rows = {}
  for i, wanted in ipairs(claim.areas) do
    local area = areas.read(box, wanted.id)
    claim.area_rows[i] = area
    if not area then
      unknown[#unknown + 1] = wanted.id
    else
      local lacking = wanted.quantity - (area.capacity - area.held - area.sold)
      if lacking > 0 and claims.overdue_places(box, claim, wanted.id) < lacking then
        full[#full + 1] = wanted.id
      end
    end
  end
  if #unknown > 0 then
    return { "AREA_NOT_FOUND", unpack(unknown) }
  elseif #full > 0 then
    return { "AREA_FULL", unpack(full) }
  end
end

function claims.check_seats(box, claim)
  local found, unknown = seats.read(box, claim.seats)
  if unknown then
    return { "SEAT_NOT_FOUND", unpack(unknown) }
  end
  local refusal
  for i = 1, #found do
    local seat = found[i]
    local free = seat.letter == "a" or seat.letter == "h" and seat.deadline_ms <= box.now_ms
      and claims.add_overdue(box, claim, seat.booking)
    if not free then
      refusal = refusal or { "SEAT_TAKEN" }
      refusal[#refusal + 1] = seat.id
    end
  end
  claim.seat_rows = found
  return refusal
end

-- The purchase limit: counts the places that other bookings of the customer hold or have bought.
-- Those of the same call are not listed yet: `box.held_places` has them by customer.
function claims.check_limit(box, claim)
  if box.state.customer_max == 0 then
    return nil
  end
  local has = box.held_places and box.held_places[claim.customer] or 0
  local listed = redis.call("ZRANGE", box.customers, "[" .. claim.customer .. " ",
    "(" .. claim.customer .. "!", "BYLEX")
  for _, member in ipairs(listed) do
    local ulid = string.sub(member, -26)
    if ulid ~= claim.ulid and not claims.add_overdue(box, claim, ulid) then
      local record = bookings.read(box, ulid, claim.customer)
      has = has + (record and record.places or 0)
    end
  end
  if has + claim.places > box.state.customer_max then
    return { "LIMIT_REACHED", tostring(box.state.customer_max), tostring(has) }
  end
end

-- nil, or the refusal: a code and its details. Writes nothing.
function claims.refusal(box, claim)
  return claims.check_seats(box, claim) or claims.check_areas(box, claim)
    or claims.check_limit(box, claim)
end

-- The price of a category by its number: 0 is the first of "1500,900".
function claims.price(box, category)
  if not box.price_list then
    box.price_list = {}
    for price in string.gmatch(box.state.prices, "%d+") do
      box.price_list[#box.price_list + 1] = tonumber(price)
    end
  end
  return box.price_list[category + 1]
end

-- The price of the claimed places, in minor units. Call it after `refusal` returned nil.
function claims.amount_minor(box, claim)
  local amount = 0
  for i = 1, #claim.seat_rows do
    amount = amount + claims.price(box, claim.seat_rows[i].category)
  end
  for i = 1, #claim.areas do
    local price = claims.price(box, claim.area_rows[i].category)
    amount = amount + price * claim.areas[i].quantity
  end
  return amount
end

-- Expire the overdue holds of the claim. Returns how long each was past its deadline, in ms.
function claims.clear(box, claim)
  local list, late_ms = {}, {}
  for ulid, record in pairs(claim.overdue or {}) do
    list[#list + 1] = { ulid = ulid, record = record }
    late_ms[#late_ms + 1] = box.now_ms - record.expires_at_ms
  end
  if #list > 0 then
    bookings.finish(box, "booking_expired", list, "expired")
    box.overdue_areas = nil
  end
  return late_ms
end

-- Give the places to the booking: `letter` is h or s. The seats are written with `writes`.
function claims.take(box, claim, writes, letter, deadline_ms)
  local to = letter == "h" and "held" or "sold"
  seats.put_later(box, writes, claim.seat_rows, letter, claim.ulid, deadline_ms)
  for i = 1, #claim.areas do
    areas.move(box, claim.areas[i].id, "available", to, claim.areas[i].quantity)
  end
  event.move(box, "available", to, claim.places)
end

-- Sell the claimed places to the booking.
function claims.sell(box, claim)
  local writes = seats.writes()
  claims.take(box, claim, writes, "s", 0)
  seats.write(box, writes, "s")
end

-- Sell the claimed places to a booking that had ended, or whose deadline has passed.
function claims.sell_late(box, claim, record)
  claims.sell(box, claim)
  redis.call("ZREM", box.ended, claim.ulid)
  bookings.list_for_customer(box, claim.ulid, record)
  record.ended_at_ms, record.late = nil, true
end
