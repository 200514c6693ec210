--[[
Hold the places of each request for its customer: every seat and standing place of it, or none.

The requests of one event and one moment are decided in their order, each as if it were a call of
its own: a refusal of one changes nothing for the others. An overdue hold on one of the places is
expired here: a customer does not wait for the expirer.

KEYS[1-9]  event seats map areas bookings deadlines customers ended journal
Then for each request:
KEYS       hold       string   TTL key of its booking
KEYS       request    string   <digest> <ulid>
KEYS       limit      string   rate limits of the request: none, one or more

ARGV[1]    now_ms     "" = the clock of Redis (tests pass a number)
ARGV[2]    count      of requests
Then for each request:
ARGV       kind       "seats": the places are named
ARGV       ulid       of the new booking
ARGV       customer
ARGV       digest     digest of the selection; "" = no request id
ARGV       limits     their number, then interval_ms, burst for each
ARGV       seats      their number, 0 to 50, then the seats
ARGV       areas      their number, then area, quantity for each

Returns  {"OK", reply, ...}   one reply a request, in their order:
         {"OK", ulid, record, "new", late_ms, ...}   late_ms: one number per hold expired here
         {"OK", ulid, record, "repeated"}            the request id was used before
         {"EVENT_NOT_FOUND"} {"REQUEST_REUSED"} {"SALES_CLOSED", why} {"TOO_MANY_SEATS", seats_max}
         {"SEAT_NOT_FOUND", seat, ...} {"AREA_NOT_FOUND", area, ...}
         {"SEAT_TAKEN", seat, ...} {"AREA_FULL", area, ...} {"LIMIT_REACHED", customer_max, has}
         Under limits each of them has two more items: calls left, and ms until all are available.
         {"RATE_LIMITED", retry_after_ms}            the request was not looked at
         A refusal writes nothing but the limits.
]]
-- @include lib/holds
-- @include lib/limits
local list, texts = holds.requests(KEYS, ARGV, 9, 2)
local now_ms, limited, replies = clock.now_ms(ARGV[1]), {}, { "OK" }
for i, request in ipairs(list) do
  local refusal, left, full_in_ms = limits.take(now_ms, request.limits, texts)
  limited[i] = { refusal = refusal, left = left, full_in_ms = full_in_ms }
end
local box = event.open(KEYS, now_ms)
local batch = box and holds.new(box, list, texts)

-- Writes.
for i, request in ipairs(list) do
  local reply = limited[i].refusal
  if not reply then
    local decided = true
    reply = { "EVENT_NOT_FOUND" }
    if box then
      decided, reply = pcall(holds.reply, batch, request)
    end
    if not decided then -- damaged state: what the requests before it were given is kept whole
      holds.write(batch)
      error({ err = reply })
    end
    if #request.limits > 0 then
      limits.add_left(reply, limited[i].left, limited[i].full_in_ms)
    end
  end
  replies[i + 1] = reply
end
if batch then
  holds.write(batch)
end
return replies
