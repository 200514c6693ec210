--[[
Record a payment of a booking: its places are sold, once; every other payment of it is owed.

A payment after the deadline gets the same places if they are still free and the terms of the event
allow it. It never takes a seat from another booking. The purchase limit is checked again, so that
a late payment cannot exceed it. A payment that buys nothing is recorded and owed in every state.

The payments of one event and one moment are decided in their order, each as if it were a call of
its own.

KEYS[1-9]  event seats map areas bookings deadlines customers ended journal
Then for each payment:
KEYS       hold       string   TTL key of the booking
KEYS       limit      string   rate limits of the call: none, one or more

ARGV[1]    now_ms     "" = the clock of Redis
ARGV[2]    count      of payments
Then for each payment:
ARGV       kind       "payment"
ARGV       ulid
ARGV       caller     the booking must be this customer's, for box_office the event this owner's;
                      "" = not checked
ARGV       payment    the provider's id of the payment; "" = the one payment of this source
ARGV       amount     amount paid, in minor units; "" = the price of the booking
ARGV       currency   currency of the payment; "" = the currency of the booking
ARGV       source     provider, box_office, unchecked (the customer alone says so) or free (the
                      same, and only for a booking that costs nothing)
ARGV       note       of the box office; "" = none
ARGV       limits     their number, then interval_ms, burst for each

Returns  {"OK", reply, ...}   one reply a payment, in their order:
         {"OK", ulid, record, "new", late_ms, ...}   late_ms: one number per hold expired here
         {"OK", ulid, record, "repeated"}            this payment confirmed the booking before
         {"REFUND_DUE", owed_minor, reason}          too late; owed
         {"PAID_TWICE", owed_minor, currency}        another payment bought the booking; owed
         {"AMOUNT_DIFFERS", amount_minor, currency}  what the booking costs; what was paid is owed
         {"BOOKING_CANCELLED"}                       owed
         {"PAYMENT_REFUNDED"}                        it was paid back before
         {"TOO_MANY_PAYMENTS", kept_max, amount_minor, currency}   of this one; nothing is written
         {"EVENT_NOT_FOUND"} {"BOOKING_NOT_FOUND"} {"NOT_OWNER"} {"PAYMENT_BY_PROVIDER"}
         A known payment gets the same reply each time, and nothing is written.
         "DAMAGED" and a text instead: what the request needs cannot be read
         Under limits each of them has two more items: calls left, and ms until all are available.
         {"RATE_LIMITED", retry_after_ms}            the payment was not looked at
]]
-- @include lib/confirmations
local batch = batches.open(KEYS, ARGV, confirmations.FORMS)

-- Writes.
return batches.run(batch, confirmations.decide, confirmations.write)
