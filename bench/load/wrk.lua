-- One closed loop for the one thread of wrk: wrk -t1 -s wrk.lua URL -- FILE [counted] [pays]
-- FILE has the head of a request, an empty line, and one body a line (see bench/load/closed_loop.py).
-- No bodies: GET. counted: count answers by status. pays: confirm every held booking.
-- wrk passes answers to Lua only if `response` is defined, so only these two options cost that time.
local bodies, sent, head, get_text = {}, 0, nil, nil
local held, confirm_format = {}, nil
statuses = {}

local function count(status)
  statuses[tostring(status)] = (statuses[tostring(status)] or 0) + 1
end

local function collect(status, _, body)
  count(status)
  if status == 201 then held[#held + 1] = body:match('"id":"([^"]+)"') end
end

function setup(thread)
  only_thread = thread
end

function init(args)
  local head_lines, into = {}, nil
  for line in io.lines(args[1]) do
    if into then
      into[#into + 1] = line
    elseif line == "" then
      into = bodies
    else
      head_lines[#head_lines + 1] = line
    end
  end
  head = table.concat(head_lines, "\r\n") .. "\r\n"
  get_text = head .. "\r\n"
  confirm_format = head:gsub("%%", "%%%%"):gsub("^POST %S+", "POST /api/v1/payment/%%s/confirm")
    .. "Idempotency-Key: wrk-%d\r\nContent-Length: 0\r\n\r\n"
  for i = 2, #args do
    if args[i] == "counted" then response = count end
    if args[i] == "pays" then response = collect end
  end
end

function request()
  if #bodies == 0 then return get_text end
  sent = sent + 1
  local booking = table.remove(held)
  if booking then return confirm_format:format(booking, sent) end
  local body = bodies[(sent - 1) % #bodies + 1]
  return ("%sIdempotency-Key: wrk-%d\r\nContent-Length: %d\r\n\r\n%s"):format(
    head, sent, #body, body)
end

function done(summary, latency)
  local e = summary.errors
  io.write(("\n%d %d %d %d %d %d"):format(
    summary.duration, summary.requests, e.status, e.connect + e.read + e.write + e.timeout,
    latency:percentile(50), latency:percentile(99)))
  for status, number in pairs(only_thread:get("statuses") or {}) do
    io.write((" %s:%d"):format(status, number))
  end
  io.write("\n")
end
