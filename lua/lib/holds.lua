-- @include lib/batches
-- @include lib/seats
-- @include lib/bookings
-- @include lib/claims
-- @include lib/requests
-- @include lib/singles
-- Decides requests to hold. What they read is read once; what they write is collected and written
-- once, but for what must be in order: journal entries, and the end of overdue holds in the way.
local holds = {}

-- A claim of these places with { digest, hold_key, request_key }: what requests of every kind have.
function holds.request(keys, key_at, args, at, seat_text, area_text)
  local request = claims.new(args[at + 2], args[at + 3], seat_text, area_text)
  request.digest, request.hold_key, request.request_key =
    args[at + 4], keys[key_at + 1], keys[key_at + 2]
  request.text_key = request.digest ~= "" and request.request_key or nil
  return request
end

-- A request in the form of hold_seats.
function holds.new(keys, key_at, args, at)
  return holds.request(keys, key_at, args, at, args[at + 5], args[at + 6])
end

-- The kinds of requests. `lib/best` adds one.
holds.FORMS = { seats = { keys = 2, args = 6, new = holds.new } }

-- Read what the requests of a call share, into the batch.
function holds.prepare(batch)
  local box, list, seat_ids = batch.box, batch.list, {}
  for i = 1, #list do
    local ids = list[i].seats
    for j = 1, #ids do
      seat_ids[#seat_ids + 1] = ids[j]
    end
  end
  seats.read_ahead(box, seat_ids)
  box.fresh, box.held_places = {}, {}
  batch.expires = string.format("%.0f", box.now_ms + box.state.hold_ttl_ms)
  batch.terms = string.format(',"currency":"%s","held_at_ms":%.0f,"expires_at_ms":%s}',
    box.state.currency, box.now_ms, batch.expires)
  batch.closed, batch.request_ttl_ms = event.sales_refusal(box), requests.ttl_ms(box)
  batch.seats, batch.bookings, batch.deadlines, batch.customers, batch.n =
    seats.writes(), {}, {}, {}, 0
end

-- The reply of one request.
function holds.reply(batch, request)
  local box, digest = batch.box, request.digest
  local text = batch.texts[request.request_key]
  if text and digest ~= "" then
    local earlier_digest, earlier_ulid = requests.parse(text)
    if earlier_digest and earlier_digest ~= digest then
      return { "REQUEST_REUSED" }
    end
    local _, earlier = bookings.read(box, earlier_ulid or "", request.customer)
    if earlier then
      return { "OK", earlier_ulid, earlier, "repeated" }
    end
  end
  if batch.closed then
    return { "SALES_CLOSED", batch.closed }
  elseif request.places > box.state.seats_max then
    return { "TOO_MANY_SEATS", tostring(box.state.seats_max) }
  end
  local refusal = request.choose and holds.choose(batch, request) or claims.refusal(box, request)
  if not refusal and not request.choose and #request.seats > 0 and singles.are_refused(box) then
    holds.write_seats(batch)
    refusal = singles.refusal(box, request)
  end
  if refusal then
    return refusal
  end

  local json = holds.json(batch, request)

  -- Writes.
  local reply = { "OK", request.ulid, json, "new" }
  if request.overdue then
    for i, late_ms in ipairs(claims.clear(box, request)) do
      reply[4 + i] = late_ms
    end
  end
  holds.take(batch, request, json)
  return reply
end

-- Let a request choose its places in the map, as the requests before it leave it. Returns a
-- refusal, or nil.
function holds.choose(batch, request)
  holds.write_seats(batch)
  return request.choose(batch.box, request) or claims.refusal(batch.box, request)
end

-- Write the seats of the requests so far, for a request that reads the map.
function holds.write_seats(batch)
  seats.write(batch.box, batch.seats, "h")
  batch.seats = seats.writes()
end

-- Give the places of a request to its booking, whose record is `json`.
function holds.take(batch, request, json)
  local box, ulid, customer = batch.box, request.ulid, request.customer
  claims.take(box, request, batch.seats, "h", batch.expires)
  redis.call("SET", request.hold_key, "", "PX", box.state.hold_ttl_ms)
  if request.digest ~= "" then
    batch.texts[request.request_key] =
      requests.remember(request.request_key, request.digest, ulid, batch.request_ttl_ms)
  end
  journal.booking(box, "seats_held", ulid, json)
  box.fresh[ulid] = json
  box.held_places[customer] = (box.held_places[customer] or 0) + request.places
  local held, deadlines, customers, n = batch.bookings, batch.deadlines, batch.customers, batch.n
  held[n + 1] = ulid -- not two in one assignment, which would make the second a key of the hash
  held[n + 2] = json
  deadlines[n + 1] = batch.expires
  deadlines[n + 2] = ulid
  customers[n + 1] = "0"
  customers[n + 2] = customer .. " " .. ulid
  batch.n = n + 2
end

-- The record of a new hold. Written as text, because encoding a table takes several times as long;
-- only the customer's id may have characters that JSON escapes.
function holds.json(batch, request)
  return '{"customer":' .. cjson.encode(request.customer) .. ',"status":"pending","places":'
    .. string.format("%d", request.places) .. ',"seats":"' .. request.seat_text .. '","areas":"'
    .. request.area_text .. '","amount_minor":'
    .. string.format("%.0f", claims.amount_minor(batch.box, request))
    .. (request.together and ',"together":"' .. request.together .. '"' or "") .. batch.terms
end

-- Write what the holds of all requests have in common.
function holds.write(batch)
  local box = batch.box
  if batch.n == 0 then
    return
  end
  seats.write(box, batch.seats, "h")
  redis.call("HSET", box.bookings, unpack(batch.bookings))
  redis.call("ZADD", box.deadlines, unpack(batch.deadlines))
  redis.call("ZADD", box.customers, unpack(batch.customers))
end
