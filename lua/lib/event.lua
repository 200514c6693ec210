-- @include lib/clock
-- The event hash: its sales settings, and the number of places in each status.
local event = {}

-- The form of the keys that these scripts read and write. It changes when a script of the release
-- before would read them wrongly; an event without a number has the first.
event.FORMAT = "1"

-- The box office: keys, settings and counts of the event, and the time. nil = no such event.
-- A fenced event raises an error before anything is written, as a server does while LOADING. The
-- check is here and not in each script, so that no script can leave it out.
function event.open(keys, given_ms)
  local box = event.read(keys, given_ms)
  if box and box.state.sales == "restoring" then
    error({ err = "RESTORING the event is fenced until it is restored" })
  end
  return box
end

-- A field of the event as a number, nil if it has none. `tonumber` reads a text twice.
function event.number(text)
  return text and text + 0 or nil
end

-- As `open`, without the fence: for the scripts of a restore. The fields are written out because
-- every call runs this, and a loop over a list of names is slower.
function event.read(keys, given_ms)
  local number = event.number
  local row = redis.call("HMGET", keys[1], "sales", "opens_at_ms", "closes_at_ms", "hold_ttl_ms",
    "seats_max", "customer_max", "ended_ttl_ms", "currency", "prices", "epoch", "available", "held",
    "sold", "blocked", "format", "single_seats")
  if not row[1] then
    return nil
  elseif row[15] and row[15] ~= event.FORMAT then
    error({ err = "FORMAT the event has format " .. row[15] .. ", this release knows "
      .. event.FORMAT })
  end
  return {
    now_ms = clock.now_ms(given_ms),
    event = keys[1], seats = keys[2], map = keys[3], areas = keys[4], bookings = keys[5],
    deadlines = keys[6], customers = keys[7], ended = keys[8], journal = keys[9], position = "",
    state = {
      sales = row[1], opens_at_ms = number(row[2]), closes_at_ms = number(row[3]),
      hold_ttl_ms = number(row[4]), seats_max = number(row[5]), customer_max = number(row[6]),
      ended_ttl_ms = number(row[7]), currency = row[8], prices = row[9], epoch = number(row[10]),
      available = number(row[11]), held = number(row[12]), sold = number(row[13]),
      blocked = number(row[14]), single_seats = row[16] or "avoid",
    },
  }
end

-- nil while seats may be held, otherwise the reason.
function event.sales_refusal(box)
  local state = box.state
  if state.sales ~= "open" then
    return state.sales
  elseif box.now_ms < state.opens_at_ms then
    return "not_yet"
  elseif state.closes_at_ms > 0 and box.now_ms >= state.closes_at_ms then
    return "ended"
  end
end

-- The terms that few calls ask for; `read` has those that every call pays for.
function event.terms(box)
  local row = redis.call("HMGET", box.event, "starts_at_ms", "cancel_until_ms", "late_payment",
    "payment_max_ms", "hold_max_ms")
  return {
    starts_at_ms = tonumber(row[1]) or 0, cancel_until_ms = tonumber(row[2]) or 0,
    late_payment = row[3] or "confirm", payment_max_ms = tonumber(row[4]) or 0,
    hold_max_ms = tonumber(row[5]),
  }
end

-- When wheelchair places and those of companions are for everybody; 0 = never.
function event.accessible_release_at_ms(box)
  return tonumber(redis.call("HGET", box.event, "accessible_release_at_ms") or 0)
end

function event.owner_id(box)
  return redis.call("HGET", box.event, "owner_id")
end

-- nil if a payment may still buy places after its deadline, else why not.
function event.late_refusal(box)
  local terms = event.terms(box)
  if terms.late_payment == "refund" then
    return { "LATE_PAYMENT" }
  elseif terms.starts_at_ms > 0 and box.now_ms >= terms.starts_at_ms then
    return { "EVENT_BEGUN" }
  end
end

-- Move `count` places from one status to another; `event.save` writes it.
function event.move(box, from, to, count)
  box.state[from] = box.state[from] - count
  box.state[to] = box.state[to] + count
end

-- Write the counts and the journal position. Call it last.
function event.save(box)
  local state = box.state
  redis.call("HSET", box.event, "available", state.available, "held", state.held,
    "sold", state.sold, "blocked", state.blocked, "position", box.position)
end
