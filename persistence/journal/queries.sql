-- Every query of the system, by name. `store.py` runs them, and `refusals.py`.

-- name: insert_entries
-- For a batch of which the journal has a part; a new one is copied (`store._copy`).
INSERT INTO journal (event_id, epoch, entry_ms, entry_seq, kind, at_ms, booking_id, body, layout)
SELECT * FROM unnest(
    $1::text[], $2::int[], $3::bigint[], $4::bigint[], $5::text[], $6::bigint[], $7::text[],
    $8::json[], $9::bytea[])
ON CONFLICT DO NOTHING;

-- name: queue_entries
-- What a webhook may want to hear of is queued with the entry: the deliverer needs no cursor, and an
-- entry that commits late is not stepped over. Queued twice it is told once, by the message's id.
INSERT INTO webhook_queue (event_id, epoch, entry_ms, entry_seq)
SELECT event_id, epoch, entry_ms, entry_seq
FROM unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[], $5::text[])
    AS e (event_id, epoch, entry_ms, entry_seq, kind)
WHERE kind IN ('booking_confirmed', 'booking_expired', 'booking_cancelled', 'refund_due')
    AND EXISTS (SELECT FROM webhooks WHERE disabled_at_ms IS NULL)
ON CONFLICT DO NOTHING;

-- name: share_epochs
-- Until the commit no restore begins an epoch of these events (`begin_epoch` in `restore.sql`). Apart
-- from `read_epochs`: a statement sees what was committed before it began, not while it waited.
SELECT pg_advisory_xact_lock_shared(hashtextextended('epoch ' || event_id, 0))
FROM unnest($1::text[]) AS event_id;

-- name: read_epochs
SELECT event_id, epoch FROM events WHERE event_id = ANY ($1::text[]);

-- name: find_outdated
-- Entries of an epoch that a restore has ended: their place in the list, whether they are known, and
-- what has become of their bookings.
SELECT e.number, EXISTS (
    SELECT FROM journal j
    WHERE j.event_id = e.event_id AND j.epoch = e.epoch AND j.entry_ms = e.entry_ms
        AND j.entry_seq = e.entry_seq) AS known,
    b.status, coalesce(r.amount_minor, 0) AS owed_minor, b.refund_reason
FROM unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[], $5::text[])
    WITH ORDINALITY AS e (event_id, epoch, entry_ms, entry_seq, booking_id, number)
    JOIN events v ON v.event_id = e.event_id AND v.epoch > e.epoch
    LEFT JOIN bookings b ON b.booking_id = e.booking_id
    LEFT JOIN refund_obligations r ON r.booking_id = b.booking_id;

-- name: put_bookings
-- Forward only. The same entry again is written again: it says the same, and a repair may have to.
-- Sorted, so that two writers lock rows in one order. Returns the bookings that are now at the entry,
-- and whether they had a row before: a new one owns no seats yet.
INSERT INTO bookings (
    booking_id, event_id, customer_id, status, seats, areas, amount_minor, currency, held_at_ms,
    expires_at_ms, confirmed_at_ms, ended_at_ms, late, refund_minor, refund_reason,
    epoch, entry_ms, entry_seq)
SELECT b.booking_id, b.event_id, b.customer_id, b.status, string_to_array(b.seats, ' '), b.areas,
    b.amount_minor, b.currency, b.held_at_ms, b.expires_at_ms, b.confirmed_at_ms, b.ended_at_ms,
    b.late, b.refund_minor, b.refund_reason, b.epoch, b.entry_ms, b.entry_seq
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::bigint[],
    $8::text[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::boolean[],
    $14::bigint[], $15::text[], $16::int[], $17::bigint[], $18::bigint[]
) AS b (
    booking_id, event_id, customer_id, status, seats, areas, amount_minor, currency, held_at_ms,
    expires_at_ms, confirmed_at_ms, ended_at_ms, late, refund_minor, refund_reason,
    epoch, entry_ms, entry_seq)
ORDER BY b.booking_id
ON CONFLICT (booking_id) DO UPDATE SET
    customer_id = excluded.customer_id, status = excluded.status, seats = excluded.seats,
    areas = excluded.areas, amount_minor = excluded.amount_minor, currency = excluded.currency,
    held_at_ms = excluded.held_at_ms, expires_at_ms = excluded.expires_at_ms,
    confirmed_at_ms = excluded.confirmed_at_ms, ended_at_ms = excluded.ended_at_ms,
    late = excluded.late, refund_minor = excluded.refund_minor,
    refund_reason = excluded.refund_reason, epoch = excluded.epoch,
    entry_ms = excluded.entry_ms, entry_seq = excluded.entry_seq
WHERE (bookings.epoch, bookings.entry_ms, bookings.entry_seq)
    <= (excluded.epoch, excluded.entry_ms, excluded.entry_seq)
    -- A life goes one way, whatever a Redis says that came back without its last second: what is
    -- sold stays sold until it is cancelled. Under a new epoch too: a restore expires what it took
    -- for a hold, and a sale that came in meanwhile has to stop it.
    AND (bookings.status NOT IN ('confirmed', 'cancelled')
        OR excluded.status IN (bookings.status, 'cancelled')
        OR bookings.status = 'cancelled' AND bookings.epoch < excluded.epoch)
RETURNING booking_id, xmax <> 0 AS known;

-- name: free_seats
UPDATE booking_seats s SET active = false
FROM bookings b
WHERE b.booking_id = ANY ($1::text[]) AND s.booking_id = b.booking_id AND s.active
    AND NOT (b.status = 'confirmed' AND s.seat_id = ANY (b.seats));

-- name: take_seats
-- The unique index refuses a seat that is active for another booking.
INSERT INTO booking_seats AS s (booking_id, seat_id, event_id, active)
SELECT b.booking_id, seat_id, b.event_id, b.status = 'confirmed'
FROM bookings b, unnest(b.seats) AS seat_id
WHERE b.booking_id = ANY ($1::text[]) AND b.status IN ('confirmed', 'cancelled')
ORDER BY b.booking_id, seat_id
ON CONFLICT (booking_id, seat_id) DO UPDATE SET active = excluded.active
WHERE s.active <> excluded.active;

-- name: find_owners
-- Who owns these seats, if anybody does.
SELECT seat_id, booking_id FROM booking_seats
WHERE active AND event_id = ANY ($1::text[]) AND seat_id = ANY ($2::text[]);

-- name: find_cancelled
SELECT booking_id FROM bookings
WHERE booking_id = ANY ($1::text[]) AND status = 'cancelled';

-- name: owe_refunds
INSERT INTO refund_obligations (
    booking_id, event_id, customer_id, amount_minor, currency, reason, due_at_ms)
SELECT booking_id, event_id, customer_id, refund_minor, currency, coalesce(refund_reason, ''),
    entry_ms
FROM bookings
WHERE booking_id = ANY ($1::text[]) AND refund_minor > 0
ON CONFLICT DO NOTHING;

-- name: lock_event
-- Two writers that fold one event do it one after the other; ends with the transaction.
SELECT pg_advisory_xact_lock(hashtextextended($1, 0));

-- name: read_event_entries
SELECT epoch, kind, body::text FROM journal
WHERE event_id = $1 AND booking_id IS NULL
ORDER BY epoch, entry_ms, entry_seq;

-- name: set_blocked
UPDATE seats SET blocked = NOT blocked
WHERE event_id = $1 AND blocked <> (seat_id = ANY ($2::text[]));

-- name: read_layout
SELECT layout FROM journal
WHERE event_id = $1 AND booking_id IS NULL AND layout IS NOT NULL
ORDER BY epoch DESC, entry_ms DESC, entry_seq DESC
LIMIT 1;

-- name: read_layout_version
SELECT layout_version FROM events WHERE event_id = $1;

-- name: put_event
INSERT INTO events (
    event_id, name, currency, owner_id, sales, opens_at_ms, closes_at_ms, hold_ttl_ms, hold_max_ms,
    seats_max, customer_max, ended_ttl_ms, loaded_at_ms, epoch, capacity, layout_version, layout,
    starts_at_ms, time_zone, cancel_until_ms, late_payment, payment_max_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
    $21, $22)
ON CONFLICT (event_id) DO UPDATE SET
    name = excluded.name, currency = excluded.currency, owner_id = excluded.owner_id,
    sales = excluded.sales, opens_at_ms = excluded.opens_at_ms,
    closes_at_ms = excluded.closes_at_ms, hold_ttl_ms = excluded.hold_ttl_ms,
    hold_max_ms = excluded.hold_max_ms, seats_max = excluded.seats_max,
    customer_max = excluded.customer_max, ended_ttl_ms = excluded.ended_ttl_ms,
    loaded_at_ms = excluded.loaded_at_ms, epoch = greatest(events.epoch, excluded.epoch),
    capacity = excluded.capacity,
    layout_version = excluded.layout_version, layout = excluded.layout,
    starts_at_ms = excluded.starts_at_ms, time_zone = excluded.time_zone,
    cancel_until_ms = excluded.cancel_until_ms, late_payment = excluded.late_payment,
    payment_max_ms = excluded.payment_max_ms;

-- name: drop_seats
DELETE FROM seats WHERE event_id = $1;

-- name: insert_seats
INSERT INTO seats (
    event_id, seat_id, section_id, row_id, number, category_id, price_minor, accessible, blocked)
SELECT $1, * FROM unnest(
    $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::boolean[],
    $9::boolean[]);

-- name: list_events
SELECT event_id FROM events ORDER BY event_id;

-- name: stream_bookings
-- What Redis must know, and what it does know: sold bookings, and those given by id. `sold` are
-- the seats the booking owns here.
SELECT b.*, array(
        SELECT s.seat_id FROM booking_seats s WHERE s.booking_id = b.booking_id AND s.active
        ORDER BY s.seat_id) AS sold,
    r.amount_minor AS obligation_minor
FROM bookings b LEFT JOIN refund_obligations r USING (booking_id)
WHERE b.event_id = $1
    AND (b.status = 'confirmed' OR b.booking_id = ANY ($2::text[]));
