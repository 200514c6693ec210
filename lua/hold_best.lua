--[[
Find the best free places for each request, and hold all of them for its customer, or none.

As hold_seats, with requests that say what they want and not which seats. A request is never split
unless it allows it. Wheelchair places, those of companions, seats with a restricted view and seats
that are off sale are given only to a request that asks for them, the last never.

KEYS[1-9]  event seats map areas bookings deadlines customers ended journal
Then for each request:
KEYS       hold       string   TTL key of its booking
KEYS       request    string   <digest> <ulid>
KEYS       rows       hash     records of rows
KEYS       order      hash     stretches of the map by category, rows by section
KEYS       limit      string   rate limits of the request: none, one or more

ARGV[1]    now_ms     "" = the clock of Redis (tests pass a number)
ARGV[2]    count      of requests
Then for each request:
ARGV       kind       "best"
ARGV       ulid       of the new booking
ARGV       customer
ARGV       digest     digest of the selection; "" = no request id
ARGV       quantity   of seats, 1 to 50
ARGV       categories "stalls box"; "" = any
ARGV       sections   "A B"; "" = any
ARGV       price_max  of a seat, in minor units; "" = any
ARGV       wheelchair how many of the seats are wheelchair places; the others are for companions
ARGV       restricted "1" = seats with a restricted view too
ARGV       fallback   "rows section apart standing", or some of them: how the party may be parted
ARGV       beside     ulid of a pending booking of the customer, to sit next to; "" = none
ARGV       limits     their number, then interval_ms, burst for each

Returns  {"OK", reply, ...}   one reply a request, in their order:
         {"OK", ulid, record, "new", late_ms, ...}   late_ms: one number per hold expired here
         {"OK", ulid, record, "repeated"}            the request id was used before
         {"NO_SEATS_TOGETHER", largest}              largest party that fits side by side now; 0
                                                     with wheelchair places and `beside`
         {"CATEGORY_NOT_FOUND", id, ...} {"SECTION_NOT_FOUND", id, ...}
         {"EVENT_NOT_FOUND"} {"REQUEST_REUSED"} {"SALES_CLOSED", why} {"TOO_MANY_SEATS", seats_max}
         {"SEAT_TAKEN", seat, ...} {"AREA_FULL", area, ...} {"LIMIT_REACHED", customer_max, has}
         {"SEAT_NOT_FOUND", seat, ...} {"AREA_NOT_FOUND", area, ...}   damaged state
         {"LEAVES_SINGLE", alone, picked, starts}    never: the places are chosen here
         of `beside`: {"BOOKING_NOT_FOUND"} {"BOOKING_EXPIRED"} {"ALREADY_CONFIRMED"}
         {"BOOKING_RELEASED"} {"BOOKING_CANCELLED"}
         "DAMAGED" and a text instead: what the request needs cannot be read
         Under limits each of them has two more items: calls left, and ms until all are available.
         {"RATE_LIMITED", retry_after_ms}            the request was not looked at
         A refusal writes nothing but the limits.
]]
-- @include lib/best
local batch = batches.open(KEYS, ARGV, holds.FORMS)
if batch.box then
  holds.prepare(batch)
end

-- Writes.
return batches.run(batch, holds.reply, holds.write)
