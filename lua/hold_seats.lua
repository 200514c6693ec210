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
ARGV       seats      "A-1-1 A-1-2", as in the record; 0 to 50
ARGV       areas      "floor=2 pit=1", as in the record
ARGV       limits     their number, then interval_ms, burst for each

Returns  {"OK", reply, ...}   one reply a request, in their order:
         {"OK", ulid, record, "new", late_ms, ...}   late_ms: one number per hold expired here
         {"OK", ulid, record, "repeated"}            the request id was used before
         {"EVENT_NOT_FOUND"} {"REQUEST_REUSED"} {"SALES_CLOSED", why} {"TOO_MANY_SEATS", seats_max}
         {"SEAT_NOT_FOUND", seat, ...} {"AREA_NOT_FOUND", area, ...}
         {"SEAT_TAKEN", seat, ...} {"AREA_FULL", area, ...} {"LIMIT_REACHED", customer_max, has}
         {"LEAVES_SINGLE", alone, picked, starts}    map indexes: of the seats that would be
         alone, of those picked, and the first of up to two other windows of as many seats, if the
         picked ones are of one block
         "DAMAGED" and a text instead: what the request needs cannot be read
         Under limits each of them has two more items: calls left, and ms until all are available.
         {"RATE_LIMITED", retry_after_ms}            the request was not looked at
         A refusal writes nothing but the limits.
]]
-- @include lib/holds
local batch = batches.open(KEYS, ARGV, holds.FORMS)
if batch.box then
  holds.prepare(batch)
end

-- Writes.
return batches.run(batch, holds.reply, holds.write)
