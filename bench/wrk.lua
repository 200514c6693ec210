-- One volley for wrk's one thread: wrk -t1 -s wrk.lua URL -- FILE
-- FILE has the request up to what differs, an empty line, and one body a line (see bench/wrk.py).
local bodies, sent, request_format = {}, 0, nil

function init(args)
  local lines = io.lines(args[1])
  local head = {}
  for line in lines do
    if line == "" then break end
    head[#head + 1] = line
  end
  head[#head + 1] = "Idempotency-Key: wrk-%d"
  head[#head + 1] = "Content-Length: %d"
  request_format = table.concat(head, "\r\n") .. "\r\n\r\n%s"
  for line in lines do bodies[#bodies + 1] = line end
end

function request()
  local body = bodies[sent % #bodies + 1]
  sent = sent + 1
  return request_format:format(sent, #body, body)
end

function done(summary, latency)
  local e = summary.errors
  local errors = e.connect + e.read + e.write + e.timeout + e.status
  io.write(("\n%d %d %d %d %d\n"):format(
    summary.duration, summary.requests, errors, latency:percentile(50), latency:percentile(99)))
end
