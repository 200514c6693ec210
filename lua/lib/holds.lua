-- @include lib/event
-- @include lib/seats
-- @include lib/bookings
-- @include lib/claims
-- @include lib/requests
-- Decides requests to hold, one after another, as if each were a call of its own. What they read is
-- read once; what they write is collected and written once, but for what must be in order: the
-- journal entries, and the end of overdue holds in the way.
local holds = {}

-- Read the requests from `args` and `keys` behind the given places, in the form of hold_seats.
-- Returns them, and what the keys of their request ids and limits hold, by key.
function holds.requests(keys, args, key_at, at)
  local list, text_keys, texts = {}, {}, {}
  for i = 1, tonumber(args[at]) do
    if args[at + 1] ~= "seats" then
      error({ err = "ERR hold_seats knows no request of kind " .. tostring(args[at + 1]) })
    end
    local request = { ulid = args[at + 2], customer = args[at + 3], digest = args[at + 4],
      hold_key = keys[key_at + 1], request_key = keys[key_at + 2],
      limits = {}, seats = {}, areas = {} }
    key_at = key_at + 2
    if request.digest ~= "" then
      text_keys[#text_keys + 1] = request.request_key
    end
    local count = tonumber(args[at + 5])
    for j = 1, count do
      request.limits[j] = { key = keys[key_at + j], interval_ms = tonumber(args[at + 4 + 2 * j]),
        burst = tonumber(args[at + 5 + 2 * j]) }
      text_keys[#text_keys + 1] = keys[key_at + j]
    end
    key_at, at = key_at + count, at + 6 + 2 * count
    count = tonumber(args[at])
    for j = 1, count do
      request.seats[j] = args[at + j]
    end
    at = at + count + 1
    count = tonumber(args[at])
    for j = 1, count do
      request.areas[j] = { id = args[at - 1 + 2 * j], quantity = tonumber(args[at + 2 * j]) }
    end
    at = at + 2 * count
    list[i] = request
  end
  if #text_keys > 0 then
    for i, text in ipairs(redis.call("MGET", unpack(text_keys))) do
      texts[text_keys[i]] = text
    end
  end
  return list, texts
end

-- What the requests of one call share.
function holds.new(box, list, texts)
  local seat_ids = {}
  for _, request in ipairs(list) do
    for _, id in ipairs(request.seats) do
      seat_ids[#seat_ids + 1] = id
    end
  end
  seats.read_ahead(box, seat_ids)
  box.fresh = {}
  local expires = string.format("%.0f", box.now_ms + box.state.hold_ttl_ms)
  local terms = string.format(',"currency":"%s","held_at_ms":%.0f,"expires_at_ms":%s}',
    box.state.currency, box.now_ms, expires)
  return { box = box, texts = texts, expires = expires, terms = terms, held_places = {},
    seats = seats.writes(), bookings = {}, deadlines = {}, customers = {} }
end

-- The reply of one request: { ulid, customer, digest, hold_key, request_key, seats, areas }.
function holds.reply(batch, request)
  local box, ulid, digest = batch.box, request.ulid, request.digest
  if digest ~= "" then
    local earlier_digest, earlier_ulid = requests.parse(batch.texts[request.request_key])
    if earlier_digest and earlier_digest ~= digest then
      return { "REQUEST_REUSED" }
    end
    if earlier_ulid then
      ulid = earlier_ulid
      local _, earlier = bookings.read(box, ulid, request.customer)
      if earlier then
        return { "OK", ulid, earlier, "repeated" }
      end
    end
  end
  local claim = claims.new(ulid, request.customer, request.seats, request.areas)
  claim.held_before = batch.held_places[request.customer] or 0
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

  local json = holds.json(batch, claim)

  -- Writes.
  local late_ms = claims.clear(box, claim)
  holds.take(batch, request, claim, json)
  return { "OK", ulid, json, "new", unpack(late_ms) }
end

-- Give the places of a claim to its booking, whose record is `json`.
function holds.take(batch, request, claim, json)
  local box, ulid, customer = batch.box, claim.ulid, claim.customer
  claims.take(box, claim, batch.seats, "h", batch.expires)
  redis.call("SET", request.hold_key, "", "PX", box.state.hold_ttl_ms)
  if request.digest ~= "" then
    batch.texts[request.request_key] =
      requests.remember(box, request.request_key, request.digest, ulid)
  end
  journal.booking(box, "seats_held", ulid, json)
  box.fresh[ulid] = json
  batch.held_places[customer] = claim.held_before + claim.places
  local n = #batch.bookings
  batch.bookings[n + 1], batch.bookings[n + 2] = ulid, json
  batch.deadlines[n + 1], batch.deadlines[n + 2] = batch.expires, ulid
  batch.customers[n + 1], batch.customers[n + 2] = 0, customer .. " " .. ulid
end

-- The record of a new hold. Written as text, because encoding a table takes several times as long;
-- only the customer's id may have characters that JSON escapes.
function holds.json(batch, claim)
  local area_text = ""
  for i, area in ipairs(claim.areas) do
    area_text = area_text .. (i > 1 and " " or "") .. area.id .. "=" .. area.quantity
  end
  local seat_text = #claim.seats == 1 and claim.seats[1] or table.concat(claim.seats, " ")
  return '{"customer":' .. cjson.encode(claim.customer) .. ',"status":"pending","places":'
    .. claim.places .. ',"seats":"' .. seat_text .. '","areas":"' .. area_text
    .. '","amount_minor":' .. string.format("%.0f", claims.amount_minor(batch.box, claim))
    .. batch.terms
end

-- Write what the holds of all requests have in common.
function holds.write(batch)
  local box = batch.box
  if #batch.bookings == 0 then
    return
  end
  seats.write(box, batch.seats, "h")
  redis.call("HSET", box.bookings, unpack(batch.bookings))
  redis.call("ZADD", box.deadlines, unpack(batch.deadlines))
  redis.call("ZADD", box.customers, unpack(batch.customers))
  event.save(box)
end
