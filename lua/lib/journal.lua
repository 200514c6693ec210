-- The stream of what happened: one entry a change, written by the script that made it.
local journal = {}

-- A booking as it is after the change: a reader needs no earlier entry.
function journal.booking(box, kind, ulid, json)
  box.position = redis.call("XADD", box.journal, "*", "kind", kind, "at_ms", box.now_ms,
    "epoch", box.is.epoch, "booking_id", ulid, "booking", json)
end

-- What an event became. `layout` only where it changed.
function journal.event(box, kind, json, layout)
  local fields = { "kind", kind, "at_ms", box.now_ms, "epoch", box.is.epoch, "event", json }
  if layout then
    fields[#fields + 1] = "layout"
    fields[#fields + 1] = layout
  end
  box.position = redis.call("XADD", box.journal, "*", unpack(fields))
end
