-- @include lib/clock
-- The event hash: how it is sold, and how many places have each status.
local event = {}

event.FIELDS = {
  "sales", "opens_at_ms", "closes_at_ms", "hold_ttl_ms", "hold_max_ms", "seats_max", "customer_max",
  "ended_ttl_ms", "currency", "prices", "epoch", "owner_id", "available", "held", "sold", "blocked",
}
event.TEXTS = { sales = true, currency = true, prices = true, owner_id = true }

-- The box office: the event's keys, settings and counts, and the time. nil: no such event.
function event.open(keys, given_ms)
  local row = redis.call("HMGET", keys[1], unpack(event.FIELDS))
  if not row[1] then
    return nil
  end
  local box = {
    now_ms = clock.now_ms(given_ms),
    event = keys[1], seats = keys[2], map = keys[3], areas = keys[4], bookings = keys[5],
    deadlines = keys[6], customers = keys[7], ended = keys[8], journal = keys[9],
    is = {},
  }
  for i, field in ipairs(event.FIELDS) do
    box.is[field] = event.TEXTS[field] and row[i] or tonumber(row[i])
  end
  return box
end

-- nil while seats may be held, else why not.
function event.sales_refusal(box)
  local is = box.is
  if is.sales ~= "open" then
    return is.sales
  elseif box.now_ms < is.opens_at_ms then
    return "not_yet"
  elseif is.closes_at_ms > 0 and box.now_ms >= is.closes_at_ms then
    return "ended"
  end
end

-- Move `count` places from one status to another; `event.save` writes it.
function event.move(box, from, to, count)
  box.is[from] = box.is[from] - count
  box.is[to] = box.is[to] + count
end

-- Write the counts and the journal position. The last thing a script does.
function event.save(box)
  local is = box.is
  redis.call("HSET", box.event, "available", is.available, "held", is.held, "sold", is.sold,
    "blocked", is.blocked, "position", box.position)
end
