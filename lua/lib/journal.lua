-- The journal, a stream with one entry per change, appended by the script that makes the change.
local journal = {}

-- An entry has the whole booking after the change, so a reader needs no earlier entry.
function journal.booking(box, kind, ulid, json)
  box.position = redis.call("XADD", box.journal, "*", "kind", kind, "at_ms", box.now_ms,
    "epoch", box.state.epoch, "booking_id", ulid, "booking", json)
end

-- A change of the event: `json` says what changed. `layout` is passed if places are new: all of a
-- load, or what was added to the layout of the `known_version` in `json`.
function journal.event(box, kind, json, layout)
  local fields = { "kind", kind, "at_ms", box.now_ms, "epoch", box.state.epoch, "event", json }
  if layout then
    fields[#fields + 1] = "layout"
    fields[#fields + 1] = layout
  end
  box.position = redis.call("XADD", box.journal, "*", unpack(fields))
end
