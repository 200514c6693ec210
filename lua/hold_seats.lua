--[[
Hold every seat and standing place of a selection for one customer, or none of them.

An overdue hold on one of these places is expired here: a customer does not wait for the expirer.

KEYS[1-9]  event seats map areas bookings deadlines customers ended journal
KEYS[10]   hold       string   TTL key of this booking
KEYS[11]   request    string   <digest> <ulid>

ARGV[1]    now_ms     "" = the clock of Redis (tests pass a number)
ARGV[2]    ulid       of the new booking
ARGV[3]    customer
ARGV[4]    digest     digest of the selection; "" = no request id
ARGV[5]    seat count, 0 to 50
ARGV[6...] seats, then area, quantity pairs

Returns  {"OK", ulid, record, "new", late_ms, ...}   late_ms: one number per hold expired here
         {"OK", ulid, record, "repeated"}            the request id was used before
         {"EVENT_NOT_FOUND"} {"REQUEST_REUSED"} {"SALES_CLOSED", why} {"TOO_MANY_SEATS", seats_max}
         {"SEAT_NOT_FOUND", seat, ...} {"AREA_NOT_FOUND", area, ...}
         {"SEAT_TAKEN", seat, ...} {"AREA_FULL", area, ...} {"LIMIT_REACHED", customer_max, has}
         A refusal writes nothing.
]]
-- @include lib/event
-- @include lib/bookings
-- @include lib/claims
-- @include lib/requests
local box = event.open(KEYS, ARGV[1])
local hold_key, request_key = KEYS[10], KEYS[11]
local ulid, customer, digest, seat_count = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])

if not box then
  return { "EVENT_NOT_FOUND" }
end
if digest ~= "" then
  local earlier_digest, earlier_ulid = requests.find(request_key)
  if earlier_digest and earlier_digest ~= digest then
    return { "REQUEST_REUSED" }
  end
  if earlier_ulid then
    ulid = earlier_ulid
    local _, earlier = bookings.read(box, ulid, customer)
    if earlier then
      return { "OK", ulid, earlier, "repeated" }
    end
  end
end

local seat_ids, area_list = {}, {}
for i = 6, 5 + seat_count do
  seat_ids[#seat_ids + 1] = ARGV[i]
end
for i = 6 + seat_count, #ARGV, 2 do
  area_list[#area_list + 1] = { id = ARGV[i], quantity = tonumber(ARGV[i + 1]) }
end
local claim = claims.new(ulid, customer, seat_ids, area_list)
local closed = event.sales_refusal(box)
if closed then
  return { "SALES_CLOSED", closed }
elseif claim.places > box.state.seats_max then
  return { "TOO_MANY_SEATS", tostring(box.state.seats_max) }
end
local refusal = claims.refusal(box, claim)
if refusal then
  return refusal
end

local area_texts = {}
for _, area in ipairs(area_list) do
  area_texts[#area_texts + 1] = area.id .. "=" .. area.quantity
end
local expires_at_ms = box.now_ms + box.state.hold_ttl_ms
local record = {
  customer = customer, status = "pending", places = claim.places,
  seats = table.concat(seat_ids, " "), areas = table.concat(area_texts, " "),
  amount_minor = claims.amount_minor(box, claim), currency = box.state.currency,
  held_at_ms = box.now_ms, expires_at_ms = expires_at_ms,
}

-- Writes.
local late_ms = claims.clear(box, claim)
claims.take(box, claim, "h", expires_at_ms)
redis.call("ZADD", box.deadlines, expires_at_ms, ulid)
bookings.list_for_customer(box, ulid, record)
redis.call("SET", hold_key, "", "PX", box.state.hold_ttl_ms)
if digest ~= "" then
  requests.remember(box, request_key, digest, ulid)
end
local json = bookings.write(box, "seats_held", ulid, record)
event.save(box)
return { "OK", ulid, json, "new", unpack(late_ms) }
